"""Supervisor: runs one source, each attempt in a thread of its own, and starts it again for ever.

::

    worker's round --attend--> Supervisor --starts--> Attempt, in the source's thread --> arrivals, notice

A supervisor belongs to the worker and does its round in the worker's. A source may hang in C, in an open or in a name
look-up; its supervisor does not, and what the watchdog sees of the worker holds for every supervisor too.
"""

from __future__ import annotations

import logging
import random
import threading
from collections import deque
from dataclasses import dataclass

from .errors import GenredError, SourceLost
from .messages import State, plain
from .sources import Intake, Source
from .sources.intake import FULL_WAIT_S

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Retry:
    """Pauses between attempts: doubled from `first_s` to `most_s`, and begun anew after an attempt that held."""

    first_s: float = 1.0
    most_s: float = 60.0


@dataclass(frozen=True)
class Notice:
    """How an attempt ended: ``lost`` or ``ended``, and why."""

    state: State
    text: str


class Attempt:
    """One run of a source: the Output that it delivers to.

    All but the taking from `arrivals` happens in the source's thread. A deque's append and popleft are atomic, and
    `notice` is stored when everything else has been done.

    Attributes
    ----------
    arrivals : deque of Intake
        Connections, in order, for the worker to take.
    undecoded : int
        Pieces of input left out.
    error : Exception or None
        What no source should have raised.
    notice : Notice or None
        Until it has ended, None.
    """

    def __init__(self, source: Source, arrivals: deque[Intake], stop: threading.Event, wake: threading.Event) -> None:
        self.stop, self.arrivals = stop, arrivals
        self.undecoded = 0
        self.error: Exception | None = None
        self.notice: Notice | None = None
        self._source, self._wake = source, wake
        self._intake: Intake | None = None

    def begin(self, rate_hz: int, channels: int = 1) -> Intake:
        """Open an intake; the one before is closed. What can wait does not run ahead of the worker."""
        self.close()
        while self.arrivals and self._source.clock != "device" and not self.stop.is_set():
            self.stop.wait(FULL_WAIT_S)
        self._intake = Intake(rate_hz, channels, wake=self._wake, stop=self.stop)
        self.arrivals.append(self._intake)
        return self._intake

    def count_error(self) -> None:
        """Count a piece of input that was left out."""
        self.undecoded += 1

    def close(self) -> None:
        """No more will come in what is open."""
        if self._intake is not None:
            self._intake.close()

    def run(self) -> None:
        """Run the source to its end."""
        notice = self._outcome()
        self.close()
        self.notice = notice
        self._wake.set()

    def _outcome(self) -> Notice:
        try:
            self._source.run(self)
        except SourceLost as error:
            return Notice("lost", plain(str(error)))
        except Exception as error:  # a fault in a source ends the attempt, not the daemon
            self.error = error
            text = str(error) if isinstance(error, GenredError) else f"{type(error).__name__}: {error}"
            return Notice("ended" if self._source.finite else "lost", plain(text))
        if not self._source.finite and not self.stop.is_set():
            return Notice("lost", "it ended, though it should not end by itself")
        return Notice("ended", "")


class Supervisor:
    """See the module.

    Parameters
    ----------
    name : str
        The station's.
    source : Source
    stop, wake : threading.Event
        The source is to end; there is something for the worker.
    retry : Retry

    Attributes
    ----------
    arrivals : deque of Intake
        Connections that the station has not taken yet.
    crashes : int
        Attempts that ended by what no source should raise.
    next_try_s : float or None
        While lost, the monotonic time of the next attempt.
    """

    def __init__(
        self, name: str, source: Source, stop: threading.Event, wake: threading.Event, retry: Retry = Retry()
    ) -> None:
        self.arrivals: deque[Intake] = deque()
        self.crashes = 0
        self.next_try_s: float | None = 0.0
        self._name, self._source, self._stop, self._wake, self._retry = name, source, stop, wake, retry
        self._pause_s = retry.first_s
        self._began_s = 0.0
        self._attempt: Attempt | None = None
        self._undecoded = 0  # of the attempts that are over
        self._told = False  # the traceback of an unexpected error

    @property
    def undecoded(self) -> int:
        """Pieces of input left out so far."""
        return self._undecoded + (self._attempt.undecoded if self._attempt else 0)

    @property
    def news(self) -> bool:
        """Whether there is a connection to take, or an end to tell of."""
        return bool(self.arrivals) or (self._attempt is not None and self._attempt.notice is not None)

    def attend(self, now_s: float) -> Notice | None:
        """Do a round: say how the attempt ended, if it has, or begin the next one, if it is time."""
        if self._attempt is not None and self._attempt.notice is not None:
            return self._end(self._attempt, self._attempt.notice, now_s)
        if self.next_try_s is not None and now_s >= self.next_try_s and not self._stop.is_set():
            self._begin(now_s)
        return None

    def end(self) -> None:
        """Ask the source to end, for good; it is not waited for."""
        self._stop.set()

    def _begin(self, now_s: float) -> None:
        """Start the thread. It is never waited for."""
        self.next_try_s = None
        self._began_s = now_s
        self._attempt = Attempt(self._source, self.arrivals, self._stop, self._wake)
        try:
            threading.Thread(target=self._attempt.run, name=f"source {self._name}", daemon=True).start()
        except RuntimeError as error:  # the machine has no thread left for us
            self._attempt.notice = Notice("lost", plain(str(error)))

    def _end(self, attempt: Attempt, notice: Notice, now_s: float) -> Notice:
        self._undecoded += attempt.undecoded
        self._attempt = None
        if attempt.error is not None:
            self._count_crash(attempt.error)
        if notice.state == "lost":
            self._plan_next(now_s)
        return notice

    def _plan_next(self, now_s: float) -> None:
        if now_s - self._began_s > self._retry.most_s:
            self._pause_s = self._retry.first_s
        jittered_s = self._pause_s * random.uniform(0.5, 1.0)  # a hundred stations do not come back at once
        self.next_try_s = now_s + jittered_s
        self._pause_s = min(2 * self._pause_s, self._retry.most_s)

    def _count_crash(self, error: Exception) -> None:
        self.crashes += 1
        if not isinstance(error, GenredError) and not self._told:
            self._told = True
            text = "%s: unexpected error in the source; told once, counted from now on"
            log.error(text, self._name, exc_info=error)
