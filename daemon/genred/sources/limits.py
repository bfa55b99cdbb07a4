"""What one step of an answer may cost: so many bytes in so many seconds, whatever the server does.

A time-out of a socket begins again with each byte that drips in, and Python's own reader takes headers, chunk lines and
trailers as long as they come. So the bytes are counted where they leave the socket, below all of that.
"""

from __future__ import annotations

import http.client
import io
import socket
import time
from typing import Any

OLD = b"ICY "  # how SHOUTcast 1 begins its answer
NEW = b"HTTP/1.0 "
HEAD_BYTES = 64 * 1024  # status line and headers, all together


class TooMuchError(Exception):
    """More bytes than were allowed; no OSError, or urllib3 would take it for a broken connection."""


class Meter:
    """Allows bytes and seconds to the connection that it belongs to."""

    def __init__(self) -> None:
        self._bytes = 0
        self._until_s = 0.0

    def allow(self, most_bytes: int, seconds: float) -> None:
        """Begin a step that may take so much."""
        self._bytes, self._until_s = most_bytes, time.monotonic() + seconds

    def left(self) -> tuple[int, float]:
        """Bytes and seconds that are left.

        Raises
        ------
        TimeoutError, TooMuchError
        """
        left_s = self._until_s - time.monotonic()
        if left_s <= 0:
            raise TimeoutError("timed out")
        if self._bytes <= 0:
            raise TooMuchError
        return self._bytes, left_s

    def took(self, n: int) -> None:
        """Count bytes that have come."""
        self._bytes -= n


class _Metered(io.RawIOBase):
    """Raw input of `sock` within what `meter` allows; an answer of old SHOUTcast looks as HTTP."""

    def __init__(self, sock: socket.socket, raw: io.RawIOBase, meter: Meter) -> None:
        self._sock, self._raw, self._meter = sock, raw, meter
        self._begun = False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer)
        if self._begun:
            return self._take(view)
        self._begun = True
        head = bytearray()
        while len(head) < len(OLD) and (n := self._take(view[: len(OLD) - len(head)])):
            head += view[:n]
        start = NEW if head == OLD else bytes(head)
        view[: len(start)] = start
        return len(start)

    def _take(self, view: memoryview) -> int:
        most, left_s = self._meter.left()
        self._sock.settimeout(left_s)
        n = self._raw.readinto(view[:most]) or 0
        self._meter.took(n)
        return n

    def close(self) -> None:
        self._raw.close()
        super().close()


class MeteredResponse(http.client.HTTPResponse):
    """Python's response, read through a meter."""

    def __init__(self, meter: Meter, sock: socket.socket, *args: Any, **options: Any) -> None:
        super().__init__(sock, *args, **options)
        self.fp = io.BufferedReader(_Metered(sock, self.fp.detach(), meter))
