"""Intervals: 95 % of a share of tracks, and of the difference of two shares on the same tracks, in closed form.

Unlike a bootstrap they do not claim certainty where no track was answered otherwise.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

_Z = 1.959964  # 97.5 % of the normal distribution lie below: a 95 % interval

Interval = tuple[float, float]
Right = NDArray[np.bool_]  # [tracks]


def wilson(correct: int, n: int) -> Interval:
    """Of a share (Wilson 1927)."""
    centre = (correct + _Z**2 / 2) / (n + _Z**2)
    half = _Z / (n + _Z**2) * math.sqrt(correct * (n - correct) / n + _Z**2 / 4)
    return max(centre - half, 0.0), min(centre + half, 1.0)


def newcombe(one: Right, other: Right) -> Interval:
    """Of the share right in `one` less that in `other`, the same tracks (Newcombe 1998, Statist. Med. 17:2635, no. 10).

    The Wilson intervals of both shares, put together with the correlation of the two.
    """
    p, q = float(one.mean()), float(other.mean())
    (p_low, p_high), (q_low, q_high) = (wilson(int(side.sum()), len(side)) for side in (one, other))
    phi = _correlation(one, other)

    def reach(a: float, b: float) -> float:
        return math.sqrt(max(a * a - 2.0 * phi * a * b + b * b, 0.0))

    return p - q - reach(p - p_low, q_high - q), p - q + reach(p_high - p, q - q_low)


def _correlation(one: Right, other: Right) -> float:
    """Of right answers, corrected for continuity; 0 where one side has only right or only wrong ones."""
    n, right, right_too = len(one), int(one.sum()), int(other.sum())
    both, neither = int((one & other).sum()), int((~one & ~other).sum())
    excess: float = both * neither - (right - both) * (right_too - both)
    margins = right * (n - right) * right_too * (n - right_too)
    if excess > 0:
        excess = max(excess - n / 2, 0.0)
    return excess / math.sqrt(margins) if margins else 0.0
