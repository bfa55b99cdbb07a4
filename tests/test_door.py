"""Who may subscribe to a publisher that has keys; through real sockets, but for the folder's own tests."""

from __future__ import annotations

import os
import random
import resource
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest
import zmq

from genred import door
from genred.clock import UtcClock
from genred.door import MOST_TOLD, AllowedKeys, Door, Lock, open_lock
from genred.errors import ConfigError
from genred.keys import generate, read_pair, read_public
from genred.messages import Event, Hello, Message
from genred.publisher import MOST_BYTES_WITH_KEYS, MOST_SUBSCRIBED_BYTES, REJOIN_S, Publisher
from genred.subscriber import TYPES, Subscriber
from test_publisher import ATTACKS, golden, raw, until_closed, wait_for

COME_S = 5 * (door.HANDSHAKE_MS / 1000 + 1)  # who was refused comes again
QUIET_S = 0.5  # five times what it takes to come in and be told


@dataclass(frozen=True)
class House:
    """A daemon's keys, and the folder of those who may come in."""

    folder: Path

    @property
    def server(self) -> Path:
        return self.folder / "daemon.public"

    @property
    def clients(self) -> Path:
        return self.folder / "clients"

    def lock(self) -> Lock:
        lock = open_lock(str(self.folder / "daemon.secret"), str(self.clients))
        assert lock is not None
        return lock

    def keys(self, secret: Path) -> dict[str, Path]:
        """What a subscriber needs that has this secret."""
        return {"key": secret, "server_key": self.server}

    def guest(self, name: str) -> Path:
        """Secret of a new pair, which is not allowed yet."""
        return generate(self.folder / name)[0]

    def allow(self, secret: Path) -> Path:
        """Let the owner in; return the file that does so."""
        public = secret.with_suffix(".public")
        file = self.clients / public.name
        file.write_bytes(public.read_bytes())
        return file


@pytest.fixture
def house(tmp_path: Path) -> House:
    house = House(tmp_path)
    generate(tmp_path / "daemon")
    house.clients.mkdir()
    house.clients.chmod(0o755)
    return house


@pytest.fixture(params=["tcp", "ipc"])
def where(request: pytest.FixtureRequest, endpoint: str, tmp_path: Path) -> str:
    """A free endpoint of either kind."""
    return endpoint if request.param == "tcp" else f"ipc://{tmp_path}/genred"


@contextmanager
def publishing(endpoint: str, house: House | None) -> Iterator[Publisher]:
    """A publisher that has said hello, with keys or without."""
    with Publisher(endpoint, UtcClock(), house.lock() if house else None) as publisher:
        publisher.send(golden("hello-minimal"))
        yield publisher


@contextmanager
def entering(endpoint: str, house: House, secret: Path) -> Iterator[Subscriber]:
    with Subscriber(endpoint, **house.keys(secret)) as subscriber:
        yield subscriber


def came_in(subscriber: Subscriber, timeout_s: float = 5.0) -> None:
    assert isinstance(subscriber.receive(timeout_s), Hello)


def tell(publisher: Publisher) -> None:
    publisher.send(golden("event-loss", "a"))


def events(subscriber: Subscriber, last: int, timeout_s: float = 10.0) -> list[int]:
    """`seq` of the events up to the one that is numbered `last`."""
    found: list[int] = []
    deadline_s = time.monotonic() + timeout_s
    while found[-1:] != [last]:
        message: Message | None = subscriber.receive(max(deadline_s - time.monotonic(), 0))
        assert message is not None, f"after {found} nothing came"
        found += [message.seq] if isinstance(message, Event) else []
    return found


# Who comes in


def test_the_right_key_comes_in(house: House, where: str) -> None:
    """Who is allowed is told everything, from the first message on."""
    guest = house.guest("laptop")
    house.allow(guest)
    with publishing(where, house) as publisher, entering(where, house, guest) as subscriber:
        came_in(subscriber)
        for _ in range(100):
            tell(publisher)
        assert events(subscriber, 99) == list(range(100))
        assert subscriber.refusal == ""


def test_an_unknown_key_hears_nothing(house: House, where: str) -> None:
    """Who is not allowed is told nothing, and either side learns which key it is; the allowed one is told all."""
    stranger, guest = house.guest("stranger"), house.guest("laptop")
    house.allow(guest)
    with (
        publishing(where, house) as publisher,
        entering(where, house, stranger) as outside,
        entering(where, house, guest) as inside,
    ):
        came_in(inside)
        wait_for(lambda: publisher.refused > 0)
        for _ in range(100):
            tell(publisher)
        assert events(inside, 99) == list(range(100))
        assert outside.receive(1.5) is None
        assert read_pair(stranger).public.decode() in outside.refusal
        assert "--allow" in outside.refusal
        assert publisher.subscriptions == len(TYPES)


def learns(subscriber: Subscriber, why: str) -> None:
    """It is told nothing but why."""
    for _ in range(20):
        assert subscriber.receive(QUIET_S) is None
        if why in subscriber.refusal:
            return
    pytest.fail(f"it was told {subscriber.refusal!r}")


def test_nobody_comes_in_without_a_key(house: House, where: str) -> None:
    """A subscriber without keys is told nothing by a daemon with keys, and learns why."""
    with publishing(where, house) as publisher, Subscriber(where) as outside:
        tell(publisher)
        learns(outside, "give yours with --key")
        assert publisher.subscriptions == 0


def test_another_daemons_key_is_told(house: House, where: str) -> None:
    """Who takes the daemon for another one is told nothing, and learns why."""
    guest, other = house.guest("laptop"), house.guest("other")
    house.allow(guest)
    with (
        publishing(where, house) as publisher,
        Subscriber(where, key=guest, server_key=other.with_suffix(".public")) as outside,
    ):
        tell(publisher)
        learns(outside, "has another key")


def test_keys_for_a_daemon_without_any(house: House, where: str) -> None:
    """Who has keys does not listen to a daemon that has none, and learns why; once it has them, he comes in."""
    guest = house.guest("laptop")
    house.allow(guest)
    with entering(where, house, guest) as subscriber:
        with publishing(where, None):
            learns(subscriber, "has no keys")
        with publishing(where, house):
            came_in(subscriber, COME_S)
            assert subscriber.refusal == ""


def test_plain_to_a_daemon_that_gets_keys(house: House, where: str) -> None:
    """A subscriber without keys, refused by a daemon with keys, comes in when the daemon has none any more."""
    with Subscriber(where) as subscriber:
        with publishing(where, house):
            assert subscriber.receive(QUIET_S) is None
        with publishing(where, None):
            came_in(subscriber, COME_S)


def test_keys_of_a_subscriber_go_together(house: House, endpoint: str) -> None:
    """One of the two files alone is refused in one sentence."""
    guest = house.guest("laptop")
    for one in ({"key": guest}, {"server_key": house.server}):
        with pytest.raises(ConfigError, match="go together"):
            Subscriber(endpoint, **one)


# Coming and going while it runs


def test_a_key_that_is_added_comes_in(house: House, where: str) -> None:
    """Who waits outside comes in once his key is in the folder; nothing is started again, and nobody is sent away."""
    guest, late = house.guest("laptop"), house.guest("late")
    house.allow(guest)
    with (
        publishing(where, house) as publisher,
        entering(where, house, guest) as inside,
        entering(where, house, late) as waiting,
    ):
        came_in(inside)
        wait_for(lambda: publisher.refused > 0)
        tell(publisher)
        house.allow(late)
        came_in(waiting, COME_S)
        tell(publisher)
        assert events(waiting, 1) == [1]
        assert events(inside, 1) == [0, 1]
        assert waiting.refusal == ""


def test_a_new_key_needs_no_look(house: House, where: str) -> None:
    """Who comes right after his key was added is let in at once."""
    with publishing(where, house):
        guest = house.guest("laptop")
        house.allow(guest)
        with entering(where, house, guest) as subscriber:
            came_in(subscriber, 5 * QUIET_S)


def test_a_revoked_key_goes(house: House, where: str) -> None:
    """Whose key is taken out hears nothing from then on; the other one goes on, and misses at most the pause.

    An event is sent each 10 ms, so the pause is as many of them.
    """
    every_s = 0.01
    guest, villain = house.guest("laptop"), house.guest("villain")
    house.allow(guest)
    file = house.allow(villain)
    with (
        publishing(where, house) as publisher,
        entering(where, house, guest) as inside,
        entering(where, house, villain) as revoked,
    ):
        came_in(inside)
        came_in(revoked)
        tell(publisher)
        events(revoked, 0)
        file.unlink()
        refused, sent = publisher.refused, 1
        while publisher.refused == refused:  # until he has been sent away and stands at the door again
            tell(publisher)
            sent += 1
            time.sleep(every_s)  # the pace of a daemon
            assert sent * every_s < 5 * 2, "he was never sent away"
        while revoked.receive(0) is not None:
            pass
        for _ in range(100):
            tell(publisher)
        got = events(inside, sent + 99)
        assert inside.gaps == sent + 100 - len(got) <= REJOIN_S / every_s
        assert revoked.receive(1.5) is None
        assert read_pair(villain).public.decode() in revoked.refusal


def test_many_come_again(house: House, endpoint: str) -> None:
    """When one of fifty is revoked, the forty-nine others come in again by themselves, and he does not."""
    guests = [house.guest(f"guest{n}") for n in range(50)]
    files = [house.allow(guest) for guest in guests]
    with publishing(endpoint, house) as publisher:
        subscribers = [Subscriber(endpoint, ["event"], **house.keys(guest)) for guest in guests]
        try:
            for subscriber in subscribers:
                wait_for(lambda one=subscriber: heard(publisher, one), 20)
            files[0].unlink()
            wait_for(lambda: publisher.refused > 0, 20)
            while subscribers[0].receive(0) is not None:
                pass
            for subscriber in subscribers[1:]:
                wait_for(lambda one=subscriber: heard(publisher, one), 20)
            assert subscribers[0].receive(QUIET_S) is None
        finally:
            for subscriber in subscribers:
                subscriber.close()


def heard(publisher: Publisher, subscriber: Subscriber) -> bool:
    """Whether the subscriber gets what is sent now."""
    tell(publisher)
    return subscriber.receive(0.05) is not None


def test_a_folder_that_goes_lets_nobody_in(house: House, endpoint: str) -> None:
    """When the whole folder is gone, everybody is; when it is there again, so are they."""
    guest = house.guest("laptop")
    house.allow(guest)
    with publishing(endpoint, house) as publisher, entering(endpoint, house, guest) as subscriber:
        came_in(subscriber)
        house.clients.rename(house.folder / "away")
        wait_for(lambda: publisher.refused > 0)
        tell(publisher)
        assert subscriber.receive(QUIET_S) is None
        (house.folder / "away").rename(house.clients)
        wait_for(lambda: heard(publisher, subscriber), COME_S)


# Those who do not behave


CURVE_GREETING = b"\xff" + bytes(8) + b"\x7f\x03\x00" + b"CURVE".ljust(20, b"\0") + bytes(32)
Context = zmq.Context[zmq.Socket[bytes]]


def bytes_for_a_handshake(_: Context, endpoint: str) -> None:
    """What begins as a peer with keys would, and goes on at random: commands, and rubbish."""
    dice = random.Random(0)
    for head in (b"", b"\x04\xc8\x05HELLO\x01\x00", b"\x04\xc8\x08INITIATE", b"\x06" + (2**62).to_bytes(8, "big")):
        for n in (10, 200, 100_000):
            with raw(endpoint) as connection:
                with suppress(OSError):  # it hangs up in the middle
                    connection.sendall(CURVE_GREETING + head + dice.randbytes(n))
                    connection.shutdown(socket.SHUT_WR)
                until_closed(connection)


def hanging_handshakes(_: Context, endpoint: str) -> None:
    """Many who begin and do not go on."""
    with ExitStack() as stack:
        for _ in range(50):  # half of what may wait to be accepted
            stack.enter_context(raw(endpoint)).sendall(CURVE_GREETING)


@pytest.mark.parametrize("attack", [*ATTACKS[:-1], bytes_for_a_handshake, hanging_handshakes])
def test_who_has_no_key_does_no_harm(house: House, where: str, attack: Callable[[Context, str], None]) -> None:
    """Whatever somebody sends who has none, those who are allowed miss nothing, and new ones come in."""
    guest = house.guest("laptop")
    house.allow(guest)
    with zmq.Context() as context, publishing(where, house) as publisher, entering(where, house, guest) as witness:
        came_in(witness)
        memory = psutil.Process().memory_info().rss
        for _ in range(10):
            tell(publisher)
        attack(context, where)
        for _ in range(10):
            tell(publisher)
        assert events(witness, 19) == list(range(20))
        with entering(where, house, guest) as late:
            came_in(late)
        assert psutil.Process().memory_info().rss - memory < 100e6
        assert publisher.subscriptions == len(TYPES)


@contextmanager
def rude(house: House, endpoint: str, secret: Path | None) -> Iterator[zmq.Socket[bytes]]:
    """Somebody who is allowed, or needs not be, and can send what he likes."""
    with zmq.Context() as context, context.socket(zmq.XSUB) as peer:
        peer.setsockopt(zmq.LINGER, 0)
        peer.setsockopt(zmq.SNDHWM, 0)  # else libzmq forgets subscriptions beyond the thousandth
        if secret is not None:
            own = read_pair(secret)
            peer.setsockopt(zmq.CURVE_PUBLICKEY, own.public)
            peer.setsockopt(zmq.CURVE_SECRETKEY, own.secret)
            peer.setsockopt(zmq.CURVE_SERVERKEY, read_public(house.server))
        peer.connect(endpoint)
        yield peer


def test_a_frame_too_long_ends_its_senders_connection(house: House, where: str) -> None:
    """Of one who is allowed, too; nobody else notices."""
    guest, villain = house.guest("laptop"), house.guest("villain")
    house.allow(guest)
    house.allow(villain)
    with (
        publishing(where, house) as publisher,
        entering(where, house, guest) as witness,
        rude(house, where, villain) as peer,
        peer.get_monitor_socket(zmq.EVENT_DISCONNECTED) as monitor,
    ):
        came_in(witness)
        peer.send(b"\x01" + bytes(MOST_BYTES_WITH_KEYS - 200))  # what encryption adds is counted
        wait_for(lambda: publisher.subscriptions == 5)
        assert not monitor.poll(0)
        peer.send(b"\x02" + bytes(10_000_000))  # as a subscription it would end its sender
        assert monitor.poll(5000), "he was not sent away"
        peer.disable_monitor()
        wait_for(lambda: publisher.subscriptions == len(TYPES))
        for _ in range(10):
            tell(publisher)
        assert events(witness, 9) == list(range(10))


@pytest.mark.parametrize("keys", [False, True], ids=["plain", "keys"])
def test_subscriptions_without_end(house: House, endpoint: str, keys: bool, caplog: pytest.LogCaptureFixture) -> None:
    """Who subscribes to ever more topics is sent away, with all others, before it costs much; as often as he comes.

    The others come again too, and go on; when he has gone for good nobody is sent away any more.
    """
    guest = house.guest("laptop")
    house.allow(guest)
    with (
        publishing(endpoint, house if keys else None) as publisher,
        Subscriber(endpoint, **house.keys(guest) if keys else {}) as witness,
    ):
        came_in(witness)
        memory = psutil.Process().memory_info().rss
        with rude(house, endpoint, guest if keys else None) as peer:
            for n in range(MOST_SUBSCRIBED_BYTES // 200 + 100):
                peer.send(b"\x01" + f"{n:08}".encode() + bytes(192))
            wait_for(lambda: "without end" in caplog.text, 30)
            for _ in range(10):
                wait_for(lambda: heard(publisher, witness), 20)
            assert psutil.Process().memory_info().rss - memory < 300e6
        wait_for(lambda: publisher.subscriptions == len(TYPES), 20)
        wait_for(lambda: heard(publisher, witness), 20)
        gaps = witness.gaps
        for _ in range(100):
            wait_for(lambda: heard(publisher, witness))
        assert witness.gaps == gaps


def test_refused_keys_do_not_fill_the_log(house: House, caplog: pytest.LogCaptureFixture) -> None:
    """One key is told of once, however often it comes; and of ever new ones not without end."""
    with zmq.Context() as context, context.socket(zmq.REQ) as libzmq:
        libzmq.setsockopt(zmq.LINGER, 0)
        libzmq.connect(door.ADDRESS)
        one = Door(context, house.lock())
        caplog.clear()
        try:
            for n in range(MOST_TOLD + 50):
                for _ in range(3):
                    key = n.to_bytes(32, "big")
                    libzmq.send_multipart([b"1.0", b"1", door.DOMAIN, b"10.0.0.1", b"", b"CURVE", key])
                    one.answer()
                    assert libzmq.recv_multipart()[2] == b"300"
        finally:
            one.close()
    assert len(caplog.messages) == MOST_TOLD
    assert len(set(caplog.messages)) == MOST_TOLD


# The folder


def test_a_publisher_needs_a_folder_that_is_its_own(house: House) -> None:
    """A folder that is missing, no folder, or that others can write to is refused in one sentence."""
    key = str(house.folder / "daemon.secret")
    for allow, why in (
        (house.folder / "nowhere", "No such file"),
        (house.server, "Not a directory"),
        (Path("a\0b"), "No file can have that name"),
    ):
        with pytest.raises(ConfigError, match=why):
            open_lock(key, str(allow))
    for mode in (0o775, 0o757):
        house.clients.chmod(mode)
        with pytest.raises(ConfigError, match="can be written to by others; chmod go-w"):
            open_lock(key, str(house.clients))


def test_the_folder_is_as_it_is(house: House) -> None:
    """What is in the ``*.public`` files is allowed, whatever their names; a key that is replaced is revoked."""
    allowed = AllowedKeys(house.clients)
    one, other = house.guest("one"), house.guest("other")
    keys = [read_pair(secret).public for secret in (one, other)]
    assert not any(key in allowed for key in keys)
    file = house.allow(one)
    (house.clients / "other.txt").write_bytes(other.with_suffix(".public").read_bytes())
    (house.clients / ".other.public").write_bytes(other.with_suffix(".public").read_bytes())
    allowed.look()
    assert [key in allowed for key in keys] == [True, False]
    assert not allowed.take_revoked()
    file.write_bytes(other.with_suffix(".public").read_bytes())
    allowed.look()
    assert [key in allowed for key in keys] == [False, True]
    assert (allowed.take_revoked(), allowed.take_revoked()) == (True, False)


def test_a_second_file_of_a_key_keeps_it_in(house: House) -> None:
    """A key is revoked when its last file has gone, and a renamed file revokes nothing."""
    guest = house.guest("laptop")
    file = house.allow(guest)
    allowed = AllowedKeys(house.clients)
    file.rename(house.clients / "renamed.public")
    allowed.look()
    assert not allowed.take_revoked()
    (house.clients / "renamed.public").unlink()
    allowed.look()
    assert allowed.take_revoked()


def test_files_that_allow_nobody(house: House, caplog: pytest.LogCaptureFixture) -> None:
    """A secret key, a file that others can write, a link to nowhere and rubbish allow nobody; each is told once."""
    guest = house.guest("laptop")
    key = read_pair(guest).public
    (house.clients / "secret.public").write_bytes(guest.read_bytes())
    house.allow(guest).chmod(0o666)
    (house.clients / "link.public").symlink_to(house.folder / "nowhere")
    (house.clients / "rubbish.public").write_bytes(os.urandom(100))
    os.mkfifo(house.clients / "pipe.public")
    allowed = AllowedKeys(house.clients)
    for _ in range(3):
        assert key not in allowed
        allowed.look()
    for name, why in (("secret", "holds a secret key"), ("laptop", "written by others"), ("rubbish", "no public key"),
                      ("pipe", "Not a regular file")):  # fmt: skip
        (told,) = [text for text in caplog.messages if f"{name}.public" in text]
        assert why in told
    assert len(caplog.messages) == 4
    assert key.decode() not in caplog.text


def test_too_many_open_files_send_nobody_away(house: House, caplog: pytest.LogCaptureFixture) -> None:
    """At the limit of open files the folder cannot be read, and who was allowed still is; so afterwards."""
    guest = house.guest("laptop")
    house.allow(guest)
    allowed = AllowedKeys(house.clients)
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    with open(os.devnull) as last:  # noqa: PTH123 - it is its number that matters
        resource.setrlimit(resource.RLIMIT_NOFILE, (last.fileno() + 1, before[1]))
        try:
            allowed.look()
            allowed.look()
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, before)
    assert read_pair(guest).public in allowed
    assert not allowed.take_revoked()
    (told,) = caplog.messages
    assert "Too many open files" in told
    allowed.look()
    assert read_pair(guest).public in allowed
