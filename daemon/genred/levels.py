"""What the signal is like before anyone classifies it, and before the gain."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from itertools import islice

import numpy as np

from .config import THRESHOLDS, Thresholds
from .features import Samples, amplitude, decibels
from .messages import Signal

CLIP_LEVEL = 0.999
MOST_CHANGES = 1000  # kept for whoever asks


@dataclass(frozen=True)
class Change:
    """Something begins to be wrong with a signal, or is over.

    Attributes
    ----------
    signal : str
        What.
    begin_s : float
        When it began, seconds from the epoch's beginning.
    lasted_s : float or None
        Once it is over.
    channel : int or None
        Which, from 1, if it is one.
    """

    signal: Signal
    begin_s: float
    lasted_s: float | None = None
    channel: int | None = None


class Quiet:
    """Whether a stream is quiet: its newest `hops` together below a level; a little above it quiet ends.

    Parameters
    ----------
    hops : int
    thresholds : Thresholds
    """

    def __init__(self, hops: int, thresholds: Thresholds) -> None:
        self.hops = hops
        self.now = False
        self._powers: deque[float] = deque(maxlen=hops)
        self._sum = 0.0  # of them; what adding and taking away leaves of rounding stays far below any threshold
        self._begins_below = hops * amplitude(thresholds.silence_dbfs) ** 2
        self._ends_above = hops * amplitude(thresholds.silence_dbfs + thresholds.hysteresis_db) ** 2

    def push(self, power: float) -> bool:
        """Take the power of a hop; say whether quiet has begun or ended with it."""
        full = len(self._powers) == self.hops
        self._sum += power - (self._powers[0] if full else 0.0)
        self._powers.append(power)
        before = self.now
        if len(self._powers) == self.hops:
            self.now = self._sum < (self._ends_above if before else self._begins_below)
        return self.now != before


class HopLevels:
    """Power of each hop of a stream, for as long as anyone looks back, and silence.

    For silence a constant value does not count: an input that is frozen makes no sound.

    Parameters
    ----------
    hop_length : int
        Samples in a hop of the features.
    sample_rate : int
        Hz; with `hop_length` it says how many hops ``silence_s`` is.
    window_hops : int
        Hops in the shortest window; one that is shorter than ``silence_s`` is silent if all of it is.
    longest_hops : int
        The most that `dbfs` will be asked for.
    thresholds : Thresholds

    Attributes
    ----------
    changes : deque of Change
        Silences that began or ended, until somebody takes them.
    """

    def __init__(
        self,
        hop_length: int,
        sample_rate: int,
        window_hops: int,
        longest_hops: int,
        thresholds: Thresholds = THRESHOLDS,
    ) -> None:
        self.changes: deque[Change] = deque(maxlen=MOST_CHANGES)
        self._hop_length, self._hop_s = hop_length, hop_length / sample_rate
        self._window_hops = window_hops
        self._powers: deque[float] = deque(maxlen=longest_hops)
        self._partial: Samples = np.empty(0, np.float32)
        self._hops = 0
        self._began_s = 0.0
        self._watch(thresholds)

    def _watch(self, thresholds: Thresholds) -> None:
        hops = max(1, round(thresholds.silence_s / self._hop_s))
        self._silence = Quiet(hops, thresholds)
        self._quiet_window = Quiet(min(hops, self._window_hops), thresholds) if hops > self._window_hops else None

    def watch(self, thresholds: Thresholds) -> None:
        """Go by other thresholds from now on; what is silent is over first."""
        self.close()
        self._watch(thresholds)

    def push(self, samples: Samples) -> None:
        """Take `samples` [N]."""
        samples = np.concatenate([self._partial, samples])
        whole = len(samples) // self._hop_length * self._hop_length
        hops = samples[:whole].reshape(-1, self._hop_length)
        squares = np.mean(np.square(hops, dtype=np.float64), axis=1)
        means = np.mean(hops, axis=1, dtype=np.float64)
        self._powers.extend(squares.tolist())
        for power in np.maximum(squares - means * means, 0.0).tolist():
            self._hops += 1
            if self._silence.push(power):
                self._note()
            if self._quiet_window is not None:
                self._quiet_window.push(power)
        self._partial = samples[whole:]

    def close(self) -> None:
        """End what is silent: the stream has ended."""
        if self._silence.now:
            self._silence.now = False
            self._note()

    def _note(self) -> None:
        """Keep that silence has begun, with its first hop, or ended with the newest."""
        now_s = self._hops * self._hop_s
        if self._silence.now:
            self._began_s = now_s - self._silence.hops * self._hop_s
            self.changes.append(Change("silence", self._began_s))
        else:
            self.changes.append(Change("silence", self._began_s, now_s - self._began_s))

    def dbfs(self, hops: int) -> float:
        """RMS level of the newest `hops` hops, dBFS (full scale is amplitude 1)."""
        newest = list(islice(reversed(self._powers), hops))
        return decibels(sum(newest) / len(newest)) if newest else decibels(0.0)

    @property
    def silent(self) -> bool:
        """Whether the newest ``silence_s`` were all together too quiet."""
        return self._silence.now

    @property
    def window_silent(self) -> bool:
        """Whether a window that ends here is about silence."""
        return self._silence.now or (self._quiet_window is not None and self._quiet_window.now)


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
