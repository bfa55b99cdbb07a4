"""Subscriber: the messages of a daemon, as an iterator.

>>> with Subscriber("tcp://127.0.0.1:5557", types=["estimate"]) as subscriber:  # doctest: +SKIP
...     for message in subscriber:
...         print(message.station, message.label)
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import zmq

from .config import DEFAULT_ENDPOINT
from .errors import ConfigError
from .messages import Message, decode, plain

if TYPE_CHECKING:
    from types import TracebackType

TYPES = ("hello", "estimate", "segment", "event", "status")
FIRST_ANSWER_S = 2.0  # connecting may take so long; a daemon says hello to a new subscriber at once
REMEDY = "is a daemon running there? Start one with genred run, or name the endpoint that it was given with --bind"
REMEDY_UNREADABLE = "is it a genred that answers there, and of this one's version?"


@dataclass
class _Place:
    """Where the reader is in one topic."""

    boot: str
    seq: int


class Subscriber:
    """Context manager and iterator.

    Parameters
    ----------
    endpoint : str
    types : iterable of str
        Kinds of message; all by default.
    station : str
        Only this one; all by default.
    timeout_s : float, optional
        The iteration ends after this long without a message; by default it waits for ever.

    Attributes
    ----------
    gaps : int
        Messages missed so far, by their ``seq``.
    unreadable : int
        Messages that were not of this format.
    obstacle : str
        Why the newest message could not be read; empty if it could.

    Raises
    ------
    ConfigError
        If `endpoint` is not one.
    """

    def __init__(
        self,
        endpoint: str = DEFAULT_ENDPOINT,
        types: Iterable[str] = TYPES,
        station: str = "",
        timeout_s: float | None = None,
    ) -> None:
        self.gaps = 0
        self.unreadable = 0
        self.obstacle = ""
        self._places: dict[bytes, _Place] = {}
        self._timeout_s = timeout_s
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._socket = self._context.socket(zmq.SUB)
        self._socket.setsockopt(zmq.RCVHWM, 0)
        self._socket.setsockopt(zmq.RECONNECT_IVL, 50)
        self._socket.setsockopt(zmq.LINGER, 0)
        self._socket.setsockopt(zmq.IPV6, "[" in endpoint)
        for kind in types:
            self._socket.subscribe(f"{kind}/{station}/" if station and kind != "hello" else f"{kind}/")
        try:
            self._connect(endpoint)
        except ValueError as error:
            self.close()
            raise ConfigError(f"{endpoint!r} is not an endpoint: {error}; it looks like {DEFAULT_ENDPOINT}") from error

    def _connect(self, endpoint: str) -> None:
        port = endpoint.rpartition(":")[2]
        if endpoint.startswith("tcp://") and port.isdecimal() and not 0 < int(port) < 65536:
            raise ValueError("No such port")  # libzmq would wait there for ever
        try:
            self._socket.connect(endpoint)
        except zmq.ZMQError as error:
            raise ValueError(zmq.strerror(error.errno or 0)) from error
        except UnicodeEncodeError as error:
            raise ValueError("Not UTF-8") from error

    def __enter__(self) -> Subscriber:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Leave."""
        self._socket.close()
        self._context.term()

    def __iter__(self) -> Iterator[Message]:
        while (message := self.receive(self._timeout_s)) is not None:
            yield message

    def receive(self, timeout_s: float | None = None) -> Message | None:
        """Next message not seen before; None after `timeout_s` without one."""
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        while True:
            left_ms = None if deadline is None else round(max(deadline - time.monotonic(), 0) * 1000)
            if not self._socket.poll(left_ms):
                return None
            topic, *payload = self._socket.recv_multipart()
            try:
                message = _decode(payload)
            except ValueError as error:
                self.unreadable += 1
                self.obstacle = plain(str(error))
                continue
            self.obstacle = ""
            if self._is_new(topic, message):
                return message

    def _is_new(self, topic: bytes, message: Message) -> bool:
        """Drop what was seen; count what was missed."""
        place = self._places.get(topic)
        if place is None or place.boot != message.boot:
            self._places[topic] = _Place(message.boot, message.seq)
            return True
        if message.seq <= place.seq:
            return False
        self.gaps += message.seq - place.seq - 1
        place.seq = message.seq
        return True


def _decode(frames: list[bytes]) -> Message:
    """Message of the one frame that follows the topic."""
    if len(frames) != 1:
        raise ValueError(f"{1 + len(frames)} frames; a message has 2")
    return decode(frames[0])
