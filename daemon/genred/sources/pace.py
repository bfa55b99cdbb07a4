"""Pace: a stream that comes some seconds at once is handed over as it would sound, and keeps its own time.

What arrives is complete up to its end, so its last sample sounded at its arrival, or before: the start of the stream is
the least of arrival less length. Samples are handed over a steady `hold_s` after they sounded.
"""

from __future__ import annotations

from collections import deque

REMEMBERED = 20  # arrivals: long enough for one that was not late, too short for two clocks to drift apart


class Pace:
    """Positions are in seconds of audio since the stream began.

    Parameters
    ----------
    hold_s : float
        Long enough that the next segment has come before this one has been handed over.
    """

    def __init__(self, hold_s: float) -> None:
        self._hold_s = hold_s
        self._starts_s: deque[float] = deque(maxlen=REMEMBERED)
        self._error_s = 0.0

    def arrived(self, end_s: float, now_s: float) -> None:
        """Note that all up to `end_s`, as the playlist counts, has come by `now_s`."""
        self._starts_s.append(now_s - end_s)

    def reached(self, position_s: float, end_s: float) -> None:
        """Note that what the playlist counts as `end_s` is in truth `position_s`: its lengths may be wrong."""
        self._error_s = position_s - end_s

    def sounded_s(self, position_s: float) -> float:
        """Monotonic time at which the sample there sounded, at the latest."""
        return min(self._starts_s) + position_s - self._error_s

    def due_s(self, position_s: float) -> float:
        """Monotonic time at which it is handed over."""
        return self.sounded_s(position_s) + self._hold_s
