"""Crowd: those at the other end of the port: readers that stop, guests that come and go, strangers that shout."""

from __future__ import annotations

import random
import signal
import socket
import subprocess
import sys
from contextlib import ExitStack, suppress

from ..subscriber import Subscriber

AT_ONCE = 20
HELLO_S = 30.0  # a daemon that is stopped meanwhile has this long to say hello
SENT_BYTES = (1, 64, 1000, 100_000)


class Readers:
    """Context manager: ``genred listen``, several times, with nobody who reads what it prints.

    Parameters
    ----------
    endpoint : str
    n : int
    """

    def __init__(self, endpoint: str, n: int) -> None:
        self._command = [sys.executable, "-m", "genred", "listen", endpoint]
        self._n, self._stack = n, ExitStack()
        self._processes: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Readers:
        for _ in range(self._n):
            process = self._stack.enter_context(
                subprocess.Popen(self._command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            )
            self._stack.callback(process.kill)
            self._processes.append(process)
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @property
    def ended(self) -> int:
        """How many have ended, though none should."""
        return sum(process.poll() is not None for process in self._processes)

    def stop(self, number: int) -> None:
        """Stop one of them."""
        self._processes[number % self._n].send_signal(signal.SIGSTOP)

    def go_on(self, number: int) -> None:
        """Let it go on."""
        self._processes[number % self._n].send_signal(signal.SIGCONT)


def storm(endpoint: str) -> int:
    """Connect AT_ONCE subscribers, wait until each is told hello, and leave; return how many were not."""
    with ExitStack() as stack:
        guests = [stack.enter_context(Subscriber(endpoint, ["hello"])) for _ in range(AT_ONCE)]
        return sum(guest.receive(HELLO_S) is None for guest in guests)


def shout(endpoint: str, dice: random.Random) -> None:
    """Send random bytes to the port."""
    host, _, port = endpoint.removeprefix("tcp://").rpartition(":")
    for n in SENT_BYTES:
        with socket.create_connection((host, int(port)), timeout=5.0) as connection, suppress(OSError):
            connection.sendall(dice.randbytes(n))  # it may hang up in the middle
