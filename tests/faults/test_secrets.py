"""Passwords and tokens in addresses: whatever goes wrong with a station, they are in nothing that the daemon says."""

from __future__ import annotations

import base64
import os
import signal
import socket
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest
from aftermath import assert_serves
from wholly import Start, running, statuses

from audio_files import stream
from conftest import collect, genred, music, subscribed
from genred.messages import Event, Hello, Message, encode
from web import Script, Server, answer, live, serving, tls, with_password

RATE = 44100
HUSH = "hush"  # in each secret, also as a server gets it
USER, PASSWORD = "me", f"{HUSH}-p@ss"
LOGIN = f"{USER}:{HUSH}-p%40ss@"
CREDENTIALS = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
MALFORMED = f"http://{LOGIN}radio example/?token={HUSH}"
SEGMENTS = f"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\n/segment.ts?token={HUSH}\n"


def scripts() -> dict[str, Script | bytes]:
    """A station that plays, and ways to be led to it or astray, each with secrets of the server's own."""

    def to(location: str) -> bytes:
        return answer(status="302 Found", location=location)

    return {
        f"/live?token={HUSH}": with_password(live(stream("mp3", music(60.0, RATE), RATE))),
        f"/moved?token={HUSH}": to(f"/live?token={HUSH}"),
        f"/list.m3u?token={HUSH}": answer(f"#EXTM3U\n/live?token={HUSH}\n".encode()),
        "/elsewhere": to(f"http://you:{HUSH}@127.0.0.1:1/?token={HUSH}"),
        "/ftp": to(f"ftp://you:{HUSH}@127.0.0.1/{HUSH}"),
        "/port": to(f"http://you:{HUSH}@127.0.0.1:port/?token={HUSH}"),
        "/blank": to(f"http://you:{HUSH} {HUSH}@127.0.0.1/"),
        "/brackets": to(f"http://you:[{HUSH}]@127.0.0.1/"),
        "/broken.pls": answer(f"[playlist]\nFile1=http://you:{HUSH}@[::1/?token={HUSH}\n".encode()),
        "/letter.m3u": answer(f"#EXTM3U\nhttp://you:{HUSH}@\u2100/\n".encode()),
        f"/hls.m3u8?token={HUSH}": answer(SEGMENTS.encode()),
        f"/noise?token={HUSH}": answer(os.urandom(100_000)),
        f"/loop?token={HUSH}": to(f"/loop?token={HUSH}"),
    }


PLAYING = {"live": f"/live?token={HUSH}", "moved": f"/moved?token={HUSH}", "list": f"/list.m3u?token={HUSH}"}
LOST = {
    "gone": f"/gone?token={HUSH}", "elsewhere": "/elsewhere", "ftp": "/ftp", "port": "/port", "blank": "/blank",
    "brackets": "/brackets", "broken": "/broken.pls", "letter": "/letter.m3u", "hls": f"/hls.m3u8?token={HUSH}",
    "noise": f"/noise?token={HUSH}", "loop": f"/loop?token={HUSH}",
}  # fmt: skip


@pytest.fixture
def metrics() -> str:
    """A port that is free at the moment, as --metrics takes it."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{probe.getsockname()[1]}"


def page(address: str) -> str:
    try:
        with urlopen(f"http://{address}") as reply:
            return str(reply.read().decode())
    except HTTPError as error:
        with error:
            return error.read().decode()


def configuration(model: Path, uris: dict[str, str]) -> str:
    stations = (f"[[station]]\nname = '{name}'\nuri = '{uri}'\n" for name, uri in uris.items())
    return "\n".join([f"model = '{model}'", "log-level = 'debug'", *stations])


def addresses(server: Server, expired: Server) -> dict[str, str]:
    """Stations by name."""
    uris = {name: f"{server.url(path, LOGIN)}#timeout=2" for name, path in (PLAYING | LOST).items()}
    refused = f"http://{LOGIN}127.0.0.1:1/?token={HUSH}"
    unknown = f"http://{LOGIN}nowhere.invalid/?token={HUSH}#timeout=2"
    return uris | {"refused": refused, "unknown": unknown, "expired": expired.url(f"/?token={HUSH}", LOGIN)}


def test_secrets_of_addresses(daemon: Start, endpoint: str, small_model: Path, tmp_path: Path, metrics: str) -> None:
    """They reach the server, and neither the log, be it for debugging, nor messages, metrics, ``/healthz``, or check.

    That holds for stations that play and for those that are lost, and for what a server or a reload gets wrong.
    """
    config = tmp_path / "genred.toml"
    context, _ = tls(tmp_path, "IP:127.0.0.1", -1)
    with serving(scripts()) as server, serving({}, context) as expired, subscribed(endpoint) as subscriber:
        uris = addresses(server, expired)
        config.write_text(configuration(small_model, uris))
        one = daemon("--config", config, "--metrics", metrics)
        lost = set(uris) - set(PLAYING)
        messages = collect(subscriber, lambda ms: running(ms, *PLAYING) and lost <= are_lost(ms))
        said = {"metrics": page(f"{metrics}/metrics"), "healthz": page(f"{metrics}/healthz")}
        config.write_text(configuration(small_model, uris | {"more": MALFORMED}))
        one.process.send_signal(signal.SIGHUP)
        messages += collect(subscriber, lambda ms: any(isinstance(m, Event) and m.event == "error" for m in ms))
        said |= {"check": genred("check", config).stdout + genred("check", config).stderr}
        said |= {"run": genred("run", MALFORMED, "--bind", endpoint).stderr}
        messages += assert_serves(one, subscriber, list(PLAYING), messages)
        told = [request.header("authorization") for request in server.asked if request.path == PLAYING["live"]]
    said |= {"log": one.log, "messages": "".join(encode(message).decode() for message in messages)}
    assert f"Basic {CREDENTIALS}" in told
    assert {where for where, text in said.items() if HUSH in text or CREDENTIALS in text} == set()
    assert all("***" in said[where] for where in ("log", "messages", "healthz", "check", "run")), said
    hello = next(m for m in messages if isinstance(m, Hello))
    assert hello.stations[0].uri == f"http://***@127.0.0.1:{server.port}/live?***"


def are_lost(messages: list[Message]) -> set[str]:
    return {str(status.station) for status in statuses(messages) if status.state == "lost"}
