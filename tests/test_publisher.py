"""The publisher, through real sockets; most readers here are bare SUB sockets, since Subscriber hides repeats."""

from __future__ import annotations

import random
import socket
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from itertools import count
from pathlib import Path
from typing import Any, cast

import msgspec
import psutil
import pytest
import zmq
from msgspec import UNSET
from zmq.utils.monitor import recv_monitor_message

from genred.clock import UtcClock
from genred.errors import ConfigError
from genred.messages import Estimate, Event, Message, Status, decode, topic_of
from genred.publisher import HIGH_WATER, MOST_SUBSCRIPTION_BYTES, REPEAT_S, Publisher

GOLDEN = Path(__file__).parent / "golden"
Context = zmq.Context[zmq.Socket[bytes]]
Sub = zmq.Socket[bytes]


def golden(name: str, station: str | None = None) -> Message:
    """Golden message, of `station`, as it was before it was first sent."""
    message = decode((GOLDEN / f"{name}.json").read_bytes())
    return msgspec.structs.replace(message, station=station or UNSET, repeat=UNSET, boot="", time="", seq=0)


@pytest.fixture(params=["tcp", "ipc"])
def where(request: pytest.FixtureRequest, endpoint: str, tmp_path: Path) -> str:
    """A free endpoint of either kind."""
    return endpoint if request.param == "tcp" else f"ipc://{tmp_path}/genred"


@pytest.fixture
def context() -> Iterator[Context]:
    """ZeroMQ for the readers; it complains about sockets that a test leaves open."""
    with zmq.Context() as context:
        yield context


@contextmanager
def publishing(endpoint: str) -> Iterator[Publisher]:
    with Publisher(endpoint, UtcClock()) as publisher:
        yield publisher


@contextmanager
def reading(context: Context, endpoint: str, *topics: str, **options: int) -> Iterator[Sub]:
    """A bare SUB socket, on its way to be connected."""
    with context.socket(zmq.SUB) as reader:
        reader.setsockopt(zmq.LINGER, 0)
        reader.setsockopt(zmq.RCVHWM, options.get("high_water", 0))
        reader.setsockopt(zmq.RCVBUF, options.get("buffer", -1))
        for topic in topics or ("",):
            reader.subscribe(topic)
        reader.connect(endpoint)
        yield reader


def wait_for(condition: Callable[[], bool], timeout_s: float = 5.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "it did not come true in time"
        threading.Event().wait(0.002)


def receive(reader: Sub, timeout_s: float = 5.0) -> Message:
    assert reader.poll(round(1000 * timeout_s)), f"nothing came within {timeout_s} s"
    topic, payload = reader.recv_multipart()
    message = decode(payload)
    assert topic.decode() == topic_of(message)
    return message


def receive_until(reader: Sub, done: Callable[[list[Message]], bool], timeout_s: float = 5.0) -> list[Message]:
    """Messages up to the one with which `done` comes true."""
    deadline = time.monotonic() + timeout_s
    messages: list[Message] = []
    while not done(messages):
        messages.append(receive(reader, max(deadline - time.monotonic(), 0.0)))
    return messages


def receive_n(reader: Sub, n: int, timeout_s: float = 10.0) -> list[Message]:
    return receive_until(reader, lambda messages: len(messages) == n, timeout_s)


def seqs(messages: list[Message]) -> dict[str, list[int]]:
    """`seq` by topic, repeats left out."""
    found: dict[str, list[int]] = defaultdict(list)
    for message in messages:
        if message.repeat is UNSET:
            found[topic_of(message)].append(message.seq)
    return dict(found)


# Numbering


def test_each_topic_is_numbered_without_holes(context: Context, where: str) -> None:
    """However many threads send, each topic counts from 0 without holes, and all carry the same boot."""
    names = ("a", "b", "c")

    def send(publisher: Publisher) -> None:
        for _ in range(100):
            publisher.send(golden("hello-minimal"))
            for name in names:
                publisher.send(golden("estimate", name))
                publisher.send(golden("event-loss", name))

    with publishing(where) as publisher, reading(context, where) as reader:
        wait_for(lambda: publisher.subscriptions == 1)
        threads = [threading.Thread(target=send, args=(publisher,)) for _ in range(3)]
        for thread in threads:
            thread.start()
        messages = receive_n(reader, 3 * 100 * 7)
        for thread in threads:
            thread.join()
    topics = ["hello/", *(f"{kind}/{name}/" for kind in ("estimate", "event") for name in names)]
    assert seqs(messages) == {topic: list(range(300)) for topic in topics}
    assert {message.boot for message in messages} == {publisher.boot}


def test_every_run_has_its_own_boot(endpoint: str) -> None:
    """Two publishers never share a boot, so their numbers cannot be confused."""
    with publishing(endpoint) as first:
        pass
    with publishing(endpoint) as second:
        assert first.boot != second.boot


# Times


def test_times_are_filled_in_at_the_send(context: Context, endpoint: str) -> None:
    """latency_ms and age_ms reach from what the worker noted to the send; heard_at and time agree with them."""
    with publishing(endpoint) as publisher, reading(context, endpoint) as reader:
        wait_for(lambda: publisher.subscriptions == 1)
        before_s = time.monotonic()
        publisher.send(golden("estimate", "a"), handed_over_s=before_s - 0.5, heard_s=before_s - 0.75)
        estimate = receive(reader)
        took_ms = 1000 * (time.monotonic() - before_s)
    assert isinstance(estimate, Estimate)
    assert 500 <= estimate.latency_ms <= 500 + took_ms
    assert estimate.age_ms == pytest.approx(estimate.latency_ms + 250)
    age = datetime.fromisoformat(estimate.time) - datetime.fromisoformat(str(estimate.heard_at))
    assert 1000 * age.total_seconds() == pytest.approx(estimate.age_ms, abs=0.01)


def test_times_that_nobody_knows_are_not_invented(context: Context, endpoint: str) -> None:
    """An estimate without a known hour, as of a file, gets neither heard_at nor age_ms."""
    with publishing(endpoint) as publisher, reading(context, endpoint) as reader:
        wait_for(lambda: publisher.subscriptions == 1)
        publisher.send(golden("estimate-silence", "a"), handed_over_s=time.monotonic())
        estimate = receive(reader)
    assert isinstance(estimate, Estimate)
    assert (estimate.heard_at, estimate.age_ms) == (UNSET, UNSET)


def test_a_signal_says_when_it_began(context: Context, endpoint: str) -> None:
    """The hour at which something began to sound wrong is filled in, where it is known."""
    fields = {"event": "signal", "text": "silence", "signal": "silence", "begin_s": 1.0}
    with publishing(endpoint) as publisher, reading(context, endpoint) as reader:
        wait_for(lambda: publisher.subscriptions == 1)
        publisher.send(Event(**fields), heard_s=time.monotonic() - 10)  # type: ignore[arg-type]
        publisher.send(Event(**fields))  # type: ignore[arg-type]
        known, unknown = receive(reader), receive(reader)
    assert isinstance(known, Event)
    assert isinstance(unknown, Event)
    before = datetime.fromisoformat(known.time) - datetime.fromisoformat(str(known.began_at))
    assert before.total_seconds() == pytest.approx(10, abs=1)
    assert unknown.began_at is UNSET


# Late joiners


def test_a_forgotten_station_is_not_repeated(context: Context, endpoint: str) -> None:
    """Of a station that has gone a new subscriber hears nothing; what others said is repeated; its seq goes on."""
    with publishing(endpoint) as publisher:
        for name in ("gone", "here"):
            publisher.send(golden("estimate", name))
            publisher.send(golden("status", name))
        publisher.forget("gone")
        with reading(context, endpoint) as reader:
            assert {receive(reader).station for _ in range(2)} == {"here"}
            publisher.send(golden("estimate", "gone"))
            back = receive(reader)
    assert (back.station, back.seq, back.repeat) == ("gone", 1, UNSET)


def everything_once(publisher: Publisher, reader: Sub) -> dict[str, Message]:
    """Send hello, and three estimates, events and statuses of two stations; return the last of each topic."""
    publisher.send(golden("hello-minimal"))
    for _ in range(3):
        for name in ("a", "b"):
            for kind in ("estimate", "event-loss", "status"):
                publisher.send(golden(kind, name))
    return {topic_of(message): message for message in receive_n(reader, 1 + 3 * 2 * 3)}


REPEATED = ("hello/", "estimate/a/", "estimate/b/", "status/a/", "status/b/")


def caught_up(reader: Sub, timeout_s: float = 0.5) -> dict[str, Message]:
    """What a new subscriber is told, by topic, as soon as it knows all that is repeated."""
    told = receive_until(reader, lambda messages: {topic_of(m) for m in messages} >= set(REPEATED), timeout_s)
    return {topic_of(message): message for message in told}


def test_late_subscriber_is_told_everything(context: Context, where: str) -> None:
    """Within half a second a new subscriber has hello and each station's last estimate and status, marked repeat."""
    with publishing(where) as publisher, reading(context, where) as early:
        wait_for(lambda: publisher.subscriptions == 1)
        last = everything_once(publisher, early)
        with reading(context, where) as late:
            told = caught_up(late)
    assert told == {topic: msgspec.structs.replace(last[topic], repeat=True) for topic in REPEATED}
    assert {message.seq for message in told.values()} == {0, 2}


def test_each_late_subscriber_is_told(context: Context, where: str) -> None:
    """So has the second and the third to the same topics, also when they come too soon for another repeat."""
    with publishing(where) as publisher, reading(context, where) as early:
        wait_for(lambda: publisher.subscriptions == 1)
        everything_once(publisher, early)
        with reading(context, where) as second, reading(context, where) as third:
            assert caught_up(second).keys() == caught_up(third).keys() == set(REPEATED)
            with reading(context, where) as fourth:
                assert caught_up(fourth).keys() == set(REPEATED)


def test_only_what_was_asked_for_is_repeated(context: Context, where: str) -> None:
    """A subscription to one station's estimates causes no repeat of anything else."""
    with publishing(where) as publisher, reading(context, where) as early:
        wait_for(lambda: publisher.subscriptions == 1)
        everything_once(publisher, early)
        with reading(context, where, "estimate/b/") as late:
            assert receive(late).repeat is True
        publisher.send(golden("event-loss", "a"))
        seen = receive_until(early, lambda messages: bool(messages) and messages[-1].seq == 3)
    assert [topic_of(message) for message in seen] == ["estimate/b/", "event/a/"]


def test_events_are_not_repeated(context: Context, where: str) -> None:
    """A new subscriber learns of no event that was before it."""
    with publishing(where) as publisher, reading(context, where) as early:
        wait_for(lambda: publisher.subscriptions == 1)
        everything_once(publisher, early)
        with reading(context, where, "hello/", "event/") as late:
            assert topic_of(receive(late)) == "hello/"
            publisher.send(golden("event-loss", "a"))
            assert (receive(late).seq, late.poll(0)) == (3, 0)


def test_storm_of_subscriptions_causes_few_repeats(context: Context, where: str) -> None:
    """Thousands of subscriptions cause one repeat of a topic in 250 ms, and delay nothing."""
    storm_s = 1.0
    with publishing(where) as publisher, reading(context, where) as reader, context.socket(zmq.XSUB) as rude:
        rude.setsockopt(zmq.LINGER, 0)
        wait_for(lambda: publisher.subscriptions == 1)
        publisher.send(golden("hello-minimal"))
        publisher.send(golden("event-loss", "a"))
        receive_n(reader, 2)
        rude.connect(where)
        repeats, sent = 0, 0
        ends_s = time.monotonic() + storm_s
        while time.monotonic() < ends_s:
            for prefix in (b"", b"h", b"hello/") * 5:
                rude.send(b"\x01" + prefix)
                sent += 1
            if reader.poll(2):
                message = receive(reader)
                assert (message.repeat, message.seq, topic_of(message)) == (True, 0, "hello/")
                repeats += 1
        before_s = time.monotonic()
        publisher.send(golden("event-loss", "a"))
        receive_until(reader, lambda messages: bool(messages) and messages[-1].seq == 1)
        assert time.monotonic() - before_s < 0.5
    assert sent > 1000
    assert storm_s / REPEAT_S - 2 <= repeats <= storm_s / REPEAT_S + 1


def test_subscriptions_counts_topics(context: Context, where: str) -> None:
    """Two who subscribe to the same topic count once; when both have gone, the count is 0 again."""
    with publishing(where) as publisher:
        publisher.send(golden("hello-minimal"))
        with reading(context, where, "hello/", "event/") as first, reading(context, where, "hello/") as second:
            receive(first)
            receive(second)
            wait_for(lambda: publisher.subscriptions == 2)
        wait_for(lambda: publisher.subscriptions == 0)


# Peers that do not behave


def raw(endpoint: str) -> socket.socket:
    """A plain connection, without ZeroMQ."""
    scheme, _, address = endpoint.partition("://")
    connection = socket.socket(socket.AF_INET if scheme == "tcp" else socket.AF_UNIX)
    connection.settimeout(5.0)
    host, _, port = address.rpartition(":")
    connection.connect((host, int(port)) if scheme == "tcp" else address)
    return connection


def until_closed(connection: socket.socket) -> None:
    """Read until the other side closes; fails if it does not."""
    with suppress(ConnectionError):
        while connection.recv(65536):
            pass


GREETING = b"\xff" + bytes(8) + b"\x7f\x03\x00" + b"NULL".ljust(20, b"\0") + bytes(32)
READY = b"\x04\x19\x05READY\x0bSocket-Type\x00\x00\x00\x03SUB"


def random_bytes(_: Context, endpoint: str) -> None:
    dice = random.Random(0)
    for n in (1, 64, 1000, 1_000_000):
        with raw(endpoint) as connection:
            with suppress(OSError):  # it hangs up in the middle
                connection.sendall(dice.randbytes(n))
                connection.shutdown(socket.SHUT_WR)
            until_closed(connection)


def half_a_greeting(_: Context, endpoint: str) -> None:
    for n in range(0, len(GREETING), 7):
        with raw(endpoint) as connection:
            connection.sendall(GREETING[:n])


def gigantic_length(_: Context, endpoint: str) -> None:
    with raw(endpoint) as connection:
        connection.sendall(GREETING + READY + b"\x02" + (2**62).to_bytes(8, "big") + bytes(100))
        until_closed(connection)


def huge_subscription(_: Context, endpoint: str) -> None:
    """One that libzmq would take apart by recursion, a call for each byte, if it got there."""
    frame = b"\x01" + b"a" * 10_000_000
    with raw(endpoint) as connection:
        with suppress(ConnectionError):
            connection.sendall(GREETING + READY + b"\x02" + len(frame).to_bytes(8, "big") + frame)
        until_closed(connection)


def bad_command(_: Context, endpoint: str) -> None:
    with raw(endpoint) as connection:
        connection.sendall(GREETING + b"\x04\xff" + b"\xff" * 255)
        until_closed(connection)


def odd_frames(context: Context, endpoint: str) -> None:
    dice = random.Random(1)
    with context.socket(zmq.XSUB) as rude:
        rude.setsockopt(zmq.LINGER, 1000)
        rude.connect(endpoint)
        for _ in range(2000):
            rude.send(dice.randbytes(dice.randrange(MOST_SUBSCRIPTION_BYTES)))
        for frames in ([b"", b""], [b"\x02", b"\x01\xff"], [b"\x01", b"\x00", b"\x01" * 100], [b"\x00nobody/"]):
            rude.send_multipart(frames)


def huge_frame(context: Context, endpoint: str) -> None:
    with context.socket(zmq.XSUB) as rude, rude.get_monitor_socket(zmq.EVENT_DISCONNECTED) as monitor:
        rude.setsockopt(zmq.LINGER, 0)
        rude.connect(endpoint)
        rude.send(b"\x02" + bytes(10_000_000))
        assert monitor.poll(5000), "the peer was not disconnected"
        recv_monitor_message(monitor)
        rude.disable_monitor()


ATTACKS = (random_bytes, half_a_greeting, gigantic_length, huge_subscription, bad_command, odd_frames, huge_frame)


@pytest.mark.parametrize("attack", ATTACKS)
def test_bad_peers_do_no_harm(context: Context, where: str, attack: Callable[[Context, str], None]) -> None:
    """Whatever a peer sends, others miss nothing, new ones are told everything, and the daemon does not grow."""
    with publishing(where) as publisher, reading(context, where) as witness:
        wait_for(lambda: publisher.subscriptions == 1)
        memory = psutil.Process().memory_info().rss
        for _ in range(10):
            publisher.send(golden("event-loss", "a"))
        attack(context, where)
        for _ in range(10):
            publisher.send(golden("event-loss", "a"))
        publisher.send(golden("hello-minimal"))
        messages = receive_until(witness, lambda messages: bool(messages) and topic_of(messages[-1]) == "hello/")
        with reading(context, where, "hello/") as late:
            assert topic_of(receive(late)) == "hello/"
        assert psutil.Process().memory_info().rss - memory < 100e6
    assert seqs(messages) == {"event/a/": list(range(20)), "hello/": [0]}


def test_subscriber_that_stops_reading_delays_nobody(context: Context, endpoint: str) -> None:
    """One that reads nothing loses messages beyond the high-water mark; another gets all of them, at once."""
    n = HIGH_WATER + 8000
    with (
        publishing(endpoint) as publisher,
        reading(context, endpoint, "status/", high_water=1, buffer=4096) as stopped,
        reading(context, endpoint) as other,
    ):
        wait_for(lambda: publisher.subscriptions == 2)
        message = golden("status", "a")
        for _ in range(n):
            publisher.send(message)
        payloads = [other.recv_multipart()[1] for _ in range(n) if other.poll(5000)]
        assert [decode(payload).seq for payload in payloads[-3:]] == [n - 3, n - 2, n - 1]
        assert len(payloads) == n
        before_s = time.monotonic()
        publisher.send(message)
        assert receive(other).seq == n
        assert time.monotonic() - before_s < 0.5
        got = next(number for number in count() if not stopped.poll(300) or not stopped.recv_multipart())
    assert HIGH_WATER <= got < n


# Beginning and end


def test_port_in_use_is_a_configuration_error(context: Context, where: str) -> None:
    """A second daemon at the same endpoint is refused in one sentence, and does not disturb the first."""
    with publishing(where) as first:
        with pytest.raises(ConfigError) as caught, publishing(where):
            pass
        first.send(golden("hello-minimal"))
        with reading(context, where) as reader:
            assert receive(reader).boot == first.boot
    assert str(caught.value) == f"cannot bind {where}: Address already in use; choose another with --bind"


@pytest.mark.parametrize(
    "endpoint",
    [
        "nonsense",
        "tcp://127.0.0.1",
        "tcp://192.0.2.1:5557",
        "ipc:///nowhere/genred",
        "ipc:///tmp/" + "x" * 200,
        "ipc:///tmp/" + "x" * 5000,
    ],
)
def test_bad_endpoint_is_a_configuration_error(endpoint: str) -> None:
    """An endpoint that cannot be bound is named in one sentence."""
    with pytest.raises(ConfigError) as caught, publishing(endpoint):
        pass
    sentence = str(caught.value)
    assert sentence.startswith(f"cannot bind {endpoint}: ")
    assert sentence.endswith("; choose another with --bind")
    assert "\n" not in sentence
    assert "addr=" not in sentence


def test_file_in_the_way_is_not_deleted(tmp_path: Path) -> None:
    """Libzmq would replace the file by its socket; the publisher refuses."""
    song = tmp_path / "song.mp3"
    song.write_bytes(b"la la la")
    with pytest.raises(ConfigError, match="There is a file of that name"), publishing(f"ipc://{song}"):
        pass
    assert song.read_bytes() == b"la la la"


def test_a_listener_that_hangs_is_in_use(tmp_path: Path) -> None:
    """A stopped daemon takes no connection, and its queue fills; the next daemon does not wait for it."""
    path = str(tmp_path / "genred")
    with socket.socket(socket.AF_UNIX) as stopped, socket.socket(socket.AF_UNIX) as waiting:
        stopped.bind(path)
        stopped.listen(0)
        waiting.connect(path)
        with pytest.raises(ConfigError, match="already in use"), publishing(f"ipc://{path}"):
            pass


def test_socket_of_a_dead_daemon_is_taken_over(context: Context, tmp_path: Path) -> None:
    """A socket that a killed daemon left behind does not keep the next one from starting."""
    path = tmp_path / "genred"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    assert path.is_socket()
    with publishing(f"ipc://{path}") as publisher, reading(context, f"ipc://{path}") as reader:
        publisher.send(golden("hello-minimal"))
        assert receive(reader).boot == publisher.boot


def test_the_end_removes_the_socket(context: Context, tmp_path: Path) -> None:
    """A publisher that ends leaves no file behind, whether it ends in order or by an error."""
    path = tmp_path / "genred"
    for _ in range(2):
        with publishing(f"ipc://{path}") as publisher, reading(context, f"ipc://{path}") as reader:
            wait_for(lambda: publisher.subscriptions == 1)
            assert path.is_socket()
            publisher.send(golden("hello-minimal"))
            assert receive(reader).boot == publisher.boot
        assert not path.exists()
    with publishing(f"ipc://{path}") as publisher:
        publisher.send(cast("Any", "this is no message"))
        wait_for(lambda: not path.exists())


def test_the_end_removes_nothing_of_others(tmp_path: Path) -> None:
    """What has taken the place of the socket stays, be it a file or the socket of another daemon."""
    path = tmp_path / "genred"
    with publishing(f"ipc://{path}"):
        path.unlink()
        path.write_text("la la la")
    assert path.read_text() == "la la la"
    path.unlink()
    with publishing(f"ipc://{path}"):
        path.unlink()
        with socket.socket(socket.AF_UNIX) as other:
            other.bind(str(path))
    assert path.is_socket()
    with publishing("ipc://@genred-test"):
        pass


def test_close_delivers_what_is_queued(context: Context, where: str) -> None:
    """What was sent before the end arrives, and the end takes less than a second."""
    with reading(context, where) as reader:
        with publishing(where) as publisher:
            wait_for(lambda: publisher.subscriptions == 1)
            for _ in range(1000):
                publisher.send(golden("event-loss", "a"))
            before_s = time.monotonic()
        assert time.monotonic() - before_s < 1.0
        assert seqs(receive_n(reader, 1000)) == {"event/a/": list(range(1000))}


def test_close_does_not_wait_for_a_subscriber_that_stopped(context: Context, endpoint: str) -> None:
    """Nor can a subscriber that reads nothing hold the end up: it is given half a second."""
    n = 10_000
    with reading(context, endpoint, "status/", high_water=1, buffer=4096) as stopped:
        with publishing(endpoint) as publisher, reading(context, endpoint) as other:
            wait_for(lambda: publisher.subscriptions == 2)
            message = golden("status", "a")
            for _ in range(n):
                publisher.send(message)
            assert sum(bool(other.poll(5000) and other.recv_multipart()) for _ in range(n)) == n
            before_s = time.monotonic()
        assert 0.4 < time.monotonic() - before_s < 1.0
        assert isinstance(receive(stopped), Status)


def test_nothing_stays_open(endpoint: str) -> None:
    """Neither a publisher that has ended nor one that could not begin leaves files or threads behind."""
    process = psutil.Process()

    def begin_and_end() -> None:
        with publishing(endpoint), pytest.raises(ConfigError), publishing(endpoint):
            pass

    begin_and_end()
    before = process.num_fds(), threading.active_count()
    for _ in range(3):
        begin_and_end()
    assert (process.num_fds(), threading.active_count()) == before


def test_send_after_the_end_is_harmless(endpoint: str) -> None:
    """A worker that is slow to end may still send; it is not disturbed."""
    with publishing(endpoint) as publisher:
        pass
    publisher.send(golden("hello-minimal"))


def test_death_of_the_thread_reaches_the_sender(endpoint: str) -> None:
    """An error in the publisher's thread is raised where the next message is sent, with its cause."""

    def send_on() -> bool:
        publisher.send(golden("hello-minimal"))
        return False

    with publishing(endpoint) as publisher:
        publisher.send(cast("Any", "this is no message"))
        with pytest.raises(RuntimeError, match="has died") as caught:
            wait_for(send_on)
    assert isinstance(caught.value.__cause__, AttributeError)


def test_one_thread_has_the_socket(monkeypatch: pytest.MonkeyPatch, where: str) -> None:
    """Whoever sends: the socket is set up, bound, used and closed in the publisher's own thread, and in no other."""
    seen: dict[str, set[str]] = {}

    def watched(name: str) -> Any:
        real = getattr(zmq.Socket, name)

        def method(self: Any, *args: Any, **options: Any) -> Any:
            if self.type == zmq.XPUB:
                seen.setdefault(name, set()).add(threading.current_thread().name)
            return real(self, *args, **options)

        return method

    names = ("setsockopt", "bind", "send_multipart", "recv", "close")
    for name in names:
        monkeypatch.setattr(zmq.Socket, name, watched(name))
    with zmq.Context() as context, publishing(where) as publisher, reading(context, where) as reader:
        wait_for(lambda: publisher.subscriptions == 1)
        senders = [threading.Thread(target=publisher.send, args=(golden("hello-minimal"),)) for _ in range(3)]
        for sender in senders:
            sender.start()
        assert [receive(reader).seq for _ in senders] == [0, 1, 2]
    assert seen == {name: {"publisher"} for name in names}
