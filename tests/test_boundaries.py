from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from genred.segments import Heard, Settings
from genretrain.boundaries import TOLERANCE_S, Hearing, Told, arg_max, matched, score, segmented, settled, smoothed

TRUTH = ((60.0, "jazz"), (120.0, "rock"), (180.0, "jazz"))
RATE, WINDOW_S = 100, 20
SHARES = {True: {"jazz": 0.9, "rock": 0.1}, False: {"jazz": 0.1, "rock": 0.9}}


def hearing(is_jazz: Sequence[bool]) -> Hearing:
    """A window of 20 s each second, the first one from 0 to 20 s."""
    heard = [Heard(RATE * n, RATE * (n + WINDOW_S) - 1, RATE, SHARES[jazz]) for n, jazz in enumerate(is_jazz)]
    return Hearing(TRUTH, tuple(heard))


TRUE = hearing([not 60 <= n + WINDOW_S / 2 < 120 for n in range(161)])  # each window is of what is in its middle


def test_what_is_told_rightly_scores_so() -> None:
    """Boundaries at the middles of windows are found to the second, and told half a window late."""
    one = score([TRUE], arg_max)
    assert (one.boundaries, one.missed, one.spurious, one.f) == (2, 0, 0, 1.0)
    assert (one.error_s, one.error_90_s, one.delay_s) == (0.0, 0.0, 10.0)
    assert one.right_afterwards == pytest.approx(1.0, abs=0.02)
    assert one.right == pytest.approx(1 - 20 / 161, abs=0.02)  # ten windows after each boundary are late


@pytest.mark.parametrize("method", [smoothed(Settings()), segmented(Settings())])
def test_steadiness_costs_delay_and_saves_errors(method) -> None:
    """A wrong window is spurious twice by arg-max; the steady answers find the two boundaries and nothing else."""
    flickering = [heard.probabilities["jazz"] > 0.5 for heard in TRUE.heard]
    flickering[20], flickering[140] = False, False
    plain, steady = score([hearing(flickering)], arg_max), score([hearing(flickering)], method)
    assert (plain.missed, plain.spurious, plain.spurious_a_minute) == (0, 4, pytest.approx(4 / 3))
    assert (steady.missed, steady.spurious) == (0, 0)
    assert steady.delay_s > plain.delay_s
    assert steady.error_90_s < 5.0


def test_nothing_told_is_all_missed() -> None:
    """A label that never changes misses every boundary, and has no error that would look good."""
    one = score([hearing([True] * 161)], arg_max)
    assert (one.boundaries, one.missed, one.spurious, one.f) == (2, 2, 0, 0.0)


def test_a_label_that_is_taken_back_is_spurious() -> None:
    """What is told anew of the same moment is no boundary, but it has changed before the listener's eyes."""
    told = [Told(20, 10, "jazz"), Told(70, 60, "pop"), Told(75, 60, "rock"), Told(130, 120, "jazz")]
    changes, taken_back = settled(told)
    assert [(one.since_s, one.label, one.told_s) for one in changes] == [
        (10, "jazz", 20),
        (60, "rock", 70),
        (120, "jazz", 130),
    ]
    assert taken_back == 1
    one = score([TRUE], lambda _: told)
    assert (one.missed, one.spurious, one.taken_back) == (0, 1, 1)


def test_a_change_that_is_taken_back_wholly_is_none() -> None:
    """Two stretches of one label in a row are one."""
    changes, taken_back = settled([Told(20, 10, "jazz"), Told(70, 60, "pop"), Told(75, 60, "jazz")])
    assert ([one.label for one in changes], taken_back) == (["jazz"], 1)


def test_each_boundary_is_matched_once() -> None:
    """The nearest wins; what is left over is spurious, and what is too far is no match."""
    assert matched([60.0], [58.0, 61.0, 62.0]) == [(0, 1)]
    assert matched([60.0, 70.0], [66.0]) == [(1, 0)]
    assert matched([60.0], [60.0 + TOLERANCE_S, 60.1 - 2 * TOLERANCE_S]) == [(0, 0)]
    assert matched([60.0], [60.1 + TOLERANCE_S]) == []


@given(st.lists(st.floats(0, 300), max_size=8), st.lists(st.floats(0, 300), max_size=8))
def test_no_boundary_is_used_twice(truth: list[float], told: list[float]) -> None:
    """Pairs are one to one and within the tolerance, and no pair more could be made of what is left."""
    pairs = matched(truth, told)
    left, right = [i for i, _ in pairs], [j for _, j in pairs]
    assert len(set(left)) == len(left) == len(set(right))
    assert all(abs(truth[i] - told[j]) <= TOLERANCE_S for i, j in pairs)
    for i in set(range(len(truth))) - set(left):
        assert all(abs(truth[i] - told[j]) > TOLERANCE_S for j in set(range(len(told))) - set(right))
