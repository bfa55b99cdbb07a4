"""Worker: the loop in the middle.

::

    which windows are due, of all stations -> one batch -> verdicts -> estimates -> publish

It owns the stations and the snapshot. An error in here is a fault of genred: it is kept for the main thread, which
ends the process with it, and a supervisor such as systemd starts it again.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

import msgspec
from msgspec import UNSET

from . import reports, segments
from .books import Stretch
from .classifier import Classifier, Verdict
from .clock import UtcClock
from .errors import BatchError
from .load import Load, Overload
from .messages import Estimate, Event, Hello, Message, Process, Segment
from .setup import Setup
from .snapshot import History, Snapshot, describe, going_on, is_trouble, steady
from .station import Due, Station

log = logging.getLogger(__name__)

STATUS_S = 1.0
REST_MOST_S = 0.1  # the rings are drained at least so often
REST_LEAST_S = 0.003  # between two looks for a window that is about to be complete
REST_A_STATION_S = 2e-4  # longer with each station: what comes due meanwhile is judged in one batch


@dataclass
class _Course:
    """What a station's windows add up to.

    Attributes
    ----------
    newest : Due or None
        None while nothing is followed.
    segment : Segment or None
        The one that goes on, as it was last told.
    """

    tracker: segments.Tracker = field(default_factory=segments.Tracker)
    newest: Due | None = None
    segment: Segment | None = None


class Outlet(Protocol):
    """What takes the worker's messages: the publisher, or the way to the process that has it."""

    endpoint: str
    subscriptions: int

    def send(self, message: Message, *, handed_over_s: float | None = None, heard_s: float | None = None) -> None:
        """See Publisher."""

    def forget(self, station: str) -> None:
        """See Publisher."""


class Worker:
    """See the module.

    Parameters
    ----------
    stations : sequence of Station
    classifier : Classifier
    publisher : Outlet
    utc : UtcClock
    hello : Hello
    wake : threading.Event
        Set when a source has written something, or the daemon stops.
    """

    def __init__(
        self,
        stations: Sequence[Station],
        classifier: Classifier,
        publisher: Outlet,
        utc: UtcClock,
        hello: Hello,
        wake: threading.Event,
    ) -> None:
        self.snapshot = Snapshot(hello, publisher.endpoint)
        self.alive_s = time.monotonic()  # when it last finished a round, or a part of it
        self.error: BaseException | None = None
        self._stations: Sequence[Station] = tuple(stations)  # replaced as a whole
        self._classifier, self._publisher = classifier, publisher
        self._setup: Setup | None = None  # that is to be taken; written by others, and taken by the worker
        self._utc, self._wake = utc, wake
        self._newest: dict[str, Estimate] = {}
        self._histories = {station.name: History() for station in stations}
        self._courses = {station.name: _Course() for station in stations}  # kept of stations that have left, too
        self._unripe: dict[str, tuple[int, int, bool]] = {}  # epoch, hops, end: of the last estimate without a window
        self._epochs: dict[str, int] = {}  # of stations that have left: a name's epochs are numbered on
        self._load, self._overload = Load(), Overload()
        self._status_due_s = 0.0
        self._sounded = False  # the first audio of all is told at once: the service is ready with it
        self._ending = False
        self._thread = threading.Thread(target=self._run, name="worker", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def end(self, timeout_s: float) -> None:
        """Ask it to end and wait, but not for ever: a batch may be on its way."""
        self._ending = True
        self._wake.set()
        for station in self._stations:
            station.stop()
        self._thread.join(timeout_s)

    def take(self, setup: Setup) -> None:
        """Let the worker go by another setup from its next round on; from any thread, one at a time."""
        self._setup = setup
        self._wake.set()

    def _run(self) -> None:
        try:
            while not self._ending:
                self.round()
                self._rest()
            for station in self._stations:
                self._leave(station, None)
        except BaseException as error:
            self.error = error

    def round(self) -> None:
        """Listen to every station that has something to say, a few at a time."""
        now_s = time.monotonic()
        if self._setup is not None:
            setup, self._setup = self._setup, None
            self._adopt(setup, now_s)
        wanting = [station for station in self._stations if station.wants(now_s)]
        for start in range(0, len(wanting), self._classifier.at_once):
            self._attend(wanting[start : start + self._classifier.at_once])
            self.alive_s = time.monotonic()
        if event := reports.clock_step(self._utc):
            self._tell(event)
        self._tell_status(now_s)
        self.alive_s = time.monotonic()

    def _attend(self, stations: Sequence[Station]) -> None:
        """Listen to `stations`, answer the windows that are due, and tell what happened there."""
        now_s, at_once = time.monotonic(), self._classifier.at_once
        dues = [due for station in stations for due in station.listen(now_s)]
        for start in range(0, len(dues), at_once):
            batch = dues[start : start + at_once]
            for due, verdict in zip(batch, self._classifier.judge([d.window for d in batch]), strict=True):
                self._answer(due, verdict)
        for station in stations:
            self._leave(station, station.stretch)
            self._tell_unripe(station)
            self._tell_events(station)

    def _adopt(self, setup: Setup, now_s: float) -> None:
        """Go by `setup`: all windows that were due before have been answered, and none of a later round is judged."""
        changed = setup.model.classifier is not self._classifier or not setup.same_windows
        running = {station.name: station for station in self._stations if station.name not in setup.fresh}
        stations = [running.get(entry.name) or setup.fresh[entry.name] for entry in setup.config.station]
        for station in self._stations:
            if station not in stations:
                self._dismiss(station, now_s)
        for entry, station in zip(setup.config.station, stations, strict=True):
            if entry.name in setup.fresh:
                station.epochs = self._epochs.pop(entry.name, 0)
                self._histories[entry.name] = History()
                self._courses.setdefault(entry.name, _Course())
            else:
                station.watch(entry.signal)
                if changed:
                    self._cut(station)
                    station.hear_for(setup.model.epochs(station.turn), same_windows=setup.same_windows)
        self._stations, self._classifier = tuple(stations), setup.model.classifier
        if setup.text:
            self._tell(Event(event="reload", text=setup.text))
        if setup.hello != self.snapshot.hello:
            self._publisher.send(setup.hello)
            self.snapshot = replace(self.snapshot, hello=setup.hello)
        self._status_due_s = 0.0
        setup.taken.set()

    def _dismiss(self, station: Station, now_s: float) -> None:
        """Let a station go, with a last word of it."""
        station.leave(now_s, "a reload has taken it out")
        self._leave(station, None)
        self._tell_events(station)
        newest = self._newest.pop(station.name, None)
        self._publisher.send(reports.status(station, newest, self._process(), self._utc))
        self._publisher.forget(station.name)
        self._epochs[station.name] = station.epochs
        self._histories.pop(station.name)
        self._unripe.pop(station.name, None)

    def _rest(self) -> None:
        """Rest until a window should be complete or a source wakes us; a little in any case."""
        now_s = time.monotonic()
        least_s = min(REST_LEAST_S + REST_A_STATION_S * len(self._stations), REST_MOST_S)
        soonest_s = min((station.until_due_s(now_s) for station in self._stations), default=REST_MOST_S)
        if self._wake.wait(min(max(soonest_s, least_s), REST_MOST_S)) and not self._ending:
            time.sleep(max(now_s + least_s - time.monotonic(), 0.0))
        self._wake.clear()

    def _answer(self, due: Due, verdict: Verdict | BatchError) -> None:
        if isinstance(verdict, BatchError):
            due.stretch.skipped += 1
            due.stretch.failed += 1
            self._tell(Event(station=due.station.name, event="error", text=str(verdict), epoch=due.stretch.number))
            return
        due.stretch.published += 1
        self._leave(due.station, due.stretch)
        course = self._courses[due.station.name]
        smooth, told = course.tracker.hear(verdict.heard(due.window, due.stretch.epoch.spec.sample_rate))
        course.newest = due
        estimate = reports.estimate(due, verdict, smooth)
        self._log_change(due.station.name, estimate)
        now_s = time.monotonic()
        age_ms = UNSET if due.heard_s is None else 1000 * (now_s - due.heard_s)
        latency_ms = 1000 * (now_s - due.handed_over_s)
        self._keep(due.station, msgspec.structs.replace(estimate, latency_ms=latency_ms, age_ms=age_ms), now_s)
        self._publisher.send(estimate, handed_over_s=due.handed_over_s, heard_s=due.heard_s)
        self._tell_segments(due, told)

    def _leave(self, station: Station, present: Stretch | None) -> None:
        """End the segment of `station` if it is of another stretch than the `present` one."""
        course = self._courses[station.name]
        due = course.newest
        if due is not None and due.stretch is not present:
            course.newest = None
            self._tell_segments(due, course.tracker.end())

    def _cut(self, station: Station) -> None:
        """End the segment of `station`: what comes next is another model's answer."""
        course = self._courses[station.name]
        if course.newest is not None:
            self._tell_segments(course.newest, course.tracker.cut())

    def _tell_segments(self, due: Due, told: Sequence[segments.Segment]) -> None:
        for one in told:
            message = reports.segment(due, one, self._utc)
            self._courses[due.station.name].segment = going_on(message)
            self._publisher.send(message)

    def _log_change(self, name: str, estimate: Estimate) -> None:
        """Log an answer that is another one than before, of those that are steady."""
        before, what = self._newest.get(name), steady(estimate)[0]
        if before is None or steady(before)[0] != what:
            log.info("%s: %s", name, what, extra={"pictured": True})

    def _tell_unripe(self, station: Station) -> None:
        """Each hop before the first window say how far it is; at the end, that it never came."""
        stretch = station.last_stretch
        if stretch is None or stretch.epoch.due:
            return
        over = station.state == "ended"
        hops = stretch.epoch.frames // stretch.epoch.geometry.hop_frames
        progress = (stretch.number, hops, over)
        if (hops or over) and self._unripe.get(station.name) != progress:
            self._unripe[station.name] = progress
            estimate = reports.unripe(station, stretch)
            if over:
                self._log_change(station.name, estimate)
            self._keep(station, estimate, time.monotonic())
            self._publisher.send(estimate)

    def _keep(self, station: Station, estimate: Estimate, now_s: float) -> None:
        """Keep the newest of `station` for the snapshot."""
        self._newest[station.name] = estimate
        self._histories[station.name].heard(estimate, now_s)

    def _tell_events(self, station: Station) -> None:
        for event, began_s in station.events:
            self._tell(event, began_s)
        station.events.clear()

    def _tell(self, event: Event, began_s: float | None = None) -> None:
        """Publish `event`, and log it; of a signal, say at which monotonic time it began to sound."""
        log.log(logging.WARNING if is_trouble(event) else logging.INFO, "%s", describe(event))
        self._publisher.send(event, heard_s=began_s)

    def _take_late(self) -> int:
        """Windows that were too late since this was last called."""
        late = sum(station.late for station in self._stations)
        for station in self._stations:
            station.late = 0
        return late

    def _process(self) -> Process:
        return self._load.take(self._publisher.subscriptions, overloaded=bool(self._overload.text))

    def _tell_status(self, now_s: float) -> None:
        finished = all(station.state == "ended" for station in self._stations)
        first = not self._sounded and any(station.state == "running" for station in self._stations)
        if now_s < self._status_due_s and finished == self.snapshot.finished and not first:
            return
        self._sounded = self._sounded or first
        self._status_due_s = now_s + STATUS_S
        if news := self._overload.look(self._take_late(), now_s):
            self._tell(Event(event="overload", text=news))
        process = self._process()
        views = []
        for station in self._stations:
            newest = self._newest.get(station.name)
            status = reports.status(station, newest, process, self._utc)
            self._publisher.send(status)
            history = self._histories[station.name]
            history.measured(status)
            views.append(history.view(status, newest, now_s, segment=self._courses[station.name].segment))
        self.snapshot = replace(self.snapshot, stations=tuple(views), finished=finished, remark=self._overload.text)
