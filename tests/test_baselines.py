from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import tiny_gtzan
from genretrain import baselines, dataset, gtzan, judge
from genretrain.cli import main

QUICK = ("svm", "knn")
GENRES = gtzan.GENRES[:3]


def cloud(genre: str, n: int, seed: int) -> dict[str, list[np.ndarray]]:
    """Tracks of two windows whose summaries lie around a place of their genre."""
    rng = np.random.default_rng([seed, GENRES.index(genre)])
    return {f"{genre}.{i:05}": list(rng.normal(3 * GENRES.index(genre), 1.0, size=(2, 8))) for i in range(n)}


def clouds(n: int, seed: int) -> dict[str, list[np.ndarray]]:
    return {name: windows for genre in GENRES for name, windows in cloud(genre, n, seed).items()}


def test_a_summary_is_mean_and_deviation_of_frames_and_of_their_differences():
    """A coefficient that rises by 2 a frame: its differences are all 2, and deviate by nothing."""
    window = np.stack([np.arange(10) * 2.0, np.full(10, 7.0)], axis=1).astype(np.float32)  # [T, C]
    expected = [9.0, 7.0, np.arange(0, 20, 2).std(), 0.0, 2.0, 0.0, 0.0, 0.0]
    np.testing.assert_allclose(baselines.summary(window), expected)


@pytest.mark.parametrize("name", baselines.CHOICES)
def test_every_baseline_tells_genres_that_lie_apart(name):
    """Three clouds are told apart on tracks that were not learnt from."""
    model, _ = baselines.choose(name, clouds(12, seed=0), clouds(4, seed=1), seed=0)
    unseen = baselines.answers(model, clouds(10, seed=2))
    assert judge.accuracy(unseen) > 0.9


def test_the_settings_are_those_that_answer_most_of_the_validation_part():
    """Mislabelled tracks among the nearest: more neighbours are better, and are chosen."""
    train = clouds(30, seed=0)
    wrong = {f"{GENRES[0]}.1{i:04}": [np.full(8, 6.0) + 1e-3 * i] * 2 for i in range(6)}
    valid = {f"{GENRES[2]}.{i:05}": [np.full(8, 6.0)] for i in range(3)} | cloud(GENRES[0], 5, seed=1)
    _, chosen = baselines.choose("knn", train | wrong, valid, seed=0)
    assert chosen["n_neighbors"] > 5
    assert chosen["valid_accuracy"] == 1.0


def test_a_tracks_answer_is_its_windows_greatest_mean_score():
    """Two windows of one genre outweigh one of another."""
    model, _ = baselines.choose("knn", clouds(12, seed=0), clouds(4, seed=1), seed=0)
    of = [np.full(8, 3.0 * i) for i in range(2)]
    assert baselines.answers(model, {"x": [of[1], of[0], of[1]]}) == {"x": GENRES[1]}


@pytest.mark.parametrize("name", QUICK)
def test_a_baseline_is_chosen_and_judged_by_one_command(tmp_path, name, capsys):
    """On the same held-out tracks as the networks, with what was chosen."""
    data = tiny_gtzan.write(tmp_path / "data")
    main(["baseline", name, "--data", str(data), "--seed", "1", "--results", str(tmp_path)])
    result = judge.load(tmp_path / "runs" / f"{name}-random-1.json")
    split = gtzan.random_split(list(dataset.load(data)), 1)
    assert (result.row, result.split, result.seed, result.touches) == (name, "random", 1, 1)
    assert (result.held_out, tuple(result.readings["best"])) == (split.held_out, split.test)
    assert set(result.settings) == {*baselines.CHOICES[name], "valid_accuracy"}
    assert "% of 10 validation tracks" in capsys.readouterr().out


def test_a_folder_without_gtzan_is_refused(tmp_path: Path, capsys):
    """Exit code 2, one sentence."""
    with pytest.raises(SystemExit) as exit_:
        main(["baseline", "svm", "--data", str(tmp_path), "--results", str(tmp_path)])
    assert exit_.value.code == 2
    assert capsys.readouterr().err.startswith("genretrain: no GTZAN in")
