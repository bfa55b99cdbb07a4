"""What the signal is like before anyone classifies it, and before the gain."""

from __future__ import annotations

from collections import deque
from itertools import islice

import numpy as np

from .features import Samples, decibels

SILENCE_DBFS = -70.0
SILENCE_S = 3.0  # what is quieter than SILENCE_DBFS over this long is silence
CLIP_LEVEL = 0.999


class HopLevels:
    """Power of each hop of a stream, for as long as anyone looks back.

    Parameters
    ----------
    hop_length : int
        Samples in a hop of the features.
    sample_rate : int
        Hz; with `hop_length` it says how many hops SILENCE_S is.
    window_hops : int
        Hops in the shortest window; one that is shorter than SILENCE_S is silent if all of it is.
    longest_hops : int
        The most that `dbfs` will be asked for.
    """

    def __init__(self, hop_length: int, sample_rate: int, window_hops: int, longest_hops: int) -> None:
        self._hop_length = hop_length
        self._silence_hops = max(1, min(round(SILENCE_S * sample_rate / hop_length), window_hops))
        self._powers: deque[float] = deque(maxlen=max(self._silence_hops, longest_hops))
        self._partial: Samples = np.empty(0, np.float32)

    def push(self, samples: Samples) -> None:
        """Take `samples` [N]."""
        samples = np.concatenate([self._partial, samples])
        whole = len(samples) // self._hop_length * self._hop_length
        hops = samples[:whole].reshape(-1, self._hop_length)
        self._powers.extend(np.mean(np.square(hops, dtype=np.float64), axis=1).tolist())
        self._partial = samples[whole:]

    def dbfs(self, hops: int) -> float:
        """RMS level of the newest `hops` hops, dBFS (full scale is amplitude 1)."""
        newest = list(islice(reversed(self._powers), hops))
        return decibels(sum(newest) / len(newest)) if newest else decibels(0.0)

    @property
    def silent(self) -> bool:
        """Whether the newest SILENCE_S were all together below SILENCE_DBFS."""
        return len(self._powers) >= self._silence_hops and self.dbfs(self._silence_hops) < SILENCE_DBFS


class Peak:
    """Greatest sample, and how many were clipped, since last asked."""

    def __init__(self) -> None:
        self._peak = 0.0
        self.clipped = 0  # samples since the epoch began

    def push(self, samples: Samples) -> None:
        """Take `samples` [N]."""
        magnitude = np.abs(samples)
        self._peak = max(self._peak, float(magnitude.max(initial=0.0)))
        self.clipped += int(np.count_nonzero(magnitude >= CLIP_LEVEL))

    def take_dbfs(self) -> float:
        """Peak level since this was last called, dBFS."""
        peak, self._peak = self._peak, 0.0
        return decibels(peak * peak)
