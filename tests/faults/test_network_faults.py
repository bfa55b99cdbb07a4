"""Faults of the network: an Icecast that goes and comes back, servers that do what no server should, and names."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from aftermath import assert_serves
from icecast import Icecast, icecast
from wholly import Start, events, running, statuses, windows

from audio_files import stream
from conftest import Daemon, collect, music, subscribed, write_wav
from genred.messages import Message, encode
from genred.subscriber import Subscriber
from web import Part, Request, Script, answer, live, serving, tls, with_password

pytestmark = pytest.mark.timeout(240)

SECRETS = ("geheim", "secret", "hackme")
RATE = 44100


@pytest.fixture
def radio() -> Iterator[Icecast]:
    with icecast() as server:
        yield server


def still_serving(one: Daemon, subscriber: Subscriber, names: Sequence[str], messages: list[Message]) -> None:
    """What every fault test ends with; and nothing secret was said, and no traceback."""
    messages += assert_serves(one, subscriber, names, messages)
    assert "Traceback" not in one.log
    said = one.log + "".join(encode(message).decode() for message in messages)
    assert [secret for secret in SECRETS if secret in said] == []


def test_a_server_that_stops(radio: Icecast, daemon: Start, endpoint: str, small_model: Path) -> None:
    """It is lost, with one event however often it is tried, and comes back by itself in a new epoch."""
    radio.play("mp3")
    one = daemon(f"fm={radio.url('mp3')}", "demo:", "--model", small_model)
    with subscribed(endpoint) as subscriber:
        messages = collect(subscriber, lambda m: running(m, "fm", "demo"))
        radio.stop()
        lost = collect(subscriber, lambda m: bool(statuses(m, "fm")) and statuses(m, "fm")[-1].faults.losses >= 3)
        assert [event.state for event in events(lost, "state", "fm")] == ["lost"]
        assert "Connection refused" in str(statuses(lost, "fm")[-1].text)
        radio.start()
        radio.play("mp3")
        back = collect(subscriber, lambda m: running(m, "fm", "demo"))
        assert windows(back, "fm")[-1].epoch >= 1
        messages += lost + back
        still_serving(one, subscriber, ["fm", "demo"], messages)


def test_a_mount_with_another_codec(radio: Icecast, daemon: Start, endpoint: str, small_model: Path) -> None:
    """One mount plays MP3, then Vorbis at another rate: the station goes on with that."""
    radio.play("mp3", "live")
    one = daemon(f"fm={radio.url('live')}", "--model", small_model)
    with subscribed(endpoint) as subscriber:
        messages = collect(subscriber, lambda m: running(m, "fm"))
        radio.play("vorbis", "live", rate=32000)
        messages += collect(subscriber, lambda m: running(m, "fm") and statuses(m, "fm")[-1].rate_hz == 32000)
        still_serving(one, subscriber, ["fm"], messages)


def test_a_silent_and_a_stalled_source(
    radio: Icecast, daemon: Start, endpoint: str, small_model: Path, tmp_path: Path
) -> None:
    """Digital silence is ``silent``; a source that sends nothing is ``stalled``, and ``lost`` when Icecast drops it."""
    silence = write_wav(tmp_path / "silence.wav", np.zeros(10 * RATE, np.float32), RATE)
    radio.play("mp3", "still", sound=silence)
    radio.play("mp3", "hangs")
    one = daemon(f"still={radio.url('still')}", f"hangs={radio.url('hangs')}", "--model", small_model)
    with subscribed(endpoint) as subscriber:

        def known(messages: list[Message]) -> bool:
            last = {status.station: status.state for status in statuses(messages)}
            return last == {"still": "silent", "hangs": "running"}

        messages = collect(subscriber, known)
        assert windows(collect(subscriber, lambda m: bool(windows(m, "still"))), "still")[-1].reason == "silence"
        radio.players["hangs"].send_signal(signal.SIGSTOP)
        told = collect(subscriber, lambda m: "lost" in [event.state for event in events(m, "state", "hangs")])
        first, *_, last = [event.state for event in events(told, "state", "hangs")]
        assert (first, last) == ("stalled", "lost")  # between them may be heard what the decoder still held
        still_serving(one, subscriber, ["still"], messages + told)


# Hostile servers


def endless_headers(_request: Request) -> Iterator[Part]:
    yield b"HTTP/1.1 200 OK\r\n"
    while True:
        yield b"X: " + b"x" * 1000 + b"\r\n"


def stalling(content: bytes) -> Script:
    def script(_request: Request) -> Iterator[Part]:
        yield answer(content)
        yield 1000.0

    return script


def test_hostile_servers(daemon: Start, endpoint: str, small_model: Path) -> None:
    """Each is lost for its own reason, retried, and hurts nobody: the station beside them goes on."""
    mp3 = stream("mp3", music(5.0, RATE), RATE)
    scripts: dict[str, Script | bytes] = {
        "/e404": answer(status="404 Not Found"),
        "/e500": answer(status="500 Oops"),
        "/heads": endless_headers,
        "/loop": answer(status="302 Found", location="/loop"),
        "/away": answer(status="302 Found", location="file:///etc/passwd"),
        "/garbage": answer(os.urandom(9_000_000)),
        "/file.m3u": answer(b"#EXTM3U\nfile:///etc/passwd\n"),
        "/concat": answer(b"ffconcat version 1.0\nfile /etc/passwd\n" * 9),
        "/stalls": stalling(mp3),
        "/empty": answer(),
        "/titles": answer(b"a" + b"\xff" * 100_000, icy_metaint=1),
    }
    says = {
        "e404": "answers 404", "e500": "answers 500", "heads": "more than 64 kB", "loop": "redirects more than",
        "away": "does not go: file:", "garbage": "no audio", "file": "does not go: file:", "concat": "no audio",
        "stalls": "has sent nothing for 2 s", "empty": "no audio", "titles": "no audio",
    }  # fmt: skip
    with serving(scripts) as server, subscribed(endpoint) as subscriber:
        uris = [server.url(path, "me:geheim@") + "#timeout=2" for path in scripts]
        one = daemon(*uris, "demo:", "--model", small_model)

        def all_lost(messages: list[Message]) -> bool:
            last = {status.station: status for status in statuses(messages)}
            return all(name in last and last[name].faults.losses >= 2 for name in says)

        messages = collect(subscriber, all_lost, 120)
        later = collect(subscriber, lambda m: len(windows(m, "demo")) > 3)
        last = {str(status.station): status for status in statuses(messages)}
        reasons = {name: [str(s.text) for s in statuses(messages, name) if s.state == "lost"][-1] for name in says}
        assert {name: text for name, text in reasons.items() if says[name] not in text} == {}
        assert sum(status.faults.crashes for status in last.values()) == 0
        assert last["demo"].faults.losses == 0
        still_serving(one, subscriber, ["demo"], messages + later)


def test_tls(daemon: Start, endpoint: str, small_model: Path, tmp_path: Path) -> None:
    """Over TLS, with a password, through a playlist: heard. An expired certificate is refused and named."""
    mp3 = stream("mp3", music(20.0, RATE), RATE)
    scripts: dict[str, Script | bytes] = {
        "/live.pls": answer(b"[playlist]\nFile1=/live?token=geheim\n"),
        "/live?token=geheim": with_password(live(mp3)),
    }
    for name in ("good", "expired"):
        (tmp_path / name).mkdir()
    good, trusted = tls(tmp_path / "good", "IP:127.0.0.1")
    expired, also = tls(tmp_path / "expired", "IP:127.0.0.1", -1)
    (tmp_path / "trusted.pem").write_text(trusted.read_text() + also.read_text())
    with serving(scripts, good) as server, serving(scripts, expired) as old, subscribed(endpoint) as subscriber:
        uris = f"fm={server.url('/live.pls', 'me:geheim@')}", f"old={old.url('/live.pls', 'me:geheim@')}"
        environment = os.environ | {"SSL_CERT_FILE": str(tmp_path / "trusted.pem")}
        one = daemon(*uris, "--model", small_model, env=environment)
        messages = collect(
            subscriber, lambda m: running(m, "fm") and any(s.state == "lost" for s in statuses(m, "old"))
        )
        refused = "certificate that is refused: certificate has expired"
        assert all(refused in str(s.text) for s in statuses(messages, "old") if s.state == "lost")
        still_serving(one, subscriber, ["fm"], messages)
