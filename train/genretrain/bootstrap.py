"""Bootstrap (Efron 1979): 95 % intervals by drawing again from what was drawn.

Drawing n tracks with replacement, each right with probability p, is one draw of a binomial distribution; no track has
to be drawn by itself. The draws are the same at every call.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

DRAWS = 10_000

Interval = tuple[float, float]


def interval(shares: list[float], tracks: list[int]) -> Interval:
    """Of the mean of `shares` of right answers, over runs and over each run's `tracks`."""
    rng = np.random.default_rng(0)
    drawn = rng.integers(len(shares), size=(DRAWS, len(shares)))  # which runs
    n, p = np.asarray(tracks)[drawn], np.asarray(shares)[drawn]
    return _middle((rng.binomial(n, p) / n).mean(axis=1))


def paired(differences: list[NDArray[np.int64]]) -> Interval:
    """Of the mean difference of two models on the same tracks: of each run -1, 0 or 1 by track."""
    rng = np.random.default_rng(0)
    shares = np.array([[np.mean(run == value) for value in (-1, 0, 1)] for run in differences])  # [runs, 3]
    tracks = np.array([len(run) for run in differences])
    drawn = rng.integers(len(differences), size=(DRAWS, len(differences)))  # which runs
    counts = rng.multinomial(tracks[drawn], shares[drawn])  # [DRAWS, runs, 3]
    return _middle(((counts[..., 2] - counts[..., 0]) / tracks[drawn]).mean(axis=1))


def grouped(values: NDArray[np.float64], groups: NDArray[np.int64]) -> Interval:
    """Of the mean of `values`, of which those of one group are drawn together or not at all."""
    rng = np.random.default_rng(0)
    sums, sizes = np.bincount(groups, values), np.bincount(groups)
    drawn = rng.integers(len(sums), size=(DRAWS, len(sums)))
    return _middle(sums[drawn].sum(axis=1) / sizes[drawn].sum(axis=1))


def _middle(means: NDArray[np.float64]) -> Interval:
    low, high = np.quantile(means, (0.025, 0.975))
    return float(low), float(high)
