"""Publisher: the one thread that owns the XPUB socket.

Other threads leave messages in a queue and wake it; it numbers them per topic, sends them, and keeps the last of each
topic. A new subscriber is sent those again, marked ``repeat``: the first messages after a connect are lost otherwise,
and a late joiner would wait. XPUB can only send to all subscribers of a topic, so everybody may see a repeat; it has
the same ``seq``, and readers drop it.
"""

from __future__ import annotations

import contextlib
import queue
import socket
import threading
import time
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec
import zmq

from .clock import UtcClock
from .errors import ConfigError
from .messages import Estimate, Event, Message, encode, topic_of

if TYPE_CHECKING:
    from types import TracebackType

REPEAT_S = 0.25  # a topic's last value is repeated at most once in this time
LINGER_MS = 500
HIGH_WATER = 20_000  # messages kept for a slow subscriber before its next ones are dropped
ROUND_S = 0.2
MOST_SUBSCRIPTION_BYTES = 256


@dataclass(frozen=True)
class _Outgoing:
    message: Message
    handed_over_s: float | None
    heard_s: float | None


@dataclass
class _Topic:
    last: Message
    repeated_s: float = 0.0


class Publisher:
    """Context manager; `send` may be called from any thread.

    Parameters
    ----------
    endpoint : str
        As in Config.bind.
    utc : UtcClock

    Raises
    ------
    ConfigError
        On entering, if the endpoint cannot be bound.
    """

    def __init__(self, endpoint: str, utc: UtcClock) -> None:
        self.boot = uuid.uuid4().hex
        self.endpoint = endpoint
        self.subscriptions = 0  # written by the publisher's thread only
        self.round_s = time.monotonic()  # when it last finished a round
        self._utc = utc
        self._queue: queue.SimpleQueue[_Outgoing | None] = queue.SimpleQueue()
        self._wake_out, self._wake_in = socket.socketpair()
        self._wake_in.setblocking(False)
        self._bound: queue.SimpleQueue[zmq.ZMQError | None] = queue.SimpleQueue()
        self._topics: dict[str, _Topic] = {}
        self._seq: dict[str, int] = {}
        self._thread = threading.Thread(target=self._run, name="publisher", daemon=True)
        self._done = False

    def __enter__(self) -> Publisher:
        self._thread.start()
        if error := self._bound.get():
            raise ConfigError(f"cannot bind {self.endpoint}: {error.strerror}; choose another with --bind")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._queue.put(None)
        self._wake()
        self._thread.join(timeout=2 * LINGER_MS / 1000)

    def send(self, message: Message, *, handed_over_s: float | None = None, heard_s: float | None = None) -> None:
        """Publish `message`; of an estimate, say when its last block was handed over and its last sample sounded."""
        self._queue.put(_Outgoing(message, handed_over_s, heard_s))
        self._wake()

    def _wake(self) -> None:
        with contextlib.suppress(BlockingIOError):  # as full as that, it is awake
            self._wake_in.send(b"\0")

    def _run(self) -> None:
        with zmq.Context() as context, context.socket(zmq.XPUB) as xpub:
            xpub.setsockopt(zmq.XPUB_VERBOSE, 1)  # else the second subscriber of a topic is never announced
            xpub.setsockopt(zmq.SNDHWM, HIGH_WATER)
            xpub.setsockopt(zmq.LINGER, LINGER_MS)
            xpub.setsockopt(zmq.MAXMSGSIZE, MOST_SUBSCRIPTION_BYTES)
            xpub.setsockopt(zmq.IPV6, "[" in self.endpoint)
            try:
                xpub.bind(self.endpoint)
            except zmq.ZMQError as error:
                self._bound.put(error)
                return
            self._bound.put(None)
            self._serve(xpub)

    def _serve(self, xpub: zmq.Socket[bytes]) -> None:
        poller = zmq.Poller()
        poller.register(xpub, zmq.POLLIN)
        poller.register(self._wake_out, zmq.POLLIN)
        while not self._done:
            for ready, _ in poller.poll(round(ROUND_S * 1000)):
                if ready is xpub:
                    self._heed(xpub)
                else:
                    self._wake_out.recv(4096)
            self._drain(xpub)
            self.round_s = time.monotonic()

    def _drain(self, xpub: zmq.Socket[bytes]) -> None:
        while not self._queue.empty():
            outgoing = self._queue.get()
            if outgoing is None:
                self._done = True
                return
            self._publish(xpub, outgoing)

    def _publish(self, xpub: zmq.Socket[bytes], outgoing: _Outgoing) -> None:
        topic = topic_of(outgoing.message)
        now = time.monotonic()
        seq = self._seq.get(topic, 0)
        self._seq[topic] = seq + 1
        message = msgspec.structs.replace(outgoing.message, boot=self.boot, seq=seq, time=self._utc.text(now))
        if isinstance(message, Estimate):
            message = self._timed(message, outgoing, now)
        if not isinstance(message, Event):
            self._topics.setdefault(topic, _Topic(message)).last = message
        xpub.send_multipart([topic.encode(), encode(message)])

    def _timed(self, message: Estimate, outgoing: _Outgoing, now: float) -> Estimate:
        if outgoing.handed_over_s is not None:
            message = msgspec.structs.replace(message, latency_ms=1000 * (now - outgoing.handed_over_s))
        if outgoing.heard_s is None:
            return message
        heard_at, age_ms = self._utc.text(outgoing.heard_s), 1000 * (now - outgoing.heard_s)
        return msgspec.structs.replace(message, heard_at=heard_at, age_ms=age_ms)

    def _heed(self, xpub: zmq.Socket[bytes]) -> None:
        """Take one subscription or its end; anything else a peer may send is ignored."""
        frame = xpub.recv()
        if frame[:1] == b"\x01":
            self.subscriptions += 1
            self._repeat(xpub, frame[1:])
        elif frame[:1] == b"\x00":
            self.subscriptions = max(self.subscriptions - 1, 0)

    def _repeat(self, xpub: zmq.Socket[bytes], prefix: bytes) -> None:
        now = time.monotonic()
        for name, topic in self._topics.items():
            if name.encode().startswith(prefix) and now - topic.repeated_s >= REPEAT_S:
                topic.repeated_s = now
                again = msgspec.structs.replace(topic.last, repeat=True)
                xpub.send_multipart([name.encode(), encode(again)])
