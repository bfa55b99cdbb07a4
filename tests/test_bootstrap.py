from __future__ import annotations

import numpy as np
import pytest

from genretrain import bootstrap


def test_a_paired_interval_is_that_of_the_differences():
    """200 tracks, of which 40 only the one has right and 20 only the other: 0.1, deviation sqrt(0.3 - 0.01)."""
    run = np.repeat([1, -1, 0], [40, 20, 140])
    half = 1.96 * np.sqrt((0.3 - 0.01) / 200)
    assert bootstrap.paired([run]) == pytest.approx((0.1 - half, 0.1 + half), abs=0.006)


def test_models_that_differ_on_no_track_differ_by_nothing():
    """Nothing is drawn but zeros."""
    assert bootstrap.paired([np.zeros(200, np.int64)] * 3) == (0.0, 0.0)


def test_tracks_that_hang_together_count_as_one():
    """Ten groups of ten equal values are ten values, not a hundred: sqrt(10) times as wide."""
    rng = np.random.default_rng(0)
    values = rng.normal(size=10)
    single = np.diff(bootstrap.grouped(values, np.arange(10)))[0]
    together = np.diff(bootstrap.grouped(values.repeat(10), np.arange(10).repeat(10)))[0]
    apart = np.diff(bootstrap.grouped(values.repeat(10), np.arange(100)))[0]
    assert together == pytest.approx(single, rel=0.01)
    assert together / apart == pytest.approx(np.sqrt(10), rel=0.1)
