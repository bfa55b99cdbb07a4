"""Service: who runs what, from start to stop.

==============  =======================================  =====================================
thread          owns                                     ends
==============  =======================================  =====================================
main            signals, dashboard, systemd              with the process
publisher       the XPUB socket                          asked, and waited for
worker          stations, supervisors, snapshot          asked, and waited for a second
source NAME     one source; the write side of its ring   with the process: it may hang in C
==============  =======================================  =====================================
"""

from __future__ import annotations

import logging
import math
import os
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from itertools import cycle
from pathlib import Path

from . import __version__, reports, systemd
from .card import find_model
from .classifier import Classifier
from .clock import UtcClock
from .config import Config
from .epoch import Epoch, Geometry
from .errors import RequiredSourceError
from .features import Mfcc
from .messages import plain
from .publisher import Publisher
from .signals import asked_to_end
from .snapshot import Snapshot
from .sources import open_source, shown
from .station import Station
from .supervisor import Supervisor
from .worker import Worker

log = logging.getLogger(__name__)

TICK_S = 0.1
MANY_STATIONS = 16  # fewer make batches too small for two threads
JOIN_S = 0.5
HEALTHY_S = 5.0  # worker and publisher finish rounds much more often
NOT_THERE = ("connecting", "lost", "stalled")

Show = Callable[[Snapshot], bool]


def run(config: Config, show: Show) -> None:
    """Listen, judge and publish until a signal, or until every source has ended.

    `show` is called with the newest snapshot, some ten times a second; it says whether someone asks for the end.

    Raises
    ------
    BadInputError
        Before anything has started: a source, the model or the endpoint cannot work as configured.
    RequiredSourceError
        With ``require``: a station was not there for so long.
    Exception
        Whatever went wrong in the worker: a fault of genred.
    """
    stop, wake = threading.Event(), threading.Event()
    opened = [(station, open_source(station.uri)) for station in config.station]
    with ExitStack() as stack:
        stack.enter_context(asked_to_end(stop))
        utc = UtcClock()
        publisher = stack.enter_context(Publisher(config.bind, utc))
        model = Path(config.model) if config.model else find_model()
        classifier = Classifier(model, config.provider, config.threads or _threads(len(opened)))
        classifier.check_hop(config.hop)
        log.info("model %s on %s", classifier.name, classifier.choice)
        log.info("%s", classifier.passes)
        new_epoch = _epochs(classifier, config.hop)
        phases = cycle(range(0, config.hop, classifier.step_frames))  # windows of live stations fall due evenly
        stations = [
            Station(
                entry.name,
                shown(entry.uri),
                source,
                partial(new_epoch, phase_frames=next(phases) if source.source.live else 0),
                Supervisor(entry.name, source.source, stop, wake),
            )
            for entry, source in opened
        ]
        hello = reports.hello(__version__, classifier, config.hop, stations)
        publisher.send(hello)
        worker = Worker(stations, classifier, publisher, utc, hello, wake)
        stack.callback(worker.end, JOIN_S)
        stack.callback(stop.set)
        worker.start()
        log.info("listening to %s, publishing at %s", ", ".join(s.name for s in stations), plain(config.bind))
        _watch(config, worker, publisher, stop, show)


def _watch(config: Config, worker: Worker, publisher: Publisher, stop: threading.Event, show: Show) -> None:
    """Wait for the end; meanwhile show what happens and tell systemd that all is well."""
    pulse = Pulse(worker, publisher)
    absent: dict[str, float] = {}
    while not stop.wait(TICK_S):
        if worker.error is not None:
            raise worker.error
        snapshot = worker.snapshot
        if show(snapshot):
            break
        if snapshot.finished:
            return
        pulse.beat()
        if config.require is not None:
            _check_required(snapshot, absent, config.require)
    log.info("stopping")
    systemd.notify("STOPPING=1")


def _check_required(snapshot: Snapshot, absent: dict[str, float], require_s: float) -> None:
    """Refuse to go on without a station that has not been there for `require_s`."""
    now_s = time.monotonic()
    for view in snapshot.stations:
        status = view.status
        if status.state not in NOT_THERE:
            absent.pop(str(status.station), None)
        elif now_s - absent.setdefault(str(status.station), now_s) >= require_s:
            why = status.text or "no audio has come"
            raise RequiredSourceError(f"station {status.station} is {status.state} for {require_s:g} s: {why}")


class Pulse:
    """Feeds systemd's watchdog when worker and publisher have finished a round since it was last fed.

    The supervisors do their rounds in the worker's, and a window that is due is answered in the round that finds it: so
    none of them can hang, and no window grow old, while rounds are finished. A lost source is health, not a hang.
    """

    def __init__(self, worker: Worker, publisher: Publisher) -> None:
        self._worker, self._publisher = worker, publisher
        timeout_s = systemd.watchdog_s()
        self._every_s = timeout_s / 3 if timeout_s else 1.0
        self._fed_s = -math.inf
        self._last_s = time.monotonic()
        self._ready = False
        self._hangs = False

    def beat(self) -> None:
        """Tell systemd what there is to tell, if it is time."""
        now_s = time.monotonic()
        asleep, self._last_s = now_s - self._last_s > HEALTHY_S / 2, now_s
        if now_s < self._fed_s + self._every_s or asleep or not self._worker.snapshot.stations:
            return  # after a sleep of the whole process the others get a round's time to wake up
        finished_s = min(self._worker.round_s, self._publisher.round_s)
        self._tell_hang(now_s - finished_s > HEALTHY_S)
        if finished_s > self._fed_s and not self._hangs:
            self._fed_s = now_s
            self._feed()

    def _feed(self) -> None:
        states = [view.status.state for view in self._worker.snapshot.stations]
        running = sum(state not in NOT_THERE for state in states)
        systemd.notify(*([] if self._ready else ["READY=1"]), "WATCHDOG=1", f"STATUS={running}/{len(states)} stations")
        self._ready = True

    def _tell_hang(self, hangs: bool) -> None:
        """Log the beginning of a hang, and its end if it has one."""
        if hangs and not self._hangs:
            log.error("the worker or the publisher hangs; the watchdog is not fed")
        if self._hangs and not hangs:
            log.warning("the worker and the publisher go on; the watchdog is fed again")
        self._hangs = hangs


def _threads(stations: int) -> int:
    """Threads of the model that pay: every core, but for few stations one, which costs less CPU time."""
    return len(os.sched_getaffinity(0)) if stations >= MANY_STATIONS else 1


def _epochs(classifier: Classifier, hop_frames: int) -> Callable[..., Epoch]:
    """Make what makes an epoch of a given rate, gain and phase, as the model's card wants it."""
    card = classifier.card
    return partial(Epoch, Mfcc(card.spec), Geometry(card.window_frames, hop_frames), card.gain)
