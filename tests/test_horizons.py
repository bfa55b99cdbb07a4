from __future__ import annotations

import numpy as np
import pytest

from genred.errors import BadInputError
from genred.features import GainRule, MfccSpec
from genretrain import dataset, horizons
from genretrain.horizons import Heard

LOGITS = np.random.default_rng(0).normal(size=(600, 10)) * 2.0


def heard(scale: float = 1.0) -> Heard:
    """Three windows of each of 200 tracks, right as often as they say at a `scale` of 1, and too sure beyond."""
    rng = np.random.default_rng(1)
    honest = _softmax(np.repeat(LOGITS[:200], 3, axis=0))
    truth = np.array([rng.choice(10, p=row) for row in honest[::3]])
    return Heard(_softmax(np.log(honest) * scale), np.repeat(np.arange(200), 3), truth)


def _softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    table: np.ndarray = powers / powers.sum(axis=1, keepdims=True)
    return table


@pytest.mark.parametrize("scale", [0.5, 1.0, 2.0])
def test_the_temperature_undoes_what_made_answers_too_sure(scale):
    """Logits that are twice too great need a temperature of two."""
    assert horizons.fit_temperature(heard(scale)) == pytest.approx(scale, rel=0.15)


def test_calibration_changes_no_answer():
    """A temperature changes how sure an answer is, not which; the probabilities still add up to one."""
    before, after = heard(), heard().calibrated(2.5)
    np.testing.assert_array_equal(after.probabilities.argmax(axis=1), before.probabilities.argmax(axis=1))
    np.testing.assert_allclose(after.probabilities.sum(axis=1), 1)
    assert after.probabilities.max() < before.probabilities.max()


def test_the_middle_window_stands_for_its_track():
    """One window of each track, whatever their numbers are."""
    table = np.eye(10)[:6]
    middle = Heard(table, np.array([0, 0, 0, 1, 2, 2]), np.array([1, 3, 5])).middle()
    np.testing.assert_array_equal(middle.probabilities.argmax(axis=1), [1, 3, 5])
    assert middle.right.all()


def test_a_track_is_answered_by_the_mean_of_its_windows():
    """Two windows that are hardly sure are outvoted by one that is."""
    table = np.zeros((3, 10))
    table[:2, 4], table[:2, 5] = 0.55, 0.45
    table[2, 5] = 1.0
    of_one = Heard(table, np.zeros(3, int), np.array([5]))
    assert of_one.genres() == ["jazz"]
    assert of_one.tracks_right() == 1
    assert of_one.right.mean() == pytest.approx(1 / 3)


def test_loss_and_brier_of_answers_without_knowledge():
    """A tenth for each genre: log 10, and 0.9."""
    blind = Heard(np.full((4, 10), 0.1), np.arange(4), np.arange(4))
    assert blind.loss() == pytest.approx(np.log(10))
    assert blind.brier() == pytest.approx(0.9)


def test_windows_are_stretches_of_the_track():
    """Short ones follow each other without overlap, from the beginning of the track; whole ones are a hop apart."""
    track = np.random.default_rng(0).integers(60, 120, (1300, 128), dtype=np.uint8)
    crops, truth = dataset.part({"jazz.00000": track}, ("jazz.00000",), MfccSpec(n_mfcc=4), GainRule(), 1000)
    asked: list[np.ndarray] = []

    def ask(windows: np.ndarray) -> np.ndarray:
        asked.extend(windows)
        return np.full((len(windows), 10), 0.1)

    whole = horizons.hear(ask, crops, truth, 1000)
    assert len(whole.track) == len(crops.windows(0, 40)) == 8
    asked.clear()
    short = horizons.hear(ask, crops, truth, 128)
    assert len(short.track) == 10  # of 1280 frames, where the last whole window ends
    np.testing.assert_array_equal(
        np.concatenate(asked), np.concatenate([crops.windows(0, 40)[0], asked[7][-24:], *asked[8:]])
    )


def test_only_a_network_that_learned_from_short_crops_is_judged_on_them():
    """The paper's is judged at its window."""
    assert horizons.frames_judged(1000, 128) == (128, 208, 432, 1000)
    assert horizons.frames_judged(1000, 0) == (1000,)
    assert horizons.frames_judged(1000, 400) == (432, 1000)


def test_horizons_are_written_and_read(tmp_path):
    """As they were; something else is refused with a sentence."""
    judged = horizons.judge(heard(), heard(2.0), 128, 3.04)
    horizons.save([judged], tmp_path / "run.json")
    assert horizons.load(tmp_path / "run.json") == [judged]
    (tmp_path / "run.json").write_text("[{}]")
    with pytest.raises(BadInputError, match="not a file of horizons"):
        horizons.load(tmp_path / "run.json")
