"""Recovery: which faults there were, and how long each one's station took to come back."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

MOST_S = 90.0  # a supervisor waits at most 60 s, and a window has to fill


class Occurrence(msgspec.Struct):
    """One fault that happened; times are seconds since the start of the run.

    Attributes
    ----------
    at_s, over_s : float
        When it began, and was over.
    kind : str
    station : str
        The one it happened to; empty if that is the daemon.
    back_s : float or None
        From its end to the next answered window of that station, or of any.
    note : str
        Why there is no `back_s`: ``overtaken`` by another fault of that station, or it was ``taken out`` by a reload.
    """

    at_s: float
    over_s: float
    kind: str
    station: str
    back_s: float | None = None
    note: str = ""


class Recoveries:
    """All faults, in order.

    Attributes
    ----------
    all : list of Occurrence
    """

    def __init__(self) -> None:
        self.all: list[Occurrence] = []
        self._waiting: dict[str, list[Occurrence]] = {}

    def begin(self, occurrence: Occurrence) -> None:
        """Note a fault; one of the same station that is still waited for is overtaken."""
        if occurrence.station:
            self._give_up(occurrence.station, "overtaken")
        self.all.append(occurrence)
        self._waiting.setdefault(occurrence.station, []).append(occurrence)

    def take_out(self, station: str) -> None:
        """Note that `station` is no more."""
        self._give_up(station, "taken out")

    def answered(self, station: str, now_s: float) -> None:
        """Note an answered window."""
        for name in ("", station):
            for occurrence in self._over(name, now_s):
                occurrence.back_s = round(now_s - occurrence.over_s, 3)
                self._waiting[name].remove(occurrence)

    def pending(self, now_s: float) -> int:
        """How many are waited for, and could still be in time."""
        return sum(now_s - one.over_s < MOST_S for waiting in self._waiting.values() for one in waiting)

    def late(self, now_s: float) -> list[Occurrence]:
        """Those that came back too late, or should be back and are not."""
        came = [one for one in self.all if one.back_s is not None and one.back_s >= MOST_S]
        return came + [one for waiting in self._waiting.values() for one in waiting if now_s - one.over_s >= MOST_S]

    def _over(self, name: str, now_s: float) -> Iterator[Occurrence]:
        return iter([one for one in self._waiting.get(name, ()) if one.over_s <= now_s])

    def _give_up(self, station: str, note: str) -> None:
        for occurrence in self._waiting.pop(station, []):
            occurrence.note = note
