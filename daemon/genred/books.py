"""Books: what a station counts, epoch by epoch and all together.

The identities of `messages.Counters` hold whenever the worker looks. They are no definitions: what was captured is a
position in the ring, what was fed is what the epoch has taken, and what was overwritten is what reading the ring found.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

from .epoch import Epoch
from .health import Health
from .messages import Counters, Faults
from .sources import Intake

T = TypeVar("T", Counters, Faults)


@dataclass(eq=False)
class Stretch:
    """One epoch with its books.

    Attributes
    ----------
    number : int
        Of the epoch, in its station.
    begins_at : int
        Position in the intake's ring.
    clock_begins_at : int
        The same, counting what the clock found missing before.
    health : Health
        Of its sound.
    ended_at : int or None
        Position in the ring where it ended.
    lost, overwritten, unread : int
        Samples, at the source's rate; those unread were still in the ring when the station left.
    published, skipped, failed : int
        Windows; those that failed were skipped too.
    """

    number: int
    epoch: Epoch
    intake: Intake
    begins_at: int
    clock_begins_at: int
    health: Health
    ended_at: int | None = None
    lost: int = 0
    overwritten: int = 0
    unread: int = 0
    published: int = 0
    skipped: int = 0
    failed: int = 0

    @property
    def ring_fill(self) -> float:
        """How full the ring is, 0 to 1."""
        return min(self.intake.ring.waiting / self.intake.ring.capacity, 1.0)

    def counters(self) -> Counters:
        """Samples and windows as they stand."""
        ring = self.intake.ring
        written, read = (ring.written, ring.read_position) if self.ended_at is None else (self.ended_at,) * 2
        pushed = self.epoch.pushed - self.epoch.lost
        unframed = min(self.epoch.unframed, pushed)
        return Counters(
            expected=written - self.begins_at + self.lost,
            captured=written - self.begins_at,
            lost=self.lost,
            fed=pushed - unframed,
            overwritten=self.overwritten,
            discarded=0 if self.ended_at is None else unframed + self.unread,
            waiting=written - read + (unframed if self.ended_at is None else 0),
            due=self.epoch.due,
            published=self.published,
            skipped=self.skipped,
        )

    def faults(self) -> Faults:
        """What went wrong in this epoch."""
        return Faults(nonfinite=self.epoch.nonfinite, clipped=self.epoch.peak.clipped, failed=self.failed)


class Books:
    """All stretches of a station.

    Attributes
    ----------
    losses : int
        Times the source was lost.
    """

    def __init__(self) -> None:
        self.losses = 0
        self._intakes = Faults()  # of those that are closed
        self._counters = Counters()
        self._faults = Faults()
        self._unsettled: list[Stretch] = []

    def close(self, stretch: Stretch) -> None:
        """Take a stretch that has ended; its windows may still be on the way."""
        self._unsettled.append(stretch)

    def close_intake(self, intake: Intake) -> None:
        """Take an intake that has ended; it may have had several stretches."""
        self._intakes = _sum(self._intakes, _faults_of(intake))

    def settle(self) -> None:
        """Enter for good the stretches that have ended; their windows have all been answered."""
        for stretch in self._unsettled:
            self._counters = _sum(self._counters, stretch.counters())
            self._faults = _sum(self._faults, stretch.faults())
        self._unsettled.clear()

    def counters(self, present: Stretch | None) -> Counters:
        """All together, with those of the `present` stretch."""
        total = self._counters
        for stretch in self._open(present):
            total = _sum(total, stretch.counters())
        return total

    def faults(self, present: Stretch | None) -> Faults:
        """Everything that went wrong, but for what the supervisor counts."""
        total = _sum(_sum(self._faults, self._intakes), Faults(losses=self.losses))
        for stretch in self._open(present):
            total = _sum(total, stretch.faults())
        return _sum(total, _faults_of(present.intake)) if present else total

    def _open(self, present: Stretch | None) -> list[Stretch]:
        return [*self._unsettled, *([present] if present else [])]


def _faults_of(intake: Intake) -> Faults:
    return Faults(overflows=intake.overflows, interruptions=intake.interruptions)


def _sum(one: T, other: T) -> T:
    return type(one)(**{name: getattr(one, name) + getattr(other, name) for name in one.__struct_fields__})
