"""Samples <-> monotonic time <-> UTC, and loss by the clock.

A source says how many samples it has delivered and when. Each delivery is late by some unknown, varying delay, never
early; so the *lower envelope* of ``arrival - position / rate`` is the time of the first sample plus the smallest delay,
and it moves only with the drift between the two clocks. A level that stays above it is audio that never came.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice

BUCKET_S = 1.0
HISTORY_BUCKETS = 300
LARGE_LOSS_S, LARGE_BUCKETS = 0.7, 2  # this much above the envelope is believed after so many buckets
SMALL_LOSS_S, SMALL_BUCKETS = 0.04, 10  # load delays by up to 0.6 s
STEADY_S = 0.02  # the delays of those buckets agree this well: no backlog is draining, no load is passing
DRIFT_BUCKETS = 60  # a drift is fitted to no less
MAX_DRIFT = 2e-4  # seconds a second; sound cards stay within 1e-4, and more would take a shorter delay for a drift


@dataclass(frozen=True)
class _Bucket:
    time_s: float
    delay_s: float  # the least in the bucket


class SampleClock:
    """Times of the samples of one epoch, from the deliveries of its source.

    Parameters
    ----------
    rate_hz : int
        The source's own rate.
    """

    def __init__(self, rate_hz: int) -> None:
        self.rate_hz = rate_hz
        self._buckets: deque[_Bucket] = deque(maxlen=HISTORY_BUCKETS)
        self._open: _Bucket | None = None
        self._ends_s = 0.0
        self._changed = False  # a bucket was closed since `lost` was last asked

    def delivered(self, position: int, now_s: float) -> None:
        """Note that samples before `position`, lost ones included, had been delivered at `now_s`."""
        delay = now_s - position / self.rate_hz
        if self._open is None or now_s >= self._ends_s:
            if self._open is not None:
                self._buckets.append(self._open)
                self._changed = True
            self._open = _Bucket(now_s, delay)
            self._ends_s = now_s + BUCKET_S
        elif delay < self._open.delay_s:
            self._open = _Bucket(now_s, delay)

    def monotonic(self, position: int) -> float | None:
        """When the sample at `position` sounded, at the latest; None before the first delivery."""
        known = list(self._buckets) + ([self._open] if self._open else [])
        if not known:
            return None
        return position / self.rate_hz + self._envelope(known, known[-1].time_s)

    def lost(self) -> int:
        """Samples that never came since this was last asked; the caller counts them into later positions."""
        if not self._changed:
            return 0
        self._changed = False
        for excess_s, count in ((LARGE_LOSS_S, LARGE_BUCKETS), (SMALL_LOSS_S, SMALL_BUCKETS)):
            missing_s = self._steady_excess(count)
            if missing_s >= excess_s:
                for _ in range(count):
                    self._buckets.pop()
                self._open = None
                return round(missing_s * self.rate_hz)
        return 0

    def _steady_excess(self, count: int) -> float:
        """How far the last `count` buckets lie above the envelope of those before, if they agree."""
        if len(self._buckets) <= count:
            return 0.0
        split = len(self._buckets) - count
        delays = [bucket.delay_s for bucket in islice(self._buckets, split, None)]
        if max(delays) - min(delays) > STEADY_S:
            return 0.0
        before = list(islice(self._buckets, split))
        return min(delays) - self._envelope(before, self._buckets[-1].time_s)

    def _envelope(self, buckets: list[_Bucket], at_s: float) -> float:
        drift = self._drift(buckets)
        return min(b.delay_s + drift * (at_s - b.time_s) for b in buckets)

    @staticmethod
    def _drift(buckets: list[_Bucket]) -> float:
        """Slope of the envelope, from the least delay of either half."""
        if len(buckets) < DRIFT_BUCKETS:
            return 0.0
        half = len(buckets) // 2
        early, late = (min(part, key=lambda b: b.delay_s) for part in (buckets[:half], buckets[half:]))
        slope = (late.delay_s - early.delay_s) / max(late.time_s - early.time_s, BUCKET_S)
        return min(max(slope, -MAX_DRIFT), MAX_DRIFT)


REREAD_S = 60.0
STEP_S = 0.5


class UtcClock:
    """UTC as monotonic time plus an offset that is read again each minute.

    Parameters
    ----------
    wall, monotonic : callable
        The two clocks, in seconds.
    """

    def __init__(self, wall: Callable[[], float] = time.time, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._wall, self._monotonic = wall, monotonic
        self._offset_s = wall() - monotonic()
        self._reread_s = monotonic() + REREAD_S

    def step(self) -> float:
        """Read the offset again if a minute has passed; return its change in seconds if that is a step, else 0."""
        now = self._monotonic()
        if now < self._reread_s:
            return 0.0
        self._reread_s = now + REREAD_S
        offset = self._wall() - now
        change, self._offset_s = offset - self._offset_s, offset
        return change if abs(change) >= STEP_S else 0.0

    def text(self, monotonic_s: float) -> str:
        """RFC 3339 in UTC, to the microsecond, of a monotonic time."""
        return datetime.fromtimestamp(monotonic_s + self._offset_s, UTC).isoformat().replace("+00:00", "Z")
