"""The HTTP server of the metrics: what it answers, and that no reader can hold it."""

from __future__ import annotations

import http.client
import os
import resource
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from http import HTTPStatus
from pathlib import Path

import pytest

from genred.pages import HEAD_BYTES, MOST_READERS, READER_S, Page, Pages, says

LARGE = b"x" * 20_000_000  # more than the kernel holds for a reader that does not read
FDS = Path("/proc/self/fd")


def broken() -> Page:
    raise ZeroDivisionError("a fault")


@pytest.fixture
def pages() -> Iterator[Pages]:
    makes: dict[str, Callable[[], Page]] = {
        "/good": lambda: says("good", HTTPStatus.OK),
        "/large": lambda: Page(LARGE),
        "/broken": broken,
    }
    with Pages("127.0.0.1", 0) as server:
        server.serve(makes)
        yield server


def ask(pages: Pages, path: str = "/good", method: str = "GET") -> tuple[int, bytes]:
    """Status and body; within a time in which a server that is held would not answer."""
    connection = http.client.HTTPConnection("127.0.0.1", pages.port, timeout=READER_S / 2)
    connection.request(method, path)
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    return answer.status, body


def connect(pages: Pages) -> socket.socket:
    return socket.create_connection(("127.0.0.1", pages.port), timeout=5 * READER_S)


def ended(reader: socket.socket) -> bool:
    """Whether the server leaves the reader, in the socket's time; what it still sends is read."""
    try:
        while reader.recv(65536):
            pass
    except ConnectionError:
        return True
    return True


@pytest.mark.parametrize(
    ("method", "path", "expected"),
    [
        ("GET", "/good", (200, b"good\n")),
        ("GET", "/good?collect[]=all", (200, b"good\n")),
        ("HEAD", "/good", (200, b"")),
        ("POST", "/good", (405, b"pages can be read only\n")),
        ("GET", "/bad", (404, b"there are /good and /large and /broken\n")),
        ("GET", "/good/../etc/passwd", (404, b"there are /good and /large and /broken\n")),
    ],
)
def test_what_is_answered(pages: Pages, method: str, path: str, expected: tuple[int, bytes]) -> None:
    """A page can be read, and nothing else be done."""
    assert ask(pages, path, method) == expected


def test_a_fault_is_one_pages_fault(pages: Pages, caplog: pytest.LogCaptureFixture) -> None:
    """A page that cannot be made is 500 and a traceback in the log; the others are as they were."""
    assert ask(pages, "/broken") == (500, b"genred has a fault\n")
    assert "ZeroDivisionError: a fault" in caplog.text
    assert ask(pages) == (200, b"good\n")


def test_a_page_arrives_whole(pages: Pages) -> None:
    """Also one that is larger than what fits on the way."""
    assert ask(pages, "/large") == (200, LARGE)


REQUEST = b"GET /good HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.mark.parametrize(
    "sent",
    [b"", b"hello", b"GET /good", b"GET /good SMTP/1.0", bytes(range(256))],
    ids=["nothing", "word", "no version", "other protocol", "bytes"],
)
def test_what_is_no_request(pages: Pages, sent: bytes) -> None:
    """It is told so, and left."""
    with connect(pages) as reader:
        reader.sendall(sent + b"\r\n\r\n")
        assert reader.recv(4096).startswith(b"HTTP/1.1 400 Bad Request\r\n")
        assert ended(reader)
    assert ask(pages) == (200, b"good\n")


def test_a_head_without_an_end(pages: Pages) -> None:
    """Who sends a longer one than any reader does is left at once."""
    began_s = time.monotonic()
    with connect(pages) as reader:
        reader.sendall(b"GET /good HTTP/1.1\r\nX: " + b"x" * 3 * HEAD_BYTES)
        assert ended(reader)
    assert time.monotonic() - began_s < READER_S / 2
    assert ask(pages) == (200, b"good\n")


def silent(_reader: socket.socket) -> None:
    """Nothing is sent."""


def half(reader: socket.socket) -> None:
    reader.sendall(REQUEST[:10])


def deaf(reader: socket.socket) -> None:
    """A large page is asked for and not read."""
    reader.sendall(REQUEST.replace(b"good", b"large"))


@pytest.mark.parametrize("behave", [silent, half, deaf])
def test_a_slow_reader_holds_nobody(pages: Pages, behave: Callable[[socket.socket], None]) -> None:
    """The others are answered meanwhile, and after READER_S its connection is closed here, too."""
    with connect(pages) as reader:
        behave(reader)
        assert ask(pages) == (200, b"good\n")
        wait_for(lambda: not established(pages.port))
        assert ended(reader)


def wait_for(done: Callable[[], bool]) -> None:
    """Wait five times as long as any reader is kept."""
    until_s = time.monotonic() + 5 * READER_S
    while not done():
        assert time.monotonic() < until_s
        time.sleep(0.05)


def established(port: int) -> int:
    """Connections that the server at `port` holds open."""
    rows = [line.split() for line in Path("/proc/self/net/tcp").read_text().splitlines()[1:]]
    return sum(int(row[1].partition(":")[2], 16) == port and row[3] == "01" for row in rows)


def drip(reader: socket.socket, until_s: float) -> None:
    while time.monotonic() < until_s:
        reader.sendall(b"x")
        time.sleep(0.05)


def test_a_dripping_reader_is_left(pages: Pages) -> None:
    """A byte now and then does not make its time longer."""
    began_s = time.monotonic()
    with connect(pages) as reader, pytest.raises(OSError, match=r"Broken pipe|reset"):
        drip(reader, began_s + 5 * READER_S)
    assert time.monotonic() - began_s > READER_S / 2


def test_many_readers_are_no_more_than_some(pages: Pages) -> None:
    """The first of a crowd is left for the last, who is answered; descriptors and threads stay bounded."""
    before, threads = len(os.listdir(FDS)), threading.active_count()  # noqa: PTH208 - names are all there is
    with ExitStack() as stack:
        crowd = [stack.enter_context(connect(pages)) for _ in range(4 * MOST_READERS)]
        assert ask(pages) == (200, b"good\n")
        assert ended(crowd[0])
        wait_for(lambda: len(os.listdir(FDS)) - before - len(crowd) <= MOST_READERS)  # noqa: PTH208
        assert threading.active_count() == threads


def test_no_files_left(pages: Pages, caplog: pytest.LogCaptureFixture) -> None:
    """At the limit of open files nobody is answered and nothing is logged; after it, whoever has waited is answered."""
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    with connect(pages) as first:  # it and its other end have their numbers
        first.sendall(REQUEST)
        assert ended(first)
        with socket.socket() as second:
            used = max(int(name) for name in os.listdir(FDS))  # noqa: PTH208
            spare = [os.dup(0) for _ in range(used - len(os.listdir(FDS)) + 2)]  # noqa: PTH208
            resource.setrlimit(resource.RLIMIT_NOFILE, (max([used, *spare]) + 1, limits[1]))
            try:
                second.connect(("127.0.0.1", pages.port))
                second.settimeout(0.5)
                with pytest.raises(TimeoutError):
                    second.recv(1)
            finally:
                resource.setrlimit(resource.RLIMIT_NOFILE, limits)
                for number in spare:
                    os.close(number)
            second.settimeout(5 * READER_S)
            second.sendall(REQUEST)
            assert second.recv(4096).startswith(b"HTTP/1.1 200 OK")
    assert caplog.text == ""


def test_an_address_in_use() -> None:
    """It is an OSError, with its reason."""
    with Pages("127.0.0.1", 0) as one, pytest.raises(OSError, match="Address already in use"):
        Pages("127.0.0.1", one.port)


def test_ipv6() -> None:
    """In brackets, as in an address of the web."""
    with Pages("[::1]", 0) as server:
        server.serve({"/": lambda: says("six", HTTPStatus.OK)})
        connection = http.client.HTTPConnection("::1", server.port, timeout=READER_S)
        connection.request("GET", "/")
        assert connection.getresponse().read() == b"six\n"
        connection.close()


def test_nothing_stays_open() -> None:
    """Neither files nor threads, though a reader is still there at the end."""
    before, threads = len(os.listdir(FDS)), threading.active_count()  # noqa: PTH208
    with Pages("127.0.0.1", 0) as server:
        server.serve({"/": lambda: says("", HTTPStatus.OK)})
        reader = connect(server)
    assert ended(reader)
    reader.close()
    assert len(os.listdir(FDS)) == before  # noqa: PTH208
    assert threading.active_count() == threads
