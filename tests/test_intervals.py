from __future__ import annotations

import numpy as np
import pytest

from genretrain.intervals import newcombe, wilson


def sides(both: int, one: int, other: int, neither: int) -> tuple[np.ndarray, np.ndarray]:
    """Which tracks each of two models has right, from how many."""
    counts = [both, one, other, neither]
    return np.repeat([True, True, False, False], counts), np.repeat([True, False, True, False], counts)


@pytest.mark.parametrize(
    ("right", "n", "low", "high"),
    [(8, 10, 0.4902, 0.9433), (0, 10, 0.0, 0.2775), (10, 10, 0.7225, 1.0), (81, 263, 0.2553, 0.3662)],
)
def test_intervals_are_wilsons(right, n, low, high):
    """The published values (Newcombe 1998 has 81 of 263); at the ends they stay within 0 and 1."""
    assert wilson(right, n) == pytest.approx((low, high), abs=1e-4)


def test_paired_intervals_are_newcombes():
    """The published value of 21 children before and after a transplant (Fagerland, Lydersen and Laake 2014)."""
    assert newcombe(*sides(1, 1, 7, 12)) == pytest.approx((-0.507, -0.026), abs=6e-4)


@pytest.mark.parametrize("shares", [(0.7, 0.1, 0.05, 0.15), (0.5, 0.2, 0.05, 0.25), (0.85, 0.02, 0.1, 0.03)])
def test_paired_intervals_hold_the_true_difference_as_often_as_they_say(shares):
    """At least 94 % of a thousand draws of 50 tracks, and not nearly all of them."""
    rng = np.random.default_rng(0)
    drawn = [newcombe(*sides(*rng.multinomial(50, shares))) for _ in range(1000)]
    held = np.mean([low <= shares[1] - shares[2] <= high for low, high in drawn])
    assert 0.94 <= held <= 0.985


def test_other_side_round_is_the_other_sign():
    """What one loses the other gains."""
    one, other = sides(30, 9, 3, 8)
    low, high = newcombe(one, other)
    assert newcombe(other, one) == pytest.approx((-high, -low))


@pytest.mark.parametrize("counts", [(40, 0, 0, 10), (50, 0, 0, 0), (0, 0, 0, 50)])
def test_tracks_that_all_stayed_alike_prove_no_certainty(counts):
    """Fifty of them leave some points open on either side; a bootstrap would say 0.0 to 0.0."""
    low, high = newcombe(*sides(*counts))
    assert low == pytest.approx(-high)
    assert 0.03 < high < 0.08
