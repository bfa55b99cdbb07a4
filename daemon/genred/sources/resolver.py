"""Names to addresses, and connections to them, within a stated time.

The system's look-up can hang for as long as it likes, and nothing can end it. So it runs in a thread of its own, which
is never waited for longer than was said; while one hangs, no second one is begun for the same name.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any

from ..errors import SourceLost

Address = tuple[Any, ...]  # family, kind, protocol, name and address, as getaddrinfo says it
LookUp = Callable[[str, int], list[Address]]


def _system(host: str, port: int) -> list[Address]:
    return list(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))


class Resolver:
    """See the module; shared by all stations.

    Parameters
    ----------
    look_up : callable
        Host and port to addresses; may hang.
    """

    def __init__(self, look_up: LookUp = _system) -> None:
        self._look_up = look_up
        self._running: dict[tuple[str, int], Future[list[Address]]] = {}
        self._guard = threading.Lock()

    def addresses(self, host: str, port: int, timeout_s: float) -> list[Address]:
        """Addresses of `host`, best first.

        Raises
        ------
        SourceLost
            If there are none, or none within `timeout_s`.
        """
        try:
            found = self._begun(host, port).result(timeout_s)
        except TimeoutError as error:
            raise SourceLost(f"the look-up of the name {host} takes longer than {timeout_s:g} s") from error
        except (OSError, UnicodeError, RuntimeError) as error:  # the last where the machine has no thread left
            raise SourceLost(f"the name {host} cannot be looked up: {getattr(error, 'strerror', error)}") from error
        if not found:
            raise SourceLost(f"the name {host} has no address")
        return found

    def _begun(self, host: str, port: int) -> Future[list[Address]]:
        """Look-up of that name that is running, or a new one."""
        with self._guard:
            future = self._running.get((host, port))
            if future is None:
                future = Future()
                threading.Thread(target=self._run, args=(host, port, future), name="look-up", daemon=True).start()
                self._running[host, port] = future
            return future

    def _run(self, host: str, port: int, future: Future[list[Address]]) -> None:
        try:
            found = self._look_up(host, port)
        except Exception as error:
            future.set_exception(error)
        else:
            future.set_result(found)
        finally:
            with self._guard:
                del self._running[host, port]


resolver = Resolver()


def connect(
    host: str, port: int, timeout_s: float, options: Sequence[tuple[int, int, int | bytes]] = ()
) -> socket.socket:
    """Connect to `host` by the first of its addresses that answers; the socket's own time-out is what is left.

    Raises
    ------
    SourceLost
        If none does within `timeout_s`, the look-up of its name included.
    """
    until_s = time.monotonic() + timeout_s
    found = resolver.addresses(host, port, timeout_s)
    reason = ""
    for number, (family, kind, protocol, _, address) in enumerate(found):
        left_s = max(until_s - time.monotonic(), 0.1)
        try:
            sock = socket.socket(family, kind, protocol)
        except OSError as error:
            reason = str(error.strerror)
            continue
        try:
            for option in options:
                sock.setsockopt(*option)
            sock.settimeout(left_s / (len(found) - number))  # one that is silent leaves time for the others
            sock.connect(address)
        except OSError as error:
            sock.close()
            reason = error.strerror or f"no answer within {timeout_s:g} s"
            continue
        sock.settimeout(max(until_s - time.monotonic(), 0.1))
        return sock
    raise SourceLost(f"cannot connect to {host} port {port}: {reason}")
