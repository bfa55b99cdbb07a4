"""The HTTP client against a server that does what no server should: all is bounded, and said in one sentence."""

from __future__ import annotations

import base64
import logging
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from genred import __version__
from genred.errors import SourceLost
from genred.sources.client import MOST_REDIRECTS, Client
from genred.sources.resolver import Address, Resolver, connect
from genred.sources.url import Url
from web import Part, Request, Script, answer, serving, tls

TIMEOUT_S = 0.5
PROMPT_S = 5 * (TIMEOUT_S + 1)


def ask(scripts: dict[str, Script | bytes], path: str = "/", user: str = "") -> bytes:
    """Body of the answer."""
    with serving(scripts) as server, Client(TIMEOUT_S) as client:
        return client.get(Url.parse(server.url(path, user))).whole(1 << 20)


def lost(scripts: dict[str, Script | bytes], path: str = "/", user: str = "") -> str:
    """Why there is no answer; found out in time."""
    began_s = time.monotonic()
    with pytest.raises(SourceLost) as caught:
        ask(scripts, path, user)
    assert time.monotonic() - began_s < PROMPT_S
    return str(caught.value)


def test_what_is_sent() -> None:
    """A request says who asks, wants titles, takes no compression, and has the password in its head only."""
    with serving({"/a?b=c": answer(b"hello")}) as server, Client(TIMEOUT_S) as client:
        assert client.get(Url.parse(server.url("/a?b=c", "me:p%C3%A4ss@"))).whole(100) == b"hello"
    (request,) = server.asked
    assert request.path == "/a?b=c"
    assert request.header("user-agent") == f"genred/{__version__}"
    assert request.header("icy-metadata") == "1"
    assert request.header("accept-encoding") == "identity"
    assert request.header("host") == f"127.0.0.1:{server.port}"
    assert base64.b64decode(request.header("authorization").removeprefix("Basic ")).decode() == "me:päss"


def test_how_bodies_end() -> None:
    """By their length, by chunks, or with the connection; one that breaks off before is no whole one."""
    assert ask({"/": answer(b"abc", content_length=3)}) == b"abc"
    assert ask({"/": answer(b"2\r\nab\r\n1\r\nc\r\n0\r\n\r\n", transfer_encoding="chunked")}) == b"abc"
    assert ask({"/": answer(b"abc")}) == b"abc"
    assert ask({"/": b"ICY 200 OK\r\nicy-name: old\r\n\r\nabc"}) == b"abc"
    assert "broke off" in lost({"/": answer(b"abc", content_length=9, connection="close")})


def test_redirects_are_followed_so_far() -> None:
    """As many as are usual, relative ones too, with the password on the way; then no more."""
    chain: dict[str, Script | bytes] = {
        f"/{n}": answer(status="302 Found", location=f"{n + 1}") for n in range(MOST_REDIRECTS)
    }
    end = f"/{MOST_REDIRECTS}"
    with serving(chain | {end: answer(b"there")}) as server, Client(TIMEOUT_S) as client:
        assert client.get(Url.parse(server.url("/0", "a:b@"))).whole(9) == b"there"
    assert all(request.header("authorization") for request in server.asked)
    assert f"redirects more than {MOST_REDIRECTS} times" in lost(
        chain | {end: answer(status="301 Moved", location="/0")}, "/0"
    )


def test_a_password_stays_at_home() -> None:
    """Another server, to which a redirect leads, does not get the password."""
    with serving({"/": answer(b"x")}) as other:
        here = {"/": answer(status="307 Go", location=other.url("/"))}
        with serving(here) as server, Client(TIMEOUT_S) as client:
            assert client.get(Url.parse(server.url("/", "a:b@"))).whole(9) == b"x"
    assert server.asked[0].header("authorization")
    assert not other.asked[0].header("authorization")


@pytest.mark.parametrize("location", ["file:///etc/passwd", "data:audio/mpeg,x", "ftp://h/", "http://h/\x01"])
def test_redirects_to_elsewhere(location: str) -> None:
    """No redirect leads out of http and https."""
    assert "leads to where genred does not go" in lost({"/": answer(status="302 Found", location=location)})


def endless(head: bytes, piece: bytes, pause_s: float = 0.0) -> Script:
    def script(_request: Request) -> Iterator[Part]:
        yield head
        while True:
            yield piece
            if pause_s:
                yield pause_s

    return script


OK = b"HTTP/1.1 200 OK\r\n"


@pytest.mark.parametrize(
    ("script", "says"),
    [
        (answer(status="404 Not \x1b[31mFound"), "answers 404 Not \N{REPLACEMENT CHARACTER}[31mFound"),
        (answer(status="500 Oh"), "answers 500 Oh"),
        (answer(status="401 Who"), "https://USER:PASSWORD@"),
        (answer(status="204 Empty"), "answers 204"),
        (answer(status="302 Found"), "answers 302"),
        (b"garbage\r\n\r\n", "answers what is no HTTP"),
        (b"", "broke off"),
        (endless(OK, b"X-Header: " + b"x" * 1000 + b"\r\n"), "more than 64 kB before its body"),
        (endless(OK, b"x" * 1000), "more than 64 kB before its body"),
        (endless(b"", b"HTTP/1.1 100 Continue\r\n\r\n"), "more than 64 kB before its body"),
        (endless(OK, b"a", 0.05), "has not answered within 1 s"),
        (endless(b"", b"", 0.05), "has not answered within 1 s"),
        (endless(OK + b"\r\n", b"", 0.05), "has sent nothing for 0.5 s"),
        (endless(OK + b"\r\n", b"a", 0.05), "takes longer than 0.5 s"),
        (endless(OK + b"\r\n", b"a" * 10_000), "is longer than 1048576 bytes"),
        (endless(OK + b"Transfer-Encoding: chunked\r\n\r\n1;", b"x" * 1000), "sends more than"),
    ],
)  # fmt: skip
def test_what_a_server_may_not_do(script: Script | bytes, says: str) -> None:
    """Every answer that leads to nothing is a loss with its reason, within bounds of bytes and time."""
    text = lost({"/?geheim": script}, "/?geheim", "me:geheim@")
    assert says in text
    assert "geheim" not in text


def test_nobody_there() -> None:
    """A refused connection is said with the place, and without what is secret."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    with Client(TIMEOUT_S) as client, pytest.raises(SourceLost) as caught:
        client.get(Url.parse(f"http://a:geheim@127.0.0.1:{port}/?geheim"))
    assert str(caught.value) == f"cannot connect to 127.0.0.1 port {port}: Connection refused"


def test_a_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """The proxy that the environment names is asked, with its own password; never for this machine itself."""
    with serving({"http://radio.invalid/x": answer(b"by proxy"), "/x": answer(b"direct")}) as server:
        monkeypatch.setenv("http_proxy", server.url("", "me:geheim@"))
        monkeypatch.delenv("no_proxy", raising=False)
        with Client(TIMEOUT_S) as client:
            assert client.get(Url.parse("http://radio.invalid/x")).whole(99) == b"by proxy"
            assert client.get(Url.parse(server.url("/x"))).whole(99) == b"direct"
            with pytest.raises(SourceLost) as caught:
                client.get(Url.parse("http://radio.invalid/y"))
    assert server.asked[0].header("proxy-authorization").startswith("Basic ")
    assert not server.asked[1].header("proxy-authorization")
    assert str(caught.value) == "http://radio.invalid/y answers 404 Not Found"


def test_the_library_is_silent(caplog: pytest.LogCaptureFixture) -> None:
    """What the HTTP library would log holds whole addresses; it is in no log."""
    with caplog.at_level(logging.DEBUG):
        ask({"/?geheim": answer(b"x")}, "/?geheim")
    assert "geheim" not in caplog.text


# TLS


def over_tls(folder: Path, monkeypatch: pytest.MonkeyPatch, name: str, *, days: int = 1, trusted: bool = True) -> bytes:
    """Ask a server whose certificate is for `name`, and valid for so long; the system trusts it, or not."""
    context, certificate = tls(folder, name, days)
    if trusted:
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    with serving({"/": answer(b"safe")}, context) as server, Client(TIMEOUT_S) as client:
        return client.get(Url.parse(server.url("/"))).whole(9)


def test_a_good_certificate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the system trusts is trusted."""
    assert over_tls(tmp_path, monkeypatch, "IP:127.0.0.1") == b"safe"


@pytest.mark.parametrize(
    ("name", "days", "trusted", "says"),
    [
        ("IP:127.0.0.1", 1, False, "self-signed certificate"),
        ("IP:127.0.0.1", -1, True, "certificate has expired"),
        ("DNS:other.example", 1, True, "IP address mismatch"),
    ],
)
def test_a_bad_certificate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, days: int, trusted: bool, says: str
) -> None:
    """One of nobody knows whom, one that has expired, one for another host: refused, and the reason is named."""
    with pytest.raises(SourceLost, match=f"certificate that is refused: .*{says}"):
        over_tls(tmp_path, monkeypatch, name, days=days, trusted=trusted)


def test_no_tls() -> None:
    """A server that speaks plain HTTP where TLS is asked for."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def speak() -> None:
            with listener.accept()[0] as connection:
                connection.sendall(answer(status="400 Bad Request"))
                connection.recv(1000)

        thread = threading.Thread(target=speak)
        thread.start()
        with Client(TIMEOUT_S) as client, pytest.raises(SourceLost, match="speaks no TLS that we understand"):
            client.get(Url.parse(f"https://127.0.0.1:{listener.getsockname()[1]}/"))
        thread.join()


# Names


def test_a_look_up_that_hangs() -> None:
    """Its asker goes on after the time-out, and asks no second time while the first look-up hangs."""
    asked: list[str] = []
    release = threading.Event()

    def hang(host: str, _port: int) -> list[Address]:
        asked.append(host)
        release.wait()
        return [(socket.AF_INET, socket.SOCK_STREAM, 0, "", ("127.0.0.1", 1))]

    resolver = Resolver(hang)
    for _ in range(3):
        with pytest.raises(SourceLost, match=r"name h takes longer than 0\.05 s"):
            resolver.addresses("h", 1, 0.05)
    assert asked == ["h"]
    release.set()
    assert resolver.addresses("h", 1, 10)[0][4] == ("127.0.0.1", 1)


def test_a_name_that_nobody_has() -> None:
    """It is said, with the system's reason."""

    def unknown(_host: str, _port: int) -> list[Address]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    with pytest.raises(SourceLost, match="the name h cannot be looked up: Name or service not known"):
        Resolver(unknown).addresses("h", 1, 1)
    with pytest.raises(SourceLost, match="the name h has no address"):
        Resolver(lambda _host, _port: []).addresses("h", 1, 1)


def test_an_address_that_does_not_answer() -> None:
    """Connecting to a server whose queue is full ends in time."""
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        port = full.getsockname()[1]
        waiting = [socket.socket() for _ in range(3)]
        for one in waiting:
            one.setblocking(False)
            one.connect_ex(("127.0.0.1", port))
        began_s = time.monotonic()
        with pytest.raises(SourceLost, match=f"cannot connect to 127.0.0.1 port {port}: "):
            connect("127.0.0.1", port, 0.3)
        assert time.monotonic() - began_s < 5 * 0.4
        for one in waiting:
            one.close()
