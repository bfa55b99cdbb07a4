"""Publisher: the one thread that owns the XPUB socket.

Other threads leave messages in a queue and wake it; it numbers them per topic, sends them, and keeps the last of each
topic. A new subscriber is sent those again, marked ``repeat``: the first messages after a connect are lost otherwise,
and a late joiner would wait. XPUB can only send to all subscribers of a topic, so everybody may see a repeat; it has
the same ``seq``, and readers drop it. Who subscribes too soon after a repeat is not forgotten, but waits for the next.

With keys all is encrypted, and only those come in whom the door knows. Libzmq cannot end one connection, so who has to
go, goes with all the others: the endpoint is unbound and bound again, and who may come in comes again. Meanwhile
messages wait.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import math
import os
import queue
import socket
import threading
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import zmq

from .clock import UtcClock
from .door import Door, Lock
from .errors import ConfigError
from .messages import Estimate, Event, Message, encode, plain, topic_of

if TYPE_CHECKING:
    from types import TracebackType

log = logging.getLogger(__name__)

REPEAT_S = 0.25  # a topic's last value is repeated at most once in this time
LINGER_MS = 500
HIGH_WATER = 20_000  # messages kept for a slow subscriber before its next ones are dropped
ROUND_S = 0.2
PROBE_S = 0.5
MOST_SUBSCRIPTION_BYTES = 256  # or anything else that a subscriber says at once
MOST_BYTES_WITH_KEYS = 1024  # showing one's key takes more
MOST_SUBSCRIBED_BYTES = 1_000_000  # of all subscriptions together; each byte takes libzmq some 50
REJOIN_S = 0.3  # messages wait so long for those who have to come in again
REBIND_MS = 10


@dataclass(frozen=True)
class _Outgoing:
    message: Message
    handed_over_s: float | None
    heard_s: float | None


@dataclass(frozen=True)
class _Forgotten:
    station: str


@dataclass
class _Topic:
    last: Message
    repeated_s: float = -math.inf


class Publisher:
    """Context manager; `send` may be called from any thread.

    Parameters
    ----------
    endpoint : str
        As in Config.bind.
    utc : UtcClock
    lock : Lock, optional
        Only those who are allowed there can subscribe; by default all who can reach the endpoint.

    Raises
    ------
    ConfigError
        On entering, if the endpoint cannot be bound.
    """

    def __init__(self, endpoint: str, utc: UtcClock, lock: Lock | None = None) -> None:
        self.boot = uuid.uuid4().hex
        self.endpoint = endpoint
        self.subscriptions = 0  # written by the publisher's thread only
        self.alive_s = time.monotonic()  # when it last finished a round
        self._utc, self._lock = utc, lock
        self._door: Door | None = None
        self._queue: queue.SimpleQueue[_Outgoing | _Forgotten | None] = queue.SimpleQueue()
        self._wake_out, self._wake_in = socket.socketpair()
        self._wake_in.setblocking(False)
        self._bound: queue.SimpleQueue[BaseException | None] = queue.SimpleQueue()
        self._error: BaseException | None = None  # what ended the thread; written by it only
        self._topics: dict[str, _Topic] = {}
        self._wanted: dict[str, None] = {}  # topics to be repeated as soon as they may, in order
        self._subscribed: set[bytes] = set()
        self._subscribed_bytes = 0
        self._crowded = False  # with subscriptions, and everybody has been sent away for it
        self._listening = False
        self._held_until_s = -math.inf  # messages wait until then
        self._file: os.stat_result | None = None  # of the socket
        self._complaint = ""
        self._seq: dict[str, int] = {}
        self._thread = threading.Thread(target=self._run, name="publisher", daemon=True)
        self._done = False

    def __enter__(self) -> Publisher:
        self._thread.start()
        if error := self._bound.get():
            self._close()
            if isinstance(error, zmq.ZMQError):
                raise ConfigError(self._cannot_bind(zmq.strerror(error.errno or 0))) from error
            raise error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._queue.put(None)
        self._wake()
        self._close()

    def _close(self) -> None:
        self._thread.join(timeout=2 * LINGER_MS / 1000)
        self._wake_in.close()
        self._wake_out.close()

    def send(self, message: Message, *, handed_over_s: float | None = None, heard_s: float | None = None) -> None:
        """Publish `message`; of an estimate, say when its last block was handed over and its last sample sounded.

        Of a ``signal`` event, `heard_s` is when it began to sound.

        Raises
        ------
        RuntimeError
            If the publisher's thread has died of an error, which is the cause.
        """
        if self._error is not None:
            raise RuntimeError("the publisher has died; nothing is sent any more") from self._error
        self._queue.put(_Outgoing(message, handed_over_s, heard_s))
        self._wake()

    def forget(self, station: str) -> None:
        """Do not repeat for new subscribers what was sent of `station` before now; its `seq` goes on."""
        self._queue.put(_Forgotten(station))
        self._wake()

    def _wake(self) -> None:
        with contextlib.suppress(OSError):  # so full that it is awake, or closed
            self._wake_in.send(b"\0")

    @property
    def refused(self) -> int:
        """Times that somebody was not let in."""
        return 0 if self._door is None else self._door.refused

    def _run(self) -> None:
        try:
            with zmq.Context() as context, self._opened_door(context), context.socket(zmq.XPUB) as xpub:
                self._set_up(xpub)
                self._bind(xpub)
                with self._own_file():
                    self._bound.put(None)
                    self._serve(xpub)
        except BaseException as error:
            self._error = error
            self._bound.put(error)

    @contextlib.contextmanager
    def _opened_door(self, context: zmq.Context[zmq.Socket[bytes]]) -> Iterator[None]:
        """Open before the endpoint is bound, and closed after it, the door asks all who come for their keys."""
        if self._lock is None:
            yield
            return
        self._door = Door(context, self._lock)
        try:
            yield
        finally:
            self._door.close()

    def _set_up(self, xpub: zmq.Socket[bytes]) -> None:
        xpub.setsockopt(zmq.XPUB_VERBOSE, 1)  # else the second subscriber of a topic is never announced
        xpub.setsockopt(zmq.SNDHWM, HIGH_WATER)
        xpub.setsockopt(zmq.LINGER, LINGER_MS)
        xpub.setsockopt(zmq.MAXMSGSIZE, MOST_SUBSCRIPTION_BYTES if self._door is None else MOST_BYTES_WITH_KEYS)
        xpub.setsockopt(zmq.IPV6, "[" in self.endpoint)
        if self._door is not None:
            self._door.guard(xpub)

    def _bind(self, xpub: zmq.Socket[bytes]) -> None:
        path = self._path()
        if path is not None:
            self._check_free(path)
        xpub.bind(self.endpoint)
        self._file = path.stat() if path is not None else None
        self._listening = True

    @contextlib.contextmanager
    def _own_file(self) -> Iterator[None]:
        """At the end remove the socket's file, which libzmq leaves behind; still bound, so nobody else takes it."""
        try:
            yield
        finally:
            path = self._path()
            if path is not None and self._file is not None:
                with contextlib.suppress(OSError):  # somebody has removed it
                    if os.path.samestat(path.stat(), self._file):  # nor has somebody put another in its place
                        path.unlink()

    def _path(self) -> Path | None:
        """Path of the socket, if it is one that is a file: a name that begins with @ has none."""
        scheme, _, name = self.endpoint.partition("://")
        return Path(name) if scheme == "ipc" and not name.startswith("@") else None

    def _check_free(self, path: Path) -> None:
        """Refuse a path that is in use: libzmq would delete what is there, be it a song or a daemon's socket."""
        try:
            if not path.exists():
                return
        except OSError as error:  # the name is too long
            raise ConfigError(self._cannot_bind(str(error.strerror))) from error
        if not path.is_socket():
            raise ConfigError(self._cannot_bind("There is a file of that name"))
        with socket.socket(socket.AF_UNIX) as probe:
            probe.settimeout(PROBE_S)  # its listener may be stopped, with a full queue
            if probe.connect_ex(str(path)) != errno.ECONNREFUSED:  # that is what a dead daemon leaves behind
                raise ConfigError(self._cannot_bind("Address already in use"))

    def _cannot_bind(self, why: str) -> str:
        return f"cannot bind {self.endpoint}: {why}; choose another with --bind"

    def _serve(self, xpub: zmq.Socket[bytes]) -> None:
        poller = zmq.Poller()
        poller.register(xpub, zmq.POLLIN)
        poller.register(self._wake_out, zmq.POLLIN)
        if self._door is not None:
            poller.register(self._door.socket, zmq.POLLIN)
        while not self._done:
            for ready, _ in poller.poll(self._rest_ms()):
                if ready is xpub:
                    self._heed(xpub)
                elif self._door is not None and ready is self._door.socket:
                    self._door.answer()
                else:
                    self._wake_out.recv(4096)
            self._look_after(xpub)
            if time.monotonic() >= self._held_until_s:
                self._drain(xpub)
                self._repeat(xpub)
            self.alive_s = time.monotonic()

    def _look_after(self, xpub: zmq.Socket[bytes]) -> None:
        """Send everybody away if somebody has to go; listen again if that is what was done before."""
        if not self._listening:
            self._listen_again(xpub)
        elif self._door is not None and self._door.revoked():
            log.warning("a key is no longer allowed; all subscribers have to show theirs again")
            self._send_away(xpub)
        elif self._subscribed_bytes > MOST_SUBSCRIBED_BYTES and not self._crowded:
            self._crowded = True
            self._complain("somebody subscribes to topics without end; all subscribers have to come again")
            self._send_away(xpub)

    def _send_away(self, xpub: zmq.Socket[bytes]) -> None:
        """End all connections, and let messages wait for those who come again."""
        xpub.unbind(xpub.get_string(zmq.LAST_ENDPOINT))
        self._listening = False
        self._held_until_s = time.monotonic() + REJOIN_S
        self._listen_again(xpub)

    def _listen_again(self, xpub: zmq.Socket[bytes]) -> None:
        """Bind the endpoint, or try so in the next round: libzmq may not have let go of it yet."""
        try:
            self._bind(xpub)
        except (zmq.ZMQError, ConfigError) as error:
            if time.monotonic() >= self._held_until_s:
                self._complain(f"cannot listen at {self.endpoint} again yet: {error}")
            return
        self._held_until_s = time.monotonic() + REJOIN_S

    def _complain(self, what: str) -> None:
        """Log `what`, unless it is what was logged last: somebody may provoke it for ever."""
        if what != self._complaint:
            log.warning("%s", plain(what))
        self._complaint = what

    def _drain(self, xpub: zmq.Socket[bytes]) -> None:
        while not self._queue.empty():
            outgoing = self._queue.get()
            if outgoing is None:
                self._done = True
                return
            if isinstance(outgoing, _Forgotten):
                self._forget(outgoing.station)
            else:
                self._publish(xpub, outgoing)

    def _forget(self, station: str) -> None:
        for name in [name for name, topic in self._topics.items() if topic.last.station == station]:
            del self._topics[name]
            self._wanted.pop(name, None)

    def _publish(self, xpub: zmq.Socket[bytes], outgoing: _Outgoing) -> None:
        topic = topic_of(outgoing.message)
        now = time.monotonic()
        seq = self._seq.get(topic, 0)
        self._seq[topic] = seq + 1
        message = msgspec.structs.replace(outgoing.message, boot=self.boot, seq=seq, time=self._utc.text(now))
        if isinstance(message, Estimate):
            message = self._timed(message, outgoing, now)
        elif isinstance(message, Event) and outgoing.heard_s is not None:
            message = msgspec.structs.replace(message, began_at=self._utc.text(outgoing.heard_s))
        if not isinstance(message, Event):
            self._topics.setdefault(topic, _Topic(message)).last = message
            self._wanted.pop(topic, None)  # who has just subscribed gets this one
        xpub.send_multipart([topic.encode(), encode(message)])

    def _timed(self, message: Estimate, outgoing: _Outgoing, now: float) -> Estimate:
        if outgoing.handed_over_s is not None:
            message = msgspec.structs.replace(message, latency_ms=1000 * (now - outgoing.handed_over_s))
        if outgoing.heard_s is None:
            return message
        heard_at, age_ms = self._utc.text(outgoing.heard_s), 1000 * (now - outgoing.heard_s)
        return msgspec.structs.replace(message, heard_at=heard_at, age_ms=age_ms)

    def _heed(self, xpub: zmq.Socket[bytes]) -> None:
        """Take one subscription, or the end of a topic's last; anything else a peer may send is ignored."""
        frame = xpub.recv()
        kind, prefix = frame[:1], frame[1:]
        if kind == b"\x01":
            self._subscribed_bytes += 0 if prefix in self._subscribed else len(prefix)
            self._subscribed.add(prefix)
            self._wanted.update(dict.fromkeys(name for name in self._topics if name.encode().startswith(prefix)))
        elif kind == b"\x00" and prefix in self._subscribed:
            self._subscribed.discard(prefix)
            self._subscribed_bytes -= len(prefix)
            self._crowded = self._crowded and self._subscribed_bytes > MOST_SUBSCRIBED_BYTES
        self.subscriptions = len(self._subscribed)

    def _repeat(self, xpub: zmq.Socket[bytes]) -> None:
        """Send again the last value of each topic that is wanted, if its last repeat is long enough ago."""
        now = time.monotonic()
        for name in [name for name in self._wanted if self._repeatable_s(name) <= now]:
            del self._wanted[name]
            topic = self._topics[name]
            topic.repeated_s = now
            xpub.send_multipart([name.encode(), encode(msgspec.structs.replace(topic.last, repeat=True))])

    def _repeatable_s(self, name: str) -> float:
        return self._topics[name].repeated_s + REPEAT_S

    def _rest_ms(self) -> int:
        """How long there is nothing to do but to send and to heed."""
        if not self._listening or time.monotonic() < self._held_until_s:
            return REBIND_MS
        due_s = min(map(self._repeatable_s, self._wanted), default=math.inf) - time.monotonic()
        return math.ceil(1000 * min(max(due_s, 0.0), ROUND_S))
