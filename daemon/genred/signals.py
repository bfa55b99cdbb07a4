"""Signals that ask the program to end, or to read its configuration again."""

from __future__ import annotations

import errno
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

SHORTAGES = (errno.EMFILE, errno.ENFILE, errno.ENOMEM)
ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)  # the last one when the terminal is closed


@contextmanager
def asked_to_end(stop: threading.Event, hung_up: threading.Event | None = None) -> Iterator[None]:
    """Let signals set `stop`; the second SIGINT interrupts whatever the end waits for. nohup keeps its promise.

    SIGHUP sets `hung_up` instead, where there is one: it may mean either.
    """

    def ask(number: int, _frame: FrameType | None) -> None:
        if stop.is_set() and number == signal.SIGINT:
            raise KeyboardInterrupt
        (hung_up if hung_up is not None and number == signal.SIGHUP else stop).set()

    immune = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    before = {number: signal.signal(number, ask) for number in (ENDING[:-1] if immune else ENDING)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def has_terminal() -> bool:
    """Whether this program has a terminal that can close; a closed one it has no more."""
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK))
    except OSError as error:
        return error.errno in SHORTAGES  # that says nothing of a terminal
    return True
