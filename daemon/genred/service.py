"""Service: who runs what, from start to stop.

==============  =======================================  =====================================
thread          owns                                     ends
==============  =======================================  =====================================
main            signals, dashboard, systemd              with the process
reload          a setup that is being made               with the process: a model takes long
publisher       the XPUB socket                          asked, and waited for
pages           the port of the metrics                  asked, and waited for a second
worker          stations, supervisors, snapshot          asked, and waited for a second
shards          in the worker's place: the processes     asked, and waited for a second
source NAME     one source; the write side of its ring   with the process: it may hang in C
==============  =======================================  =====================================
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable, Collection, Sequence
from contextlib import ExitStack

from . import heap, systemd
from .clock import UtcClock
from .config import Config, host_and_port
from .door import open_lock
from .errors import ConfigError, RequiredSourceError
from .messages import counted, plain
from .metrics import Exposition, health
from .pages import Page, Pages
from .publisher import Publisher
from .reload import AnyWorker, Reloader, Reread
from .setup import Setup, assemble, load_model, open_sources
from .shards import Shards, processes_that_pay
from .signals import asked_to_end, has_terminal
from .snapshot import Snapshot, StationView
from .worker import Worker

log = logging.getLogger(__name__)

TICK_S = 0.1
JOIN_S = 0.5
HEALTHY_S = 5.0  # worker and publisher finish rounds much more often
NOT_THERE = ("connecting", "lost", "stalled")
STATUS_S = 1.0  # the status line changes no more often
MOST_NAMED = 3  # stations in the status line

Show = Callable[[Snapshot], bool]


def run(config: Config, show: Show, reread: Reread | None = None) -> None:
    """Listen, judge and publish until a signal, or until every source has ended.

    `show` is called with the newest snapshot, some ten times a second; it says whether someone asks for the end.
    `reread` is called at SIGHUP, for the configuration as it is then.

    Raises
    ------
    BadInputError
        Before anything has started: a source, the model or an address cannot work as configured.
    RequiredSourceError
        With ``require``: a station was not there for so long.
    Exception
        Whatever went wrong in the worker: a fault of genred.
    """
    heap.settle()
    stop, hung_up, wake = threading.Event(), threading.Event(), threading.Event()
    opened = open_sources(config)
    lock = open_lock(config.key, config.allow)
    with ExitStack() as stack:
        stack.enter_context(asked_to_end(stop, hung_up))
        utc = UtcClock()
        publisher = stack.enter_context(Publisher(config.bind, utc, lock))
        pages = stack.enter_context(_bound(config.metrics)) if config.metrics else None
        model = load_model(config)
        log.info("model %s on %s", model.classifier.name, model.classifier.choice)
        log.info("%s", model.classifier.passes)
        setup = assemble(config, model, opened, wake)
        publisher.send(setup.hello)
        worker = _worker(setup, publisher, utc, wake)
        stack.callback(worker.end, JOIN_S)
        worker.start()
        log.info("listening to %s, publishing at %s", ", ".join(setup.fresh), plain(config.bind))
        reloader = Reloader(reread, setup, worker, publisher, wake)
        if pages is not None:
            pages.serve(_pages(reloader, worker, publisher))
        _watch(reloader, worker, publisher, stop, hung_up, show)


def _worker(setup: Setup, publisher: Publisher, utc: UtcClock, wake: threading.Event) -> AnyWorker:
    """Make a worker, or several processes of them where that pays."""
    if (processes := processes_that_pay(setup.config)) > 1:
        log.info("stations are dealt out to %d processes", processes)
        return Shards(setup, processes, publisher, utc)
    return Worker(list(setup.fresh.values()), setup.model.classifier, publisher, utc, setup.hello, wake)


def _bound(metrics: str) -> Pages:
    host, port = host_and_port(metrics)
    try:
        return Pages(host, int(port))
    except OSError as error:
        raise ConfigError(
            f"cannot serve metrics at {metrics}: {error.strerror}; choose another with --metrics"
        ) from error


def _pages(reloader: Reloader, worker: AnyWorker, publisher: Publisher) -> dict[str, Callable[[], Page]]:
    """What the metrics' port answers; all that is looked at is replaced as a whole by the thread that owns it."""

    def healthz() -> Page:
        alive_s = min(worker.alive_s, publisher.alive_s)
        hangs = time.monotonic() - alive_s > HEALTHY_S
        return health(worker.snapshot, _required(reloader.setup.config), hangs=hangs)

    return {"/metrics": Exposition(lambda: worker.snapshot).page, "/healthz": healthz}


def _required(config: Config) -> set[str]:
    return {station.name for station in config.station if station.required}


def _watch(
    reloader: Reloader,
    worker: AnyWorker,
    publisher: Publisher,
    stop: threading.Event,
    hung_up: threading.Event,
    show: Show,
) -> None:
    """Wait for the end; meanwhile show what happens, reload when asked, and tell systemd that all is well."""
    pulse = Pulse(worker, publisher, reloader.setup.config.ready)
    absent: dict[str, float] = {}
    had_terminal = has_terminal()
    tidier = heap.Tidier()
    while not stop.wait(TICK_S):
        tidier.look()
        if worker.error is not None:
            raise worker.error
        snapshot = worker.snapshot
        if show(snapshot) or (hung_up.is_set() and had_terminal and not has_terminal()):
            break
        if snapshot.finished:
            return
        if hung_up.is_set() and not reloader.busy:
            hung_up.clear()
            reloader.start()
        pulse.beat(reloading=reloader.busy)
        if (require_s := reloader.setup.config.require) is not None:
            _check_required(snapshot, absent, require_s, _required(reloader.setup.config))
    log.info("stopping")
    systemd.notify("STOPPING=1")


def _check_required(snapshot: Snapshot, absent: dict[str, float], require_s: float, required: Collection[str]) -> None:
    """Refuse to go on without a required station that has not been there for `require_s`."""
    now_s = time.monotonic()
    for view in snapshot.stations:
        status = view.status
        if status.state not in NOT_THERE or status.station not in required:
            absent.pop(str(status.station), None)
        elif now_s - absent.setdefault(str(status.station), now_s) >= require_s:
            why = status.text or "no audio has come"
            raise RequiredSourceError(f"station {status.station} is {status.state} for {require_s:g} s: {why}")


class Pulse:
    """Tells systemd when the service is ready, what it does, and that it is alive.

    **Ready** is when audio has come, to a model that has answered its first windows (of zeros, before any source is
    opened); or after `ready_s`, with what is missing in the status line: a source may be away for weeks, and that is no
    reason to be killed. The first answer to what is heard takes as long as the model's shortest window.

    **The watchdog** is fed when worker and publisher have finished a round since it was last fed. The supervisors do
    their rounds in the worker's, and a window that is due is answered in the round that finds it: so none of them can
    hang, and no window grow old, while rounds are finished. A lost source is health, not a hang.
    """

    def __init__(self, worker: AnyWorker, publisher: Publisher, ready_s: float) -> None:
        self._worker, self._publisher = worker, publisher
        timeout_s = systemd.watchdog_s()
        self._every_s = timeout_s / 3 if timeout_s else 1.0
        self._fed_s = -math.inf
        self._last_s = time.monotonic()
        self._ready_at_s = self._last_s + ready_s
        self._ready = False
        self._status, self._status_s = "", -math.inf
        self._reloading = False
        self._hangs = False

    def beat(self, *, reloading: bool = False) -> None:
        """Tell systemd what there is to tell, if it is time."""
        now_s = time.monotonic()
        asleep, self._last_s = now_s - self._last_s > HEALTHY_S / 2, now_s
        self._tell_reload(reloading)
        if asleep or not self._worker.snapshot.stations:
            return  # after a sleep of the whole process the others get a round's time to wake up
        lines = [*self._readiness(now_s), *self._life(now_s), *self._news(now_s)]
        if lines:
            systemd.notify(*lines)

    def _readiness(self, now_s: float) -> list[str]:
        if self._ready or (now_s < self._ready_at_s and not any(map(_is_heard, self._worker.snapshot.stations))):
            return []
        self._ready = True
        return ["READY=1"]

    def _life(self, now_s: float) -> list[str]:
        """Feed the watchdog, if it is time and all is well."""
        if now_s < self._fed_s + self._every_s:
            return []
        alive_s = min(self._worker.alive_s, self._publisher.alive_s)
        self._tell_hang(now_s - alive_s > HEALTHY_S)
        if alive_s <= self._fed_s or self._hangs:
            return []
        self._fed_s = now_s
        return ["WATCHDOG=1"]

    def _news(self, now_s: float) -> list[str]:
        """Status line, when it is another one than before."""
        views = self._worker.snapshot.stations
        there = sum(view.status.state not in NOT_THERE for view in views)
        status = f"STATUS={there}/{len(views)} stations{_missing(views)}"
        if status == self._status or now_s < self._status_s + STATUS_S:
            return []
        self._status, self._status_s = status, now_s
        return [status]

    def _tell_reload(self, reloading: bool) -> None:
        """Tell the beginning of a reload, and its end; what is not ready yet is still starting."""
        if self._ready and reloading != self._reloading:
            now = f"MONOTONIC_USEC={time.monotonic_ns() // 1000}"
            systemd.notify(*(("RELOADING=1", now) if reloading else ("READY=1",)))
            self._reloading = reloading

    def _tell_hang(self, hangs: bool) -> None:
        """Log the beginning of a hang, and its end if it has one."""
        if hangs and not self._hangs:
            log.error("the worker or the publisher hangs; the watchdog is not fed")
        if self._hangs and not hangs:
            log.warning("the worker and the publisher go on; the watchdog is fed again")
        self._hangs = hangs


def _is_heard(view: StationView) -> bool:
    """Whether audio of the station has come."""
    return view.status.state not in NOT_THERE


def _is_answered(view: StationView) -> bool:
    """Whether a whole window of the station has been answered."""
    return view.estimate is not None and view.estimate.reason not in ("warming-up", "too-short")


def _missing(views: Sequence[StationView]) -> str:
    """Say what does not work, for a line that has room for a few words."""
    away = [view.status for view in views if view.status.state in NOT_THERE]
    forming = [view.status for view in views if view.status.state not in NOT_THERE and not _is_answered(view)]
    words = [f"{s.station} is {s.state}{f' ({plain(s.text)})' if s.text else ''}" for s in away[:MOST_NAMED]]
    words += [f"{len(away) - MOST_NAMED} more are away"] if len(away) > MOST_NAMED else []
    words += [f"{counted(len(forming), 'station')} without a first answer"] if forming else []
    return f": {', '.join(words)}" if words else ""
