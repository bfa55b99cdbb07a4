"""Subscriber: the messages of a daemon, as an iterator.

>>> with Subscriber("tcp://127.0.0.1:5557", types=["estimate"]) as subscriber:  # doctest: +SKIP
...     for message in subscriber:
...         print(message.station, message.label)
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import zmq

from .config import DEFAULT_ENDPOINT
from .errors import ConfigError
from .handshake import Handshake
from .keys import KeyPair, read_pair, read_public
from .messages import Message, decode, plain

if TYPE_CHECKING:
    from types import TracebackType

TYPES = ("hello", "estimate", "segment", "event", "status")
FIRST_ANSWER_S = 2.0  # connecting may take so long; a daemon says hello to a new subscriber at once
LOOK_S = 0.5  # between two looks at the way in
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
    key, server_key : path, optional
        For a daemon that has keys: our secret key file, and its public one.

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
        If `endpoint` is not one, or a key file cannot be used.
    """

    def __init__(
        self,
        endpoint: str = DEFAULT_ENDPOINT,
        types: Iterable[str] = TYPES,
        station: str = "",
        timeout_s: float | None = None,
        *,
        key: str | os.PathLike[str] = "",
        server_key: str | os.PathLike[str] = "",
    ) -> None:
        own, server = _keys(key, server_key)
        self.endpoint = endpoint
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
        if own is not None:
            self._socket.setsockopt(zmq.CURVE_PUBLICKEY, own.public)
            self._socket.setsockopt(zmq.CURVE_SECRETKEY, own.secret)
            self._socket.setsockopt(zmq.CURVE_SERVERKEY, server)
        self._handshake = Handshake(self._socket, own)
        self._poller = zmq.Poller()
        self._poller.register(self._socket, zmq.POLLIN)
        self._poller.register(self._handshake.monitor, zmq.POLLIN)
        for kind in types:
            self._socket.subscribe(f"{kind}/{station}/" if station and kind != "hello" else f"{kind}/")
        try:
            self._connect()
        except ValueError as error:
            self.close()
            raise ConfigError(f"{endpoint!r} is not an endpoint: {error}; it looks like {DEFAULT_ENDPOINT}") from error

    def _connect(self) -> None:
        port = self.endpoint.rpartition(":")[2]
        if self.endpoint.startswith("tcp://") and port.isdecimal() and not 0 < int(port) < 65536:
            raise ValueError("No such port")  # libzmq would wait there for ever
        try:
            self._socket.connect(self.endpoint)
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
        self._handshake.close()
        self._socket.close()
        self._context.term()

    @property
    def refusal(self) -> str:
        """What the daemon does instead of letting us in, and the remedy, to be said after its endpoint; else empty."""
        return self._handshake.refusal

    def __iter__(self) -> Iterator[Message]:
        while (message := self.receive(self._timeout_s)) is not None:
            yield message

    def receive(self, timeout_s: float | None = None) -> Message | None:
        """Next message not seen before; None after `timeout_s` without one."""
        deadline_s = math.inf if timeout_s is None else time.monotonic() + timeout_s
        while self._wait(deadline_s):
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
        return None

    def _wait(self, deadline_s: float) -> bool:
        """Whether something comes before `deadline_s`; meanwhile look how we get in."""
        while True:
            left_s = max(deadline_s - time.monotonic(), 0)
            ready = dict(self._poller.poll(math.ceil(1000 * min(left_s, LOOK_S))))
            if self._handshake.monitor in ready:
                self._handshake.heed()
            if self._handshake.take_retry():
                with suppress(zmq.ZMQError):  # libzmq may have let go of it by itself
                    self._socket.disconnect(self.endpoint)
                self._connect()
            if self._socket in ready:
                return True
            if not left_s:
                return False

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


def _keys(key: str | os.PathLike[str], server_key: str | os.PathLike[str]) -> tuple[KeyPair | None, bytes]:
    """Our keys and the daemon's public one; neither where none is given."""
    if bool(key) != bool(server_key):
        raise ConfigError("--key and --server-key go together: your secret key file, and the daemon's public one")
    return (read_pair(Path(key)), read_public(Path(server_key))) if key else (None, b"")


def _decode(frames: list[bytes]) -> Message:
    """Message of the one frame that follows the topic."""
    if len(frames) != 1:
        raise ValueError(f"{1 + len(frames)} frames; a message has 2")
    return decode(frames[0])
