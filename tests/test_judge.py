from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

import tiny_gtzan
from genred.classify import HOP_FRAMES
from genred.errors import BadInputError
from genretrain import checkpoint, dataset, gtzan, judge
from genretrain.cli import main


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return tiny_gtzan.fitted(tmp_path_factory.mktemp("fitted"))


@pytest.fixture
def judged(fitted: tuple[Path, Path], tmp_path: Path) -> Path:
    """Results of a run that was judged."""
    data, run = fitted
    main(["evaluate", str(run), "--data", str(data), "--results", str(tmp_path)])
    return tmp_path / "runs" / "tiny.json"


def test_both_readings_of_a_run_are_answers_to_its_held_out_tracks(fitted, judged):
    """Of the last epoch and of the best: the mean probability over a track's windows at the daemon's hop."""
    data, run = fitted
    result = judge.load(judged)
    tracks = dataset.load(data)
    held_out = gtzan.random_split(list(tracks), 0).test
    assert {name: tuple(genres) for name, genres in result.readings.items()} == {"last": held_out, "best": held_out}
    plan, network, _ = checkpoint.load_last(run)
    for name in held_out[:5]:
        windows = dataset.Crops([tracks[name]], plan.spec, plan.gain, plan.window).windows(0, HOP_FRAMES)
        with torch.no_grad():
            mean = network(torch.from_numpy(windows)).softmax(1).mean(0)
        assert result.readings["last"][name] == gtzan.GENRES[int(mean.argmax())]


def test_results_say_what_was_run_and_how_it_went(fitted, judged):
    """Recipe, split, seed, digest of the held-out tracks, the curve by epoch, and the epoch that was best."""
    result = judge.load(judged)
    split = gtzan.random_split(list(dataset.load(fitted[0])), 0)
    assert (result.row, result.split, result.seed, result.held_out) == ("tiny", "random", 0, split.held_out)
    assert [row["epoch"] for row in result.curve] == [1]
    assert (result.settings["epochs"], result.settings["best_epoch"]) == (1, 1)


def test_every_look_at_the_test_tracks_is_counted(fitted, judged, tmp_path):
    """A second judging adds one; a curve of test accuracy counts as one more from the start."""
    assert judge.load(judged).touches == 1
    judge.run(fitted[1], fitted[0], judged.parent)
    assert judge.load(judged).touches == 2
    recorded = judge.Judged("cnn", "random", 0, "", {}, {"last": {"jazz.00001": "jazz"}}, touches=2)
    judge.save(recorded, tmp_path / "cnn.json")
    judge.save(recorded, tmp_path / "cnn.json")
    assert judge.load(tmp_path / "cnn.json") == judge.Judged(
        "cnn", "random", 0, "", {}, {"last": {"jazz.00001": "jazz"}}, touches=4
    )


@pytest.mark.parametrize(
    ("run", "split", "row"),
    [("cnn-filtered-1", "filtered", "cnn"), ("crnn-plain-1", "random", "crnn-plain"), ("cnn", "random", "cnn")],
)
def test_the_row_is_in_the_name_of_the_run(run, split, row):
    """Without the split and the seed that fit puts behind it."""
    plan = tiny_gtzan.recipe.Recipe(split=split, seed=1)
    assert judge.row_of(run, plan) == row


def test_half_a_run_is_not_judged(tmp_path, fitted, capsys):
    """Exit code 2 and one sentence; no look was taken, so none is counted."""
    half = tmp_path / "half"
    half.mkdir()
    state = torch.load(fitted[1] / "checkpoint.pt", weights_only=True)
    state["recipe"] = json.dumps(json.loads(state["recipe"]) | {"epochs": 9})
    torch.save(state, half / "checkpoint.pt")
    with pytest.raises(SystemExit) as exit_:
        main(["evaluate", str(half), "--data", str(fitted[0]), "--results", str(tmp_path / "results")])
    assert exit_.value.code == 2
    assert "is at epoch 1 of 9" in capsys.readouterr().err
    assert not (tmp_path / "results").exists()


def test_a_damaged_results_file_is_refused(tmp_path):
    """Rather than begin to count looks again from nothing."""
    (tmp_path / "cnn.json").write_text('{"row": "cnn"}')
    with pytest.raises(BadInputError, match=r"cnn\.json is not a file of results"):
        judge.load(tmp_path / "cnn.json")


def test_accuracy_is_the_share_of_tracks_answered_right():
    """One of three."""
    answers = {"jazz.00001": "jazz", "jazz.00002": "rock", "pop.00001": "rock"}
    assert np.isclose(judge.accuracy(answers), 1 / 3)
