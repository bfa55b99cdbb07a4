"""The subscriber, against a bare XPUB socket that sends what a daemon never would."""

from __future__ import annotations

import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec
import psutil
import pytest
import zmq
from msgspec import UNSET

from genred.clock import UtcClock
from genred.errors import ConfigError
from genred.messages import Message, decode, encode, topic_of
from genred.publisher import Publisher
from genred.subscriber import TYPES, Subscriber

GOLDEN = Path(__file__).parent / "golden"


def golden(name: str, **fields: Any) -> Message:
    """Golden message with other fields."""
    return msgspec.structs.replace(decode((GOLDEN / f"{name}.json").read_bytes()), **{"repeat": UNSET, **fields})


class Station:
    """A bare XPUB socket in the daemon's place."""

    def __init__(self, socket: zmq.Socket[bytes], endpoint: str) -> None:
        self._socket, self.endpoint = socket, endpoint

    def await_subscriptions(self, n: int) -> set[bytes]:
        """Prefixes of the next `n` subscriptions; what is sent from now on reaches them."""
        prefixes: set[bytes] = set()
        while len(prefixes) < n:
            assert self._socket.poll(5000), f"only {prefixes} of {n} subscriptions came"
            frame = self._socket.recv()
            if frame[:1] == b"\x01":
                prefixes.add(frame[1:])
        return prefixes

    def heed(self) -> None:
        """Let a moment pass in which the other side may go."""
        if self._socket.poll(10):
            self._socket.recv()

    def send(self, *messages: Message) -> None:
        for message in messages:
            self.send_raw(topic_of(message).encode(), encode(message))

    def send_raw(self, *frames: bytes) -> None:
        self._socket.send_multipart(frames)


@pytest.fixture
def daemon(endpoint: str) -> Iterator[Station]:
    with zmq.Context() as context, context.socket(zmq.XPUB) as socket:
        socket.setsockopt(zmq.LINGER, 0)
        socket.bind(endpoint)
        yield Station(socket, endpoint)


@pytest.fixture
def subscriber(daemon: Station) -> Iterator[Subscriber]:
    """Subscriber to everything, connected."""
    with Subscriber(daemon.endpoint, timeout_s=5.0) as subscriber:
        daemon.await_subscriptions(len(TYPES))
        yield subscriber


def take(subscriber: Subscriber, n: int) -> list[Message]:
    """The next `n` messages, after which there are no more."""
    messages = list(islice(subscriber, n))
    assert subscriber.receive(0.02) is None
    return messages


def numbers(subscriber: Subscriber, n: int) -> list[int]:
    """`seq` of the next and last `n` messages."""
    return [message.seq for message in take(subscriber, n)]


def test_iteration_gives_messages_in_order(daemon: Station, subscriber: Subscriber) -> None:
    """The messages come out as records, all types, as they were sent."""
    sent = [golden(name) for name in ("hello", "event-state", "estimate", "event-clock-step", "status")]
    daemon.send(*sent)
    assert take(subscriber, 5) == sent
    assert (subscriber.gaps, subscriber.unreadable) == (0, 0)


def test_time_out_ends_the_iteration(daemon: Station) -> None:
    """The iteration ends so long after the last message, and can be taken up again."""
    with Subscriber(daemon.endpoint, timeout_s=0.5) as subscriber:
        daemon.await_subscriptions(len(TYPES))
        for seq in (0, 1):
            daemon.send(golden("estimate", seq=seq))
            began_s = time.monotonic()
            assert [message.seq for message in subscriber] == [seq]
            assert 0.49 <= time.monotonic() - began_s < 2.0


def test_what_is_dropped_does_not_put_the_time_out_off(daemon: Station, subscriber: Subscriber) -> None:
    """A stream of repeats alone is silence: receive ends on time."""
    daemon.send(golden("estimate", seq=5))
    assert subscriber.receive(5.0) == golden("estimate", seq=5)
    for _ in range(1000):
        daemon.send(golden("estimate", seq=5, repeat=True))
    began_s = time.monotonic()
    assert subscriber.receive(0.3) is None
    assert 0.29 <= time.monotonic() - began_s < 2.0


def test_no_daemon_is_silence(endpoint: str) -> None:
    """An endpoint where nobody is yet is not an error: the subscriber waits, and finds the daemon when it comes."""
    with Subscriber(endpoint, timeout_s=0.1) as subscriber:
        assert list(subscriber) == []
        with Publisher(endpoint, UtcClock()) as publisher:
            publisher.send(golden("hello"))
            found = subscriber.receive(5.0)
    assert found is not None
    assert found.boot == publisher.boot


def test_duplicates_are_dropped(daemon: Station, subscriber: Subscriber) -> None:
    """A message is given out once for its boot, topic and seq, however often it is repeated."""
    daemon.send(*(golden("estimate", seq=seq) for seq in (7, 8)))
    daemon.send(*(golden("estimate", seq=seq, repeat=True) for seq in (8, 7, 8)))
    daemon.send(golden("estimate", seq=8), golden("estimate", seq=9))
    assert numbers(subscriber, 3) == [7, 8, 9]
    assert subscriber.gaps == 0


def test_repeat_is_given_out_to_who_has_not_seen_it(daemon: Station, subscriber: Subscriber) -> None:
    """A late joiner's first message is a repeat; nothing before it counts as missed."""
    daemon.send(golden("estimate", seq=41, repeat=True), golden("estimate", seq=42))
    assert numbers(subscriber, 2) == [41, 42]
    assert subscriber.gaps == 0


def test_topics_are_numbered_apart(daemon: Station, subscriber: Subscriber) -> None:
    """The same seq in another topic, of another station or type, is another message."""
    sent = [golden("estimate", station=name, seq=3) for name in ("a", "b")] + [golden("status", station="a", seq=3)]
    daemon.send(*sent)
    assert take(subscriber, 3) == sent
    assert subscriber.gaps == 0


def test_gaps_are_counted(daemon: Station, subscriber: Subscriber) -> None:
    """`gaps` counts the messages that were missed, topic by topic."""
    daemon.send(*(golden("estimate", station="a", seq=seq) for seq in (0, 1, 4, 5)))
    daemon.send(*(golden("estimate", station="b", seq=seq) for seq in (10, 11, 13)))
    assert numbers(subscriber, 7) == [0, 1, 4, 5, 10, 11, 13]
    assert subscriber.gaps == 2 + 1


def test_new_boot_begins_anew(daemon: Station, subscriber: Subscriber) -> None:
    """After a restart of the daemon lower numbers are new messages, and nothing counts as missed."""
    daemon.send(golden("estimate", boot="one", seq=100), golden("estimate", boot="two", seq=0))
    daemon.send(golden("estimate", boot="two", seq=1), golden("estimate", boot="three", seq=200))
    assert numbers(subscriber, 4) == [100, 0, 1, 200]
    assert subscriber.gaps == 0


def test_restart_of_a_real_daemon_is_survived(endpoint: str) -> None:
    """A subscriber follows a daemon that is stopped and started again, without gaps or duplicates."""
    with Subscriber(endpoint) as subscriber:
        boots = []
        for _ in range(2):
            with Publisher(endpoint, UtcClock()) as publisher:
                boots.append(publisher.boot)
                publisher.send(golden("hello"))
                message = subscriber.receive(5.0)
                assert message is not None
                assert (message.boot, message.seq) == (publisher.boot, 0)
        assert boots[0] != boots[1]
        assert (subscriber.gaps, subscriber.unreadable) == (0, 0)


def test_unreadable_is_counted(daemon: Station, subscriber: Subscriber) -> None:
    """What is no message of this major version is counted and left out; nothing is raised, the rest comes through."""
    good = golden("estimate")
    junk = [
        (b"estimate/a/", b""),
        (b"estimate/a/", b"\xff\xfe"),
        (b"estimate/a/", b'{"type":"estimate"}'),
        (b"estimate/a/", encode(golden("estimate", v="2.0"))),
        (b"estimate/a/", encode(good)[:-1] + b',"x":' + b"[" * 100_000 + b"]" * 100_000 + b"}"),
        (b"estimate/",),
        (b"estimate/a/", encode(good), b"and more"),
    ]
    for frames in junk:
        daemon.send_raw(*frames)
    daemon.send(good)
    assert take(subscriber, 1) == [good]
    assert (subscriber.unreadable, subscriber.obstacle) == (len(junk), "")


def test_the_newest_obstacle_is_told(daemon: Station, subscriber: Subscriber) -> None:
    """Why the newest message could not be read: its version before a field that it lacks, and without escapes."""
    for payload, why in [
        (b'{"type":"hello","v":"7.0"}', "message of version 7.0; this reader knows 1.0"),
        (
            b'{"type":"hello","v":"\\u001b[2J"}',
            "message of version \N{REPLACEMENT CHARACTER}[2J; this reader knows 1.0",
        ),
        (b'{"type":"hello","v":"1.0"}', "Object missing required field `daemon`"),
    ]:
        daemon.send_raw(b"hello/", payload)
        assert subscriber.receive(0.5) is None
        assert subscriber.obstacle == why


def test_types_can_be_chosen(daemon: Station) -> None:
    """Only the types that were asked for come."""
    with Subscriber(daemon.endpoint, types=["event", "status"], timeout_s=5.0) as subscriber:
        assert daemon.await_subscriptions(2) == {b"event/", b"status/"}
        sent = [golden(name) for name in ("hello", "estimate", "event-state", "status", "event-clock-step")]
        daemon.send(*sent)
        assert take(subscriber, 3) == sent[2:]


def test_station_can_be_chosen(daemon: Station) -> None:
    """Only the station that was asked for comes, not one whose name begins alike; and hello, which is everybody's."""
    with Subscriber(daemon.endpoint, station="hall", timeout_s=5.0) as subscriber:
        daemon.await_subscriptions(len(TYPES))
        sent = [golden("estimate", station=name) for name in ("hall", "hall2", "kitchen")] + [golden("hello")]
        daemon.send(*sent)
        assert take(subscriber, 2) == [sent[0], sent[3]]


@pytest.mark.parametrize(
    "endpoint",
    [
        "",
        "nonsense",
        "tcp://",
        "tcp://127.0.0.1",
        "tcp://127.0.0.1:0",
        "tcp://127.0.0.1:65536",
        "tcp://host:port",
        "smoke://signals:1",
        "ipc://",
        "tcp://\udcff:1",
    ],
)
def test_bad_endpoint_is_a_configuration_error(endpoint: str) -> None:
    """What is not an endpoint is named in one sentence that shows one; nothing stays open."""
    with Subscriber("tcp://127.0.0.1:1"):
        pass
    before = psutil.Process().num_fds()
    with pytest.raises(ConfigError) as caught:
        Subscriber(endpoint)
    sentence = str(caught.value)
    assert sentence.startswith(f"{endpoint!r} is not an endpoint: ")
    assert sentence.endswith("; it looks like tcp://127.0.0.1:5557")
    assert "\n" not in sentence
    assert "addr=" not in sentence
    assert psutil.Process().num_fds() == before


def test_nothing_stays_open(daemon: Station) -> None:
    """A subscriber that has been left leaves no file open, on neither side."""
    process = psutil.Process()
    before = process.num_fds()
    for _ in range(3):
        with Subscriber(daemon.endpoint):
            daemon.await_subscriptions(len(TYPES))
            assert process.num_fds() > before
        deadline = time.monotonic() + 5.0
        while process.num_fds() > before and time.monotonic() < deadline:
            daemon.heed()
        assert process.num_fds() == before
