from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import tiny_gtzan
from conftest import ROOT, music, write_wav
from genred.classifier import Classifier
from genred.segments import Settings
from genretrain import gtzan
from genretrain.boundaries import score, segmented, smoothed
from genretrain.cli import main
from genretrain.export import export
from genretrain.joined import EVIDENCE, MARGINS, MOST, SMOOTHINGS_S, Passage, choose, hear, programme
from test_boundaries import TRUE, hearing

SPLIT = gtzan.random_split([f"{g}.{i:05}" for g in gtzan.GENRES for i in range(tiny_gtzan.PER_GENRE)], 0)


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Folder of a tiny GTZAN with audio of its validation and test tracks; exported model."""
    data, run = tiny_gtzan.fitted(tmp_path_factory.mktemp("fitted"))
    for i, name in enumerate([*SPLIT.valid, *SPLIT.test]):
        path = data / "audio" / gtzan.genre_of(name) / f"{name}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_wav(path, music(2.0, seed=i))
    model = run.parent / "models" / "tiny.onnx"
    export(run, model, data)
    return data, model


@given(st.sets(st.sampled_from(gtzan.TRACKS), min_size=2, max_size=60), st.integers(0, 100))
def test_a_programme_has_every_track_once(names: set[str], seed: int) -> None:
    """In passages of one genre, of 1 to MOST tracks, and the same ones for the same seed."""
    passages = programme(names, seed)
    assert sorted(name for passage in passages for name in passage.tracks) == sorted(names)
    assert all({gtzan.genre_of(name) for name in passage.tracks} == {passage.genre} for passage in passages)
    assert {len(passage.tracks) for passage in passages} <= set(range(1, MOST + 1))
    assert passages == programme(sorted(names, reverse=True), seed)


@given(st.integers(0, 200))
def test_neighbours_differ(seed: int) -> None:
    """Each end of a passage is a boundary: also where one genre has more tracks than any other."""
    names = [f"blues.{i:05}" for i in range(12)] + [f"{g}.{i:05}" for g in gtzan.GENRES[1:] for i in range(4)]
    genres = [passage.genre for passage in programme(names, seed)]
    assert all(one != other for one, other in pairwise(genres))


def test_programmes_differ() -> None:
    """Another seed joins other tracks."""
    assert programme(SPLIT.test, 0) != programme(SPLIT.test, 1)


def test_tracks_are_joined_without_a_gap(fitted: tuple[Path, Path]) -> None:
    """The daemon's path hears one sound; a passage ends where its last track does, and nothing is written."""
    data, model = fitted
    classifier, files = Classifier(model, "cpu"), gtzan.audio_files(data)
    before = sorted(data.rglob("*"))
    one, two, three = SPLIT.test[:2], SPLIT.test[2:3], SPLIT.test[4:6]
    whole = hear(classifier, [Passage("a", one), Passage("b", two), Passage("c", three)], files)
    assert whole.truth == ((4.0, "a"), (6.0, "b"), (10.0, "c"))
    ends = [whole.end_s(heard) for heard in whole.heard]
    steps = {round(other - one, 6) for one, other in pairwise(ends)}
    assert steps == {round(40 * 512 / 22050, 6)}
    assert 10.0 - 40 * 512 / 22050 < ends[-1] <= 10.0
    assert sorted(data.rglob("*")) == before


def test_results_say_how_they_were_got(fitted, tmp_path, capsys) -> None:
    """Settings from validation tracks, scores of the three methods on both parts, and every look at the test tracks."""
    data, model = fitted
    for look in (1, 2):
        main(["joined", str(model), "--data", str(data), "--results", str(tmp_path)])
        assert f"judged {look} time(s)" in capsys.readouterr().out
    report = json.loads((tmp_path / "joined-tiny.json").read_text())
    assert (report["model"], report["touches"], report["tracks"]) == ("tiny", 2, {"valid": 10, "test": 20})
    assert report["minutes"] == {
        "valid": pytest.approx(6 * 10 * 2 / 60, abs=0.06),
        "test": pytest.approx(6 * 20 * 2 / 60, abs=0.06),
    }
    for part in ("valid", "test"):
        assert list(report[part]) == ["arg-max", "smoothed", "segments"]
        assert len({scores["boundaries"] for scores in report[part].values()}) == 1


def test_settings_are_as_steady_as_the_sound_needs() -> None:
    """Where single windows are wrong, the settings outlast them; where none is, those that tell soonest are as good."""
    flickering = [one.probabilities["jazz"] > 0.5 for one in TRUE.heard]
    flickering[20], flickering[140] = False, False
    steady, soonest = choose([hearing(flickering)]), choose([TRUE])
    for settings, heard in ((steady, hearing(flickering)), (soonest, TRUE)):
        for method in (smoothed(settings), segmented(settings)):
            assert score([heard], method).f == 1.0
    assert (soonest.smoothing_s, soonest.margin, soonest.evidence) == (SMOOTHINGS_S[0], MARGINS[0], EVIDENCE[0])
    assert steady.smoothing_s > 0 or steady.margin > 0
    assert steady.evidence > EVIDENCE[0]


def test_without_audio_there_is_nothing_to_join(fitted, tmp_path, capsys) -> None:
    """One sentence says so, with exit code 2."""
    with pytest.raises(SystemExit) as exited:
        main(["joined", str(fitted[1]), "--data", str(tiny_gtzan.write(tmp_path / "silent"))])
    assert exited.value.code == 2
    assert "nothing to join" in capsys.readouterr().err


def test_the_daemons_settings_are_those_that_were_chosen() -> None:
    """The defaults are what the results of the default model say, so neither can change alone."""
    report = json.loads((ROOT / "train" / "results" / "joined-genred.json").read_text())
    assert Settings(**report["settings"]) == Settings()
