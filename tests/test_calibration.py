from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from genretrain import calibration, horizons
from genretrain.horizons import Horizon

N = 1000


def answers(n: int = N, seed: int = 0, too_sure: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Confidences, and whether each answer is right: as often as it says, less `too_sure`."""
    rng = np.random.default_rng(seed)
    confidence = rng.uniform(0.3, 1.0, n)
    return confidence, (rng.random(n) < confidence - too_sure).astype(float)


def test_the_error_is_the_gap_between_confidence_and_share_right():
    """Always 80 % sure and right half of the time: 0.3."""
    right = np.tile([0.0, 1.0], 50)
    assert calibration.error(np.full(100, 0.8), right) == pytest.approx(0.3)


def test_an_error_of_few_answers_is_never_nothing():
    """Of 200 answers of a perfect model a few hundredths are chance, debiased or not; of a thousand fewer."""
    confidence, right = answers(200)
    assert 0.03 < calibration.error(confidence, right) < 0.09
    few = calibration.of_a_perfect_model(confidence)
    assert 0.03 < few < 0.08
    assert calibration.of_a_perfect_model(answers(N)[0]) < 0.6 * few


def test_debiasing_takes_off_what_chance_adds():
    """In the mean over many draws a perfect model has less than plainly counted, and one too sure by 0.1 has 0.1."""
    perfect = [calibration.debiased(*answers(seed=seed)) for seed in range(20)]
    plain = [calibration.error(*answers(seed=seed)) for seed in range(20)]
    assert np.mean(perfect) < 0.75 * np.mean(plain)
    sure = [calibration.debiased(*answers(seed=seed, too_sure=0.1)) for seed in range(20)]
    assert np.mean(sure) == pytest.approx(0.1, abs=0.015)


def fold(seed: int) -> Horizon:
    confidence, right = answers(200, seed)
    raw = list(np.minimum(confidence + 0.2, 1.0))
    return Horizon(128, 3.04, 1.1, 0.7, 0.8, 0.9, 0.4, raw, list(confidence), [bool(r) for r in right])


def test_all_folds_together_are_one_sample(tmp_path):
    """The table has the number of all tracks; the picture is drawn."""
    folder = tmp_path / "horizons"
    for number in range(5):
        horizons.save([fold(number)], folder / f"{calibration.ROW}-fold-{number}.json")
    text = calibration.text(tmp_path, tmp_path / "RESULTS.md", folder)
    [line] = [line for line in text.splitlines() if line.startswith("| 3.0 |")]
    assert "| 1000 |" in line
    before, after = (float(cell) for cell in line.split(" | ")[3:5])
    assert before > after + 0.05
    assert Path(tmp_path / f"{calibration.ROW}-reliability.png").stat().st_size > 1000


def test_a_missing_fold_is_no_calibration(tmp_path):
    """Four fifths of the tracks are not called all of them."""
    for number in range(4):
        horizons.save([fold(number)], tmp_path / f"{calibration.ROW}-fold-{number}.json")
    assert calibration.text(tmp_path, tmp_path / "RESULTS.md", tmp_path).startswith("Not measured yet")
