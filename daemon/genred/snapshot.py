"""Snapshot: what is known of a daemon at one moment, immutable, for whoever shows it."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from msgspec import UNSET

from .messages import Estimate, Event, Hello, Segment, Status

SLOT_S = 2.0  # of the past that is shown as one column
SLOTS = 300  # ten minutes
HELD_PEAKS = 3  # seconds that a peak is held
SHARE_STEPS = 40  # marks are rounded to so many steps, so that thousands of them are a few objects
TROUBLE = ("loss", "overrun", "overload", "error", "clock-step")


class Mark(NamedTuple):
    """What was heard in one slot: a label and its confidence, or the reason why there is none, and 0."""

    what: str
    share: float


@dataclass(frozen=True)
class StationView:
    """What is known of one station.

    Attributes
    ----------
    estimate : Estimate or None
        Its newest.
    past : tuple of Mark or None
        One a slot of SLOT_S, the newest last; None where nothing was heard.
    slot : int
        Number of the newest slot, counted on for ever: by it several slots make the same column while time goes on.
    hold_dbfs : float
        The greatest sample of the last HELD_PEAKS seconds.
    segment : Segment or None
        The one that goes on, as it was last told.
    stale_s : float
        How long nothing has been heard of a station that should tell of itself each second; 0 while it does.
    """

    status: Status
    estimate: Estimate | None
    past: tuple[Mark | None, ...] = ()
    slot: int = 0
    hold_dbfs: float = -120.0
    stale_s: float = 0.0
    segment: Segment | None = None


@dataclass(frozen=True)
class Snapshot:
    """See the module; replaced as a whole.

    Attributes
    ----------
    hello : Hello or None
        None while no daemon has said what it is.
    finished : bool
        Every source has ended.
    remark : str
        What is wrong with all of it, for people.
    """

    hello: Hello | None
    endpoint: str
    stations: tuple[StationView, ...] = ()
    finished: bool = False
    remark: str = ""


class History:
    """The last minutes of one station; belongs to one thread."""

    def __init__(self) -> None:
        self._slot = 0  # number of the newest
        self._marks: deque[Mark | None] = deque(maxlen=SLOTS)
        self._peaks: deque[float] = deque([-120.0], maxlen=HELD_PEAKS)
        self._newest: Estimate | None = None

    def heard(self, estimate: Estimate, now_s: float) -> None:
        """Note `estimate`, made at `now_s`: for its slot, and for those before that its audio has come in."""
        self._move(now_s)
        mark = mark_of(estimate)
        self._marks[-1] = mark
        for empty in range(2, 2 + int(_advance_s(self._newest, estimate) / SLOT_S)):
            if empty > len(self._marks) or self._marks[-empty] is not None:
                break
            self._marks[-empty] = mark
        self._newest = estimate

    def measured(self, status: Status) -> None:
        """Note the peak of the last second."""
        self._peaks.append(status.peak_dbfs)

    def view(
        self,
        status: Status,
        estimate: Estimate | None,
        now_s: float,
        stale_s: float = 0.0,
        segment: Segment | None = None,
    ) -> StationView:
        """View of the station; the newest slot is not empty before it is over."""
        self._move(now_s - SLOT_S)
        marks, held_dbfs = tuple(self._marks), max(self._peaks)
        return StationView(status, estimate, marks, self._slot, held_dbfs, stale_s, segment)

    def _move(self, now_s: float) -> None:
        """Open the slots up to `now_s`."""
        slot = int(now_s // SLOT_S)
        ahead = slot - self._slot if self._marks else 1
        self._marks.extend([None] * min(max(ahead, 0), SLOTS))
        self._slot = max(slot, self._slot)


def _advance_s(before: Estimate | None, estimate: Estimate) -> float:
    """Seconds of audio that have come between two estimates; 0 if they are not of one epoch."""
    if before is None or (before.boot, before.epoch) != (estimate.boot, estimate.epoch):
        return 0.0
    samples = estimate.last_sample - before.last_sample
    length = estimate.last_sample - estimate.first_sample + 1
    return min(max(samples, 0) * estimate.window_s / max(length, 1), SLOTS * SLOT_S)


def mark_of(estimate: Estimate) -> Mark:
    """Return `estimate` as one column of the past."""
    what, share = steady(estimate)
    return _mark(what, round(min(max(share, 0.0), 1.0) * SHARE_STEPS))


def steady(estimate: Estimate) -> tuple[str, float]:
    """Smoothed label and its confidence, or the reason why there is none, and 0; without smoothing the window's own."""
    answer = estimate if estimate.smoothed is UNSET else estimate.smoothed
    if answer.label is UNSET or answer.confidence is UNSET:
        return str(answer.reason), 0.0
    return answer.label, answer.confidence


@lru_cache(maxsize=4096)
def _mark(what: str, steps: int) -> Mark:
    return Mark(what, steps / SHARE_STEPS)


def going_on(segment: Segment) -> Segment | None:
    """Return `segment` if it has not ended."""
    return None if segment.phase == "end" else segment


def is_trouble(event: Event) -> bool:
    """Whether `event` is worth a warning."""
    begins = event.event == "signal" and event.duration_ms is UNSET
    return begins or event.event in TROUBLE or event.state in ("lost", "stalled")


def describe(event: Event) -> str:
    """One line for the log."""
    subject = f"{event.station}: " if event.station else ""
    if event.event != "state" or event.text == event.state:
        return f"{subject}{event.text}"
    return f"{subject}{event.state}: {event.text}"
