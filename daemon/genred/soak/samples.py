"""Samples: what the system says of the daemon's process, and how fast its memory grows."""

from __future__ import annotations

import math
import os
import statistics
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from ..bench.process import Spent

BATCHES = 30  # means of the samples in a row: neighbouring samples know of each other
LEAST_S = 1200.0  # in less time a slope a hour says nothing


class Sample(msgspec.Struct, frozen=True, array_like=True):
    """One look: seconds since the start, resident memory in 10^6 bytes, CPU seconds and windows so far, stations."""

    at_s: float
    memory_mb: float
    descriptors: int
    threads: int
    cpu_s: float
    windows: int
    states: dict[str, int]


class Slope(msgspec.Struct, frozen=True, kw_only=True):
    """Growth of memory, 10^6 bytes an hour, with its 95 % interval, over `over_s` seconds."""

    mb_per_h: float
    low: float
    high: float
    over_s: float


class Span(msgspec.Struct, frozen=True):
    """First, last, least and greatest of what was counted."""

    first: int
    last: int
    least: int
    most: int


class Sampler:
    """Looks at process `pid`."""

    def __init__(self, pid: int) -> None:
        self._spent, self._folder = Spent(pid), Path(f"/proc/{pid}")
        self._began_s = time.monotonic()
        self.samples: list[Sample] = []

    def look(self, windows: int, states: dict[str, int]) -> None:
        """Take a sample, with what is known of windows and stations.

        Raises
        ------
        OSError
            If there is no such process any more.
        """
        self.samples.append(
            Sample(
                round(time.monotonic() - self._began_s, 2),
                self._spent.memory_mb(),
                len(os.listdir(self._folder / "fd")),  # noqa: PTH208 - names are all there is
                len(os.listdir(self._folder / "task")),  # noqa: PTH208
                round(self._spent.cost()[0], 2),
                windows,
                states,
            )
        )


def warm(samples: Sequence[Sample], warm_up_s: float) -> list[Sample]:
    """Samples after the warm-up."""
    return [sample for sample in samples if sample.at_s >= warm_up_s]


def slope(samples: Sequence[Sample]) -> Slope | None:
    """Straight line through the means of batches; None for samples too few, or over too short a time.

    The batches' residuals may still follow each other; then they count as fewer, by their correlation.
    """
    if len(samples) < 3 * BATCHES or (over_s := samples[-1].at_s - samples[0].at_s) < LEAST_S:
        return None
    pieces = np.array_split(np.array([(sample.at_s / 3600, sample.memory_mb) for sample in samples]), BATCHES)
    hours, memory = np.array([piece.mean(axis=0) for piece in pieces]).T
    centred = hours - hours.mean()
    spread = float(centred @ centred)
    mb_per_h = float(centred @ memory) / spread
    residuals = memory - memory.mean() - mb_per_h * centred
    follow = min(max(_correlation(residuals), 0.0), 0.9)
    effective = max(BATCHES * (1 - follow) / (1 + follow), 6.0)
    half = _student(effective - 2) * math.sqrt(float(residuals @ residuals) / ((effective - 2) * spread))
    return Slope(mb_per_h=mb_per_h, low=mb_per_h - half, high=mb_per_h + half, over_s=over_s)


def _correlation(values: NDArray[np.float64]) -> float:
    """Of each with the next one."""
    power = float(values @ values)
    return float(values[1:] @ values[:-1]) / power if power else 0.0


def _student(freedom: float) -> float:
    """Factor of a two-sided 95 % interval of Student's t (Cornish and Fisher's expansion)."""
    z = statistics.NormalDist().inv_cdf(0.975)
    return z + (z**3 + z) / (4 * freedom) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * freedom**2)


def span(counts: Sequence[int]) -> Span:
    """Of `counts`, which are at least one."""
    return Span(counts[0], counts[-1], min(counts), max(counts))
