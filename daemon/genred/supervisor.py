"""Supervisor: runs one source in a thread of its own, and starts it again for ever.

Everything here belongs to that thread. What crosses to the worker is appended to `arrivals` and `notices`, from which
the worker takes; a deque's append and popleft are atomic.
"""

from __future__ import annotations

import logging
import random
import threading
import time
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


class Supervisor:
    """The Output that a source delivers to.

    Parameters
    ----------
    name : str
        The station's.
    source : Source
    stop, wake : threading.Event
        Of the daemon: it ends; there is something for the worker.
    retry : Retry
    """

    def __init__(
        self, name: str, source: Source, stop: threading.Event, wake: threading.Event, retry: Retry = Retry()
    ) -> None:
        self.name, self.source, self.stop, self.wake = name, source, stop, wake
        self._retry = retry
        self._told = False  # the traceback of an unexpected error
        self.arrivals: deque[Intake] = deque()
        self.notices: deque[Notice] = deque()
        self.undecoded = 0  # pieces of input left out
        self.crashes = 0  # unexpected errors in the source's code
        self._intake: Intake | None = None

    def start(self) -> None:
        """Start the thread. It is never waited for: a name look-up can hang in C."""
        threading.Thread(target=self._run, name=f"source {self.name}", daemon=True).start()

    def begin(self, rate_hz: int, channels: int = 1) -> Intake:
        """Open an intake; the one before is closed. A source that can wait does not run ahead of the worker."""
        self._close()
        while self.arrivals and not self.source.live and not self.stop.is_set():
            self.stop.wait(FULL_WAIT_S)
        self._intake = Intake(rate_hz, channels, wake=self.wake, stop=self.stop)
        self.arrivals.append(self._intake)
        return self._intake

    def count_error(self) -> None:
        """Count a piece of input that was left out."""
        self.undecoded += 1

    def _run(self) -> None:
        pause_s = self._retry.first_s
        while not self.stop.is_set():
            started_s = time.monotonic()
            notice = self._attempt()
            self._close()
            self.notices.append(notice)
            self.wake.set()
            if notice.state == "ended":
                return
            if time.monotonic() - started_s > self._retry.most_s:
                pause_s = self._retry.first_s
            self.stop.wait(pause_s * random.uniform(0.5, 1.0))  # jitter: a hundred stations do not come back at once
            pause_s = min(2 * pause_s, self._retry.most_s)

    def _attempt(self) -> Notice:
        """Run the source once, to its end."""
        try:
            self.source.run(self)
        except SourceLost as error:
            return Notice("lost", plain(str(error)))
        except Exception as error:
            return self._crashed(error)
        if not self.source.finite and not self.stop.is_set():
            return Notice("lost", "it ended, though it should not end by itself")
        return Notice("ended", "")

    def _crashed(self, error: Exception) -> Notice:
        """An error that no source should raise ends the attempt, not the daemon."""
        expected = isinstance(error, GenredError)
        if not expected and not self._told:
            self._told = True
            log.exception("%s: unexpected error in the source; told once, counted from now on", self.name)
        self.crashes += 1
        text = plain(str(error) if expected else f"{type(error).__name__}: {error}")
        return Notice("ended" if self.source.finite else "lost", text)

    def _close(self) -> None:
        if self._intake is not None:
            self._intake.close()
