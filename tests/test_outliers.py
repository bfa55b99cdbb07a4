from __future__ import annotations

import json

import numpy as np
import pytest
import torch

import tiny_gtzan
from genred.features import Doubles, Mfcc
from genretrain import checkpoint, loop, outliers, recipe
from genretrain.cli import main
from genretrain.dataset import ARCHIVED, FLOOR_DB, decode, is_archived
from test_loop import fit, refused, weights, write_recipe

AT: Doubles = np.arange(round(5 * ARCHIVED.sample_rate)) / ARCHIVED.sample_rate
MFCC = Mfcc(ARCHIVED)


def log_mel(kind: str, seed: int = 0, rms: float = 0.1) -> np.ndarray:
    """Log-mels [T, M] of five seconds of one kind."""
    sound = getattr(outliers, kind)(AT, np.random.default_rng(seed))
    return MFCC.log_mel((rms * sound / sound.std()).astype(np.float32))


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return tiny_gtzan.write(tmp_path_factory.mktemp("tiny"))


def test_the_same_seed_makes_the_same_sounds():
    """Each is a log-mel like a track's, a window long, and another seed makes others."""
    one, again, other = outliers.made(3, 1), outliers.made(3, 1), outliers.made(3, 2)
    assert all(is_archived(sound) and len(sound) >= 1000 for sound in one)
    assert all(np.array_equal(a, b) for a, b in zip(one, again, strict=True))
    assert not all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


def test_they_are_as_loud_as_music_and_as_quiet_as_a_room():
    """Some are near full scale, some leave nothing above the floor."""
    loudest = [decode(sound).max() for sound in outliers.made(60, 0)]
    assert max(loudest) > 30
    assert min(loudest) == FLOOR_DB


@pytest.mark.parametrize("kind", outliers.KINDS)
def test_every_kind_is_a_sound(kind):
    """It is finite, as long as it is to be, and another one with another chance; only nothing is nothing."""
    for seed in range(5):
        sound = kind(AT, np.random.default_rng(seed))
        assert sound.shape == AT.shape
        assert np.isfinite(sound).all()
        assert (sound.std() > 0) == (kind is not outliers.nothing)
        assert kind is outliers.nothing or not np.array_equal(sound, kind(AT, np.random.default_rng(seed + 100)))


def test_noise_and_hum_are_steady_weather_and_speech_are_not():
    """What a level does over time tells them apart."""
    moves = {
        kind: np.median([log_mel(kind, seed).mean(axis=1).std() for seed in range(7)])
        for kind in ("noise", "hum", "weather", "voice", "bursts", "clicks")
    }
    assert max(moves["noise"], moves["hum"]) < 1.0
    assert min(moves[kind] for kind in ("weather", "voice", "bursts", "clicks")) > 1.5


def test_tones_are_lines_noise_is_smooth():
    """From one band to the next the level jumps by a few dB of the one, by many of the other."""
    jumps = {
        kind: np.median([np.abs(np.diff(log_mel(kind, seed).mean(axis=0))).max() for seed in range(7)])
        for kind in ("noise", "tone")
    }
    assert jumps["noise"] < 8 < 15 < jumps["tone"]


def test_outliers_are_to_be_answered_with_every_genre_alike(data):
    """Beside the tracks, which are to be answered with their own."""
    plan = recipe.from_dict({"window": 40, "outliers": 0.1, "spec": {"n_mfcc": 8}})
    tracks = {f"{genre}.00000": track for genre in ("blues", "rock") for track in [tiny_gtzan.tracks(genre, 1)]}
    tracks = {name: of[name] for name, of in tracks.items()}
    names = tuple(tracks) * 10
    crops, targets = loop._taught(tracks, names, plan)
    assert len(crops) == len(targets) == 22
    np.testing.assert_allclose(targets[20:], 0.1)
    assert set(targets[:20].argmax(axis=1)) == {0, 9}
    assert set(targets[:20].max(axis=1)) == {1.0}


def test_of_a_run_with_outliers_the_last_epoch_counts(data, tmp_path):
    """Accuracy does not show what it has learned of them."""
    main(fit(write_recipe(tmp_path / "tiny.toml", epochs=4, outliers=0.1), data, tmp_path / "run"))
    assert checkpoint.load_best(tmp_path / "run")[2]["epoch"] == 4
    logged = [
        json.loads(line)["train_accuracy"] for line in (tmp_path / "run" / "epochs.jsonl").read_text().splitlines()
    ]
    assert all(0 <= share <= 1 for share in logged)


def test_a_run_begins_where_another_one_was_best(data, tmp_path, monkeypatch):
    """That of the same split and seed beside it, with the statistics of its tracks."""
    monkeypatch.chdir(tmp_path)
    first = write_recipe(tmp_path / "first.toml")
    main(["fit", str(first), "--data", str(data), "--split", "random", "--seed", "3"])
    still = write_recipe(tmp_path / "second.toml", start="first", learning_rate=1e-12, average=0.0, outliers=0.1)
    main(["fit", str(still), "--data", str(data), "--split", "random", "--seed", "3"])
    best = torch.load(tmp_path / "runs/first-random-3/best.pt", weights_only=True)["averaged"]
    went_on = weights(tmp_path / "runs/second-random-3")
    assert all(
        torch.allclose(went_on[key], value, atol=1e-6)
        for key, value in best.items()
        if "running" not in key and "num" not in key
    )


def test_a_run_that_is_not_there_cannot_be_begun_from(data, tmp_path, capsys):
    """The sentence names its folder."""
    path = write_recipe(tmp_path / "tiny.toml", start="none")
    assert "none-random-0" in refused(capsys, *fit(path, data, tmp_path / "run"))


def test_a_run_of_another_network_cannot_be_begun_from(data, tmp_path, capsys):
    """Nor one that heard other features."""
    main(fit(write_recipe(tmp_path / "first.toml"), data, tmp_path / "first-random-0"))
    capsys.readouterr()
    other = write_recipe(tmp_path / "other.toml", network="cnn", start="first")
    assert "another network" in refused(capsys, *fit(other, data, tmp_path / "run"))
