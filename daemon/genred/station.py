"""Station: one named input as the worker sees it: its epochs, its gaps, its state.

Everything here belongs to the worker's thread; the source runs in one that its Supervisor starts.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

import msgspec
import numpy as np
from msgspec import UNSET

from .books import Books, Stretch
from .clock import SampleClock
from .config import THRESHOLDS, Thresholds
from .epoch import Epoch, Window
from .health import Health
from .levels import Change
from .messages import Counters, Event, Faults, State
from .ring import Block
from .sources import Intake, Opened, Stamp
from .supervisor import Notice, Supervisor
from .titles import Titles

FILLED_S = 1.0  # a gap up to this long is filled with zeros; after a longer one a new epoch begins
LOOK_S = 1.0  # a station is listened to at least so often
CONNECTED_S = 5.0  # a source that has not connected for so long is stalled, too: its thread may hang in C
STALLED_S = 2.0  # a live source that delivers nothing for so long is stalled

NewEpoch = Callable[[int, float | None, Thresholds], Epoch]  # (rate_hz, gain_db, thresholds)


@dataclass(frozen=True)
class Due:
    """A window to be judged, and where it comes from.

    Attributes
    ----------
    handed_over_s : float
        Monotonic time at which the block that completed it was handed over.
    heard_s : float or None
        Monotonic time at which its last sample sounded.
    """

    station: Station
    stretch: Stretch
    window: Window
    handed_over_s: float
    heard_s: float | None


class Station:
    """See the module.

    Parameters
    ----------
    name : str
    uri : str
        As it may be shown to everybody.
    opened : Opened
    new_epoch : callable
        Makes the Epoch of a rate.
    supervisor : Supervisor
        Runs ``opened.source``.
    thresholds : Thresholds
        From when on something is wrong with its signal.
    turn : int
        Which of many: their windows fall due one after the other.

    Attributes
    ----------
    stretch : Stretch or None
        The present epoch; None while nothing is connected.
    epochs : int
        How many there were; the next one has this number.
    events : list of (Event, float or None)
        What happened since the worker last took them; of a signal, with the monotonic time at which it began to sound.
    late : int
        Windows skipped since the worker last looked, because it came too late for them.
    """

    def __init__(
        self,
        name: str,
        uri: str,
        opened: Opened,
        new_epoch: NewEpoch,
        supervisor: Supervisor,
        thresholds: Thresholds = THRESHOLDS,
        turn: int = 0,
    ) -> None:
        self.name, self.uri, self.source, self.turn = name, uri, opened.source, turn
        self.state: State = "connecting"
        self.text = ""
        self.since_s = time.monotonic()
        self.stretch: Stretch | None = None
        self.last_stretch: Stretch | None = None  # the newest one that had audio
        self.events: list[tuple[Event, float | None]] = []
        self.late = 0
        self._thresholds = thresholds
        self._gain_db = opened.gain_db
        self._new_epoch = new_epoch
        self._supervisor = supervisor
        self._clock: SampleClock | None = None
        self._missing = 0  # samples the clock found missing in this intake
        self._absent = False  # the device was gone, and nobody has counted yet for how long
        self._last_block_s = 0.0
        self._connected_s = 0.0
        self._listened_s = -math.inf
        self._books = Books()
        self.epochs = 0
        self._titles = Titles()

    def wants(self, now_s: float) -> bool:
        """Whether to listen now; to ask costs little, to listen costs much the same for few samples as for many."""
        if now_s - self._listened_s >= LOOK_S or self._supervisor.news:
            return True
        return self.stretch is not None and self.stretch.intake.pressing

    def listen(self, now_s: float) -> list[Due]:
        """Hear what has come; return the windows that are due. A live station keeps only its newest."""
        self._books.settle()
        notice = self._supervisor.attend(now_s)
        dues: list[Due] = []
        while self._connect(now_s):
            closed = self._present.intake.closed
            dues += self._hear()
            if not closed:
                break
            self._watch(now_s)  # it may have come and gone since the last round, and was there all the same
            dues += self._finish()
        if notice is not None:  # taken before the audio was, so all the audio that it ends has been heard
            self._heed(notice, now_s)
        self._watch(now_s)
        self._tell_title(now_s)
        self._listened_s = now_s
        return self._newest(dues, now_s) if self.source.live else dues

    def _expect(self) -> None:
        """Say at which sample the next window will be complete, or the next hop of the first one."""
        intake, epoch = self._present.intake, self._present.epoch
        missing_s = min(epoch.until_due_s, epoch.hop_s)
        intake.wanted = intake.ring.read_position + math.ceil(missing_s * intake.rate_hz)

    def until_due_s(self, now_s: float) -> float:
        """Seconds until the next window can be complete, 0 if overdue; inf if there is nothing to wait for."""
        if self.stretch is None or self.state == "stalled":
            return float("inf")
        return max(self.stretch.epoch.until_due_s - (now_s - self._last_block_s), 0.0)

    def counters(self) -> tuple[Counters, Counters]:
        """Of the present (or last) epoch, and of all together."""
        latest = self.last_stretch.counters() if self.last_stretch else Counters()
        return latest, self._books.counters(self.stretch)

    def faults(self) -> Faults:
        """Everything that went wrong so far."""
        supervisor, faults = self._supervisor, self._books.faults(self.stretch)
        return msgspec.structs.replace(faults, undecoded=supervisor.undecoded, crashes=supervisor.crashes)

    @property
    def next_try_s(self) -> float | None:
        """While lost, the monotonic time of the next attempt."""
        return self._supervisor.next_try_s if self.state == "lost" else None

    def watch(self, thresholds: Thresholds) -> None:
        """Go by these thresholds from now on."""
        if thresholds != self._thresholds:
            self._thresholds = thresholds
            if self.stretch is not None:
                self.stretch.epoch.levels.watch(thresholds)
                self.stretch.health.watch(thresholds)

    def hear_for(self, new_epoch: NewEpoch, *, same_windows: bool) -> None:
        """Make windows for another model from now on.

        Where they are the same, none is missed; else a new epoch begins, and warm-up with it.
        """
        self._new_epoch = new_epoch
        if self.stretch is None:
            return
        if same_windows:
            self.stretch.epoch.forget()
            return
        intake = self.stretch.intake
        at = intake.ring.read_position
        self._end(at)
        self._begin(intake, at)
        self._expect()

    def leave(self, now_s: float, why: str) -> None:
        """End for good, before the source does."""
        self.stop()
        if self.stretch is not None:
            ring = self.stretch.intake.ring
            written = ring.written  # the source's thread may still write
            self.stretch.unread = written - ring.read_position
            self._books.close_intake(self.stretch.intake)
            self._end(written)
        self._become("ended", now_s, why)

    def stop(self) -> None:
        """Ask the source to end; it is not waited for. From any thread."""
        self._supervisor.end()

    @property
    def _present(self) -> Stretch:
        assert self.stretch is not None, "asked for only while connected"
        return self.stretch

    def _connect(self, now_s: float) -> bool:
        """Take the next connection if there is none and one has come; say whether there is one to read."""
        if self.stretch is None and self._supervisor.arrivals:
            intake = self._supervisor.arrivals.popleft()
            self._clock = None if self.source.clock == "none" else SampleClock(intake.rate_hz)
            self._missing = 0
            self._connected_s = now_s
            self._absent = self.source.clock == "device" and self._last_block_s > 0
            self._begin(intake, at=0)
            intake.wanted = 1  # that it sounds is news
        return self.stretch is not None

    def _hear(self) -> list[Due]:
        """Take what has come by now and no more: a fast writer would keep the worker here."""
        dues: list[Due] = []
        intake = self._present.intake
        for left in reversed(range(len(intake.stamps))):
            stamp = intake.stamps.popleft()
            self._count_absence(stamp)
            self._last_block_s = stamp.monotonic_s
            missing = self._ask_clock(stamp)
            if missing or not left or stamp.position >= max(intake.wanted, intake.ring.oldest + 1):
                dues += self._feed(stamp)  # at once what completes no window: a call costs more than its samples
                dues += self._lose(missing, stamp) if missing else []
        self._titles.hear(intake)
        return dues

    def _feed(self, stamp: Stamp) -> list[Due]:
        """Feed what has been handed over up to `stamp`."""
        dues: list[Due] = []
        read = self._present.intake.ring.read(stamp.position)
        if read.overwritten:
            dues += self._overrun(read.overwritten, stamp, at=stamp.position - len(read.block))
        dues += [self._due(window, stamp) for window in self._present.epoch.feed(_mono(read.block))]
        self._present.health.push(read.block)
        self._tell_changes(self._present)
        self._expect()
        return dues

    def _count_absence(self, stamp: Stamp) -> None:
        """Count what a device could not deliver between two connections as lost, in the books of the second."""
        if self._absent:
            gone_s = stamp.monotonic_s - self._last_block_s - stamp.position / self._present.intake.rate_hz
            samples = round(max(gone_s, 0.0) * self._present.intake.rate_hz)
            self._absent = False
            if samples:
                self._present.lost += samples
                self._tell_gap("loss", samples, "while the device was gone")

    def _overrun(self, samples: int, stamp: Stamp, at: int) -> list[Due]:
        self._present.overwritten += samples
        self._tell_gap("overrun", samples, "by a worker that came too late")
        return self._bridge(samples, stamp, at)

    def _ask_clock(self, stamp: Stamp) -> int:
        """Let the clock see a delivery; return the samples it finds lost at a device. Elsewhere they come later."""
        if self._clock is None:
            return 0
        self._clock.delivered(stamp.position + self._missing, stamp.sounded_s)
        samples = self._clock.lost()
        self._missing += samples
        if self.source.clock == "device":
            return samples
        self._present.clock_begins_at += samples
        return 0

    def _lose(self, samples: int, stamp: Stamp) -> list[Due]:
        self._present.lost += samples
        self._tell_gap("loss", samples, "at the device")
        return self._bridge(samples, stamp, at=stamp.position)

    def _tell_gap(self, kind: str, samples: int, where: str) -> None:
        duration_s = samples / self._present.intake.rate_hz
        self._tell(
            Event(
                event="loss" if kind == "loss" else "overrun",
                text=f"{duration_s:.3f} s of audio lost {where}",
                epoch=self._present.number,
                samples=samples,
                duration_ms=1000 * duration_s,
            )
        )

    def _bridge(self, samples: int, stamp: Stamp, at: int) -> list[Due]:
        """Fill a short gap with zeros; after a long one begin a new epoch at ring position `at`."""
        intake = self._present.intake
        if samples <= FILLED_S * intake.rate_hz:
            self._present.health.skip(samples)
            return [self._due(window, stamp) for window in self._present.epoch.lose(samples)]
        self._end(at)
        self._begin(intake, at)
        return []

    def _due(self, window: Window, stamp: Stamp) -> Due:
        return Due(self, self._present, window, stamp.monotonic_s, self._heard_s(self._present, window.last_sample))

    def _heard_s(self, stretch: Stretch, sample: int) -> float | None:
        if self._clock is None:
            return None
        return self._clock.monotonic(stretch.clock_begins_at + stretch.epoch.native_position(sample))

    def _begin(self, intake: Intake, at: int) -> None:
        epoch = self._new_epoch(intake.rate_hz, self._gain_db, self._thresholds)
        health = Health(intake.rate_hz, intake.ring.channels, self._thresholds)
        self.stretch = self.last_stretch = Stretch(self.epochs, epoch, intake, at, at + self._missing, health)
        self.epochs += 1
        text = f"epoch {self.stretch.number} begins, {intake.rate_hz} Hz"
        self._tell(Event(event="epoch", text=text, epoch=self.stretch.number))

    def _end(self, at: int) -> None:
        self._present.health.close()
        self._present.epoch.levels.close()
        self._tell_changes(self._present)
        self._present.ended_at = at
        self._books.close(self._present)
        self.stretch = None

    def _finish(self) -> list[Due]:
        """Take the last windows of a connection that is closed."""
        stretch = self._present
        at = stretch.intake.ring.written
        dues = [
            self._due(window, Stamp(at, self._last_block_s, self._last_block_s)) for window in stretch.epoch.finish()
        ]
        self._books.close_intake(stretch.intake)
        self._end(at)
        return dues

    def _newest(self, dues: list[Due], now_s: float) -> list[Due]:
        """Skip all but the newest: what the worker came too late for, and what came in a lump."""
        for due in dues[:-1]:
            due.stretch.skipped += 1
            self.late += now_s - due.handed_over_s > due.stretch.epoch.hop_s / 2
        return dues[-1:]

    def _heed(self, notice: Notice, now_s: float) -> None:
        if notice.state == "lost":
            self._books.losses += 1
        if notice.state == "ended" and notice.text:
            self._tell(Event(event="error", text=notice.text))
        self._become(notice.state, now_s, notice.text)

    def _watch(self, now_s: float) -> None:
        """Find the state from what has been heard lately."""
        if self.stretch is None:
            if self.state == "connecting" and now_s - self.since_s > CONNECTED_S:
                self._become("stalled", now_s, f"no connection for {CONNECTED_S:.0f} s")
            return
        timed = self.source.live or self.source.clock != "none"
        if timed and now_s - max(self._last_block_s, self._connected_s) > STALLED_S:
            if now_s - self._listened_s < STALLED_S:  # else this process slept, and what came meanwhile is not in yet
                self._become("stalled", now_s, f"no audio for {STALLED_S:.0f} s")
        elif self.stretch.epoch.levels.silent:
            self._become("silent", now_s)
        elif self.stretch.epoch.pushed:
            self._become("running", now_s)

    def _tell_title(self, now_s: float) -> None:
        if self.stretch is not None and (title := self._titles.new(now_s)) is not None:
            text = f"title: {title}" if title else "no title"
            self._tell(Event(event="title", text=text, epoch=self.stretch.number, title=title))

    def _become(self, state: State, now_s: float, text: str = "") -> None:
        self.text = text  # the reason may be another though the state is the same
        if state == self.state:
            return
        previous, self.state, self.since_s = self.state, state, now_s
        self._tell(Event(event="state", text=text or state, state=state, previous=previous))

    def _tell_changes(self, stretch: Stretch) -> None:
        """Tell what has begun to be wrong with the sound, and what is over."""
        for changes in (stretch.epoch.levels.changes, stretch.health.changes):
            while changes:
                change = changes.popleft()
                at = stretch.clock_begins_at + round(change.begin_s * stretch.intake.rate_hz)
                began_s = None if self._clock is None else self._clock.monotonic(at)
                self._tell(_event_of(change, stretch.number), began_s)

    def _tell(self, event: Event, began_s: float | None = None) -> None:
        self.events.append((msgspec.structs.replace(event, station=self.name), began_s))


def _event_of(change: Change, epoch: int) -> Event:
    what = change.signal.replace("-", " ") if change.channel is None else f"channel {change.channel} is dead"
    return Event(
        event="signal",
        text=what if change.lasted_s is None else f"{what}: over after {change.lasted_s:.1f} s",
        epoch=epoch,
        duration_ms=UNSET if change.lasted_s is None else 1000 * change.lasted_s,
        signal=change.signal,
        channel=UNSET if change.channel is None else change.channel,
        begin_s=change.begin_s,
    )


@np.errstate(invalid="ignore", over="ignore")  # what is no number is for the epoch to count
def _mono(block: Block) -> Block:
    """Mix [N, channels] to [N]; a channel at a time takes a tenth of the time that ``mean(axis=1)`` does."""
    mono = block[:, 0].copy()
    for channel in range(1, block.shape[1]):
        mono += block[:, channel]
    return mono if block.shape[1] == 1 else mono / np.float32(block.shape[1])
