"""Signals that ask the program to end, or to read its configuration again."""

from __future__ import annotations

import errno
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

SHORTAGES = (errno.EMFILE, errno.ENFILE, errno.ENOMEM)
UNHEARD_S = 1.0  # a main thread that has not heard of SIGINT by then is in C
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


@contextmanager
def heard_in_c(leave: Callable[[], None]) -> Iterator[None]:
    """Call `leave`, in a thread of its own, if SIGINT comes while the main thread is in C and does not hear of it."""
    done = threading.Event()
    here, there = socket.socketpair()
    there.setblocking(False)

    def watch() -> None:
        while numbers := here.recv(64):  # written by Python's own handler, whatever the main thread does
            if signal.SIGINT in numbers and not done.wait(UNHEARD_S):
                leave()

    thread = threading.Thread(target=watch, name="signals", daemon=True)
    before = signal.set_wakeup_fd(there.fileno(), warn_on_full_buffer=False)
    thread.start()
    try:
        yield
    finally:
        done.set()
        signal.set_wakeup_fd(before)
        there.close()
        thread.join()
        here.close()
