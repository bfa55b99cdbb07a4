"""Run: from the daemon's first message to its end; lets faults happen when they are due, and hears what it says."""

from __future__ import annotations

import heapq
import logging
import random
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from itertools import count, takewhile
from pathlib import Path

from .. import __version__
from ..bench.report import Machine
from ..errors import GenredError
from ..messages import Estimate, Message, Status
from ..subscriber import Subscriber
from .crowd import Readers, shout, storm
from .forms import MUSIC
from .ledger import Ledger, is_answer
from .orders import REFUSALS, Order
from .plan import Fault, plan
from .radio import Radio
from .recovery import MOST_S, Occurrence, Recoveries
from .report import Report, write
from .samples import Sampler, slope, span, warm
from .subject import Subject

log = logging.getLogger(__name__)

READERS = 2
FIRST_S = 60.0  # the daemon's first message has come by then
LOOK_S = 10.0  # between two samples of a long run
REPORT_S = 300.0
ANSWER_S = 60.0  # reloads that are asked for at the end are answered by then
UNPACED_S = 3.0
STOPPED_S = 5.0  # the daemon, at most
MOST_MB_PER_H = 5.0
WARM_UP = 0.25  # of the run, not counted for the slope
ORDERS = {"gone", "codec", "splice", "stall", "trickle", "garbage", "nan", "silence"}


@dataclass(frozen=True)
class Settings:
    """What was asked for; see ``genred soak --help``."""

    minutes: float
    stations: int
    seed: int
    times: float
    model: Path
    report: Path

    @property
    def duration_s(self) -> float:
        """Of the run."""
        return 60 * self.minutes


class Run:
    """One run.

    Parameters
    ----------
    settings : Settings
    where : Machine
    stop : threading.Event
        Ends it early.
    radio : Radio
    subject : Subject
    paths : list of str
        Of the radio stations.
    unpaced : str
        URI of the station that is as fast as it can be taken.
    """

    def __init__(
        self,
        settings: Settings,
        where: Machine,
        stop: threading.Event,
        radio: Radio,
        subject: Subject,
        paths: list[str],
        unpaced: str,
    ) -> None:
        self._settings, self._where, self._stop = settings, where, stop
        self._radio, self._subject, self._paths, self._unpaced = radio, subject, paths, unpaced
        self._ledger, self._sampler, self._recoveries = Ledger(), Sampler(subject.pid), Recoveries()
        self._idle: Counter[str] = Counter()
        self._later: list[tuple[float, int, Callable[[], None]]] = []
        self._turn = count()
        self._began_s = time.monotonic()
        self._failures: list[str] = []
        self._readers: Readers

    def go(self) -> Report:
        """Run to the end; return the last report."""
        with ExitStack() as stack:
            subscriber = stack.enter_context(Subscriber(self._subject.endpoint))
            self._await_first(subscriber)
            self._readers = stack.enter_context(Readers(self._subject.endpoint, READERS))
            self._began_s = time.monotonic()
            alive = self._listen(subscriber)
            code = self._finish(subscriber) if alive else self._subject.exit_code
        if not alive:
            self._failures.append(f"the daemon has ended by itself, with {code}: {self._subject.last_words()}")
        elif code != 0:
            self._failures.append(f"the daemon ended with {code} when it was asked to")
        return self._report("cut short" if self._stop.is_set() or not alive else "finished", code)

    def _await_first(self, subscriber: Subscriber) -> None:
        until_s = self._now_s + FIRST_S
        while (message := subscriber.receive(1.0)) is None:
            if self._subject.exit_code is not None or self._now_s > until_s:
                raise GenredError(f"the daemon does not begin: {self._subject.last_words()}")
        self._ledger.hear(message, subscriber.gaps)

    @property
    def _now_s(self) -> float:
        return time.monotonic() - self._began_s

    def _listen(self, subscriber: Subscriber) -> bool:
        """Check what comes, and do what is due, until the time is over; say whether the daemon is alive."""
        duration_s = self._settings.duration_s
        for fault in takewhile(lambda fault: fault.at_s < duration_s, plan(self._settings.seed, duration_s)):
            self._at(fault.at_s, partial(self._do, fault))
        self._each(min(LOOK_S, duration_s / 100), self._look)
        self._each(REPORT_S, lambda: self._report("running", None))
        while self._now_s < duration_s and not self._stop.is_set():
            if self._subject.exit_code is not None:
                return False
            if self._later[0][0] <= self._now_s:
                heapq.heappop(self._later)[2]()
            self._hear(subscriber, min(self._later[0][0] - self._now_s, 1.0))
        return True

    def _look(self) -> None:
        self._sampler.look(self._ledger.windows, self._ledger.states)

    def _hear(self, subscriber: Subscriber, timeout_s: float) -> None:
        message = subscriber.receive(max(timeout_s, 0.0))
        if message is not None:
            self._ledger.hear(message, subscriber.gaps)
            self._subject.heed(message)
            self._follow(message)

    def _follow(self, message: Message) -> None:
        """See who has come back, and who cannot."""
        if isinstance(message, Estimate) and is_answer(message):
            self._recoveries.answered(str(message.station), self._now_s)
        elif isinstance(message, Status) and message.state == "ended":
            self._recoveries.take_out(str(message.station))

    def _at(self, at_s: float, act: Callable[[], None]) -> None:
        heapq.heappush(self._later, (at_s, next(self._turn), act))

    def _each(self, every_s: float, act: Callable[[], object]) -> None:
        """Do `act` now and again and again."""

        def again() -> None:
            act()
            self._at(self._now_s + every_s, again)

        self._at(self._now_s + every_s, again)

    def _do(self, fault: Fault) -> None:
        """Let one fault happen, and note it."""
        at_s, lasts_s, station = self._now_s, fault.for_s, ""
        if fault.kind in ORDERS:
            station = self._somebody(fault.dice)
            self._idle[fault.kind] += self._radio.tell(_order(fault, station)) == 0
        elif fault.kind.startswith("reload: "):
            lasts_s = 0.0
            self._subject.reload(fault.kind.removeprefix("reload: "), fault.dice)
        else:
            lasts_s = self._trouble(fault)
        over_s = max(at_s + lasts_s, self._now_s)
        self._recoveries.begin(Occurrence(round(at_s, 3), round(over_s, 3), fault.kind, station))
        log.debug("%.1f s: %s %s for %.1f s", at_s, fault.kind, station, lasts_s)

    def _trouble(self, fault: Fault) -> float:
        """Let a fault happen that no single station has; return how long it lasts, in seconds."""
        if fault.kind == "reader stopped":
            reader = fault.dice.randrange(READERS)
            self._readers.stop(reader)
            self._at(self._now_s + fault.for_s, lambda: self._readers.go_on(reader))
            return fault.for_s
        if fault.kind == "daemon stopped":
            return self._stop_daemon(min(fault.for_s, STOPPED_S))
        if fault.kind == "unpaced station":
            self._subject.with_unpaced(self._unpaced)
            self._at(self._now_s + UNPACED_S, self._subject.without_unpaced)
            return UNPACED_S
        if fault.kind == "storm of connects":
            self._ledger.note("a guest is told hello", storm(self._subject.endpoint) == 0, "one of a storm was not")
        else:
            shout(self._subject.endpoint, fault.dice)
        return 0.0

    def _stop_daemon(self, for_s: float) -> float:
        """Let it stand still; a timer lets it go on, for whatever this thread waits for, it may wait for the daemon."""
        self._subject.send(signal.SIGSTOP)
        timer = threading.Timer(for_s, self._subject.send, [signal.SIGCONT])
        timer.daemon = True
        timer.start()
        return for_s

    def _somebody(self, dice: random.Random) -> str:
        """One of the radio stations, if possible one that is being listened to."""
        paths = dice.sample(self._paths, len(self._paths))
        return next((path for path in paths if self._radio.tell(Order(path=path, act="none"))), paths[0])

    def _finish(self, subscriber: Subscriber) -> int | None:
        """Let everything go on and come back, hear the last reloads answered, and end the daemon."""
        self._subject.send(signal.SIGCONT)
        until_s = self._now_s + ANSWER_S
        while self._subject.pending and self._now_s < until_s:
            self._hear(subscriber, 1.0)
        while self._recoveries.pending(self._now_s) and not self._stop.is_set():
            self._hear(subscriber, 1.0)
        self._ledger.note("a reload is answered", not self._subject.pending, f"{self._subject.pending} were not")
        self._ledger.note("readers go on", not self._readers.ended, f"{self._readers.ended} have ended")
        self._ledger.note("messages can be read", not subscriber.unreadable, subscriber.obstacle)
        return self._subject.end()

    def _report(self, state: str, code: int | None) -> Report:
        """Put together what is known by now, and write it."""
        ledger, settings, subject = self._ledger, self._settings, self._subject
        samples = self._sampler.samples
        warm_up_s = WARM_UP * settings.duration_s
        counted = warm(samples, warm_up_s) or samples
        report = Report(
            genred=__version__,
            date=datetime.now(UTC).date().isoformat(),
            command=" ".join(["genred", *sys.argv[1:]]),
            machine=self._where,
            state=state,
            minutes=round(self._now_s / 60, 2),
            asked_minutes=settings.minutes,
            stations=settings.stations,
            seed=settings.seed,
            times=settings.times,
            model=settings.model.stem,
            audio_h=ledger.heard_s / 3600,
            windows=ledger.windows,
            skipped=ledger.skipped,
            messages=ledger.messages,
            warm_up_s=warm_up_s,
            slope=slope(counted),
            most_mb_per_h=MOST_MB_PER_H,
            memory_mb=(counted[0].memory_mb, counted[-1].memory_mb),
            descriptors=span([sample.descriptors for sample in samples]),
            threads=span([sample.threads for sample in samples]),
            cpu_percent=100 * samples[-1].cpu_s / samples[-1].at_s,
            log_lines=subject.log_lines(),
            most_back_s=MOST_S,
            idle={name: n for name, n in self._idle.items() if n},
            faults=tuple(self._recoveries.all),
            late=tuple(self._recoveries.late(self._now_s)),
            counted=dict(ledger.faults),
            reloads=subject.answered,
            wrong_reloads=subject.wrong,
            complaints=tuple(subject.complaints()),
            checked=dict(ledger.checked),
            broken=dict(ledger.broken),
            examples=tuple(ledger.examples),
            exit_code=code,
            ends=tuple(self._failures),
            samples=tuple(samples),
        )
        write(report, settings.report)
        return report


def _order(fault: Fault, path: str) -> Order:
    """Make of a fault of a station what its server is told."""
    if fault.kind in ("nan", "silence"):
        return Order(path=path, act="lend", form=fault.kind, for_s=fault.for_s)
    form, how = fault.dice.choice(MUSIC), fault.dice.choice(sorted(REFUSALS))
    return Order(path=path, act=fault.kind, form=form, how=how, for_s=fault.for_s)  # type: ignore[arg-type]
