from __future__ import annotations

import json

import numpy as np
import pytest

from genretrain import abstention
from genretrain.abstention import Answered
from genretrain.horizons import Heard


def windows(sure: np.ndarray) -> np.ndarray:
    """Probabilities [N, 10] whose greatest, of genre 3, is `sure`."""
    table = np.repeat((1 - sure)[:, None] / 9, 10, axis=1)
    table[:, 3] = sure
    return table


def music(n: int = 2000) -> Heard:
    """Windows that are right as often as they say, evenly spread in how sure they are."""
    rng = np.random.default_rng(0)
    sure = rng.uniform(0.3, 1.0, n)
    return Heard(windows(sure), np.arange(n), np.where(rng.random(n) < sure, 3, 5))


def test_the_threshold_is_the_least_that_leaves_other_sounds_unanswered():
    """Other sounds are at most 50 % sure, one half above 40 %: a threshold near 0.46 answers 20 % of them."""
    others = windows(np.linspace(0.3, 0.5, 1001))
    choice = abstention.choose(music(), others, 128)
    assert choice.temperature == pytest.approx(1.0, abs=0.15)
    assert choice.answered <= abstention.ANSWERED < abstention.ANSWERED + 0.1
    assert 0.42 < choice.unsure_below < 0.5
    assert 0.7 < choice.coverage < 0.85
    before = next(point for point in choice.curve if point[0] == pytest.approx(choice.unsure_below - 0.01))
    assert before[3] > abstention.ANSWERED


def test_music_is_not_given_up_for_sounds_that_cannot_be_told_apart():
    """Where other sounds are as sure as music, most of the music is answered all the same."""
    choice = abstention.choose(music(), windows(np.full(100, 0.999)), 128)
    assert choice.coverage >= abstention.COVERAGE
    assert choice.answered == 1.0


def test_the_curve_trades_coverage_for_accuracy():
    """The higher the threshold, the less is answered, and the more of it is right."""
    curve = np.array(abstention.choose(music(), windows(np.linspace(0.3, 0.5, 101)), 128).curve)
    assert (np.diff(curve[:, 1]) <= 0).all()
    assert curve[curve[:, 0] == 0.9][0, 2] > curve[curve[:, 0] == 0.4][0, 2] + 0.1


def test_what_was_answered_is_set_out_by_sound(tmp_path):
    """Counts by horizon, the commonest label, and all sounds together."""
    rain = [Answered("rain", 128, 8, 2, {"metal": 2}), Answered("rain", 1000, 1, 0, {})]
    hum = [Answered("hum", 128, 10, 0, {}), Answered("hum", 1000, 1, 0, {})]
    entries = [one.__dict__ for one in (*rain, *hum)]
    (tmp_path / "tiny.json").write_text(json.dumps({"no music": entries}))
    choice = abstention.choose(music(), windows(np.full(9, 0.5)), 128)
    for model in ("tiny", "earlier"):
        (tmp_path / f"calibration-{model}.json").write_text(json.dumps([choice.__dict__]))
    lines = abstention.text("tiny", tmp_path).splitlines()
    assert "| rain | 2 of 8 | 0 of 1 | metal |" in lines
    assert "| all | 2 of 18 | 0 of 2 |  |" in lines
    [chosen] = [line for line in lines if line.startswith("| 128 |")]
    assert abstention.text("tiny", tmp_path, "earlier").splitlines().count(chosen) == 2
