"""A resolver that hangs in C, where nothing can end it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from aftermath import assert_serves
from wholly import Start, statuses, windows

from audio_files import stream
from conftest import Daemon, collect, music, subscribed
from genred.messages import Event, Message
from web import Part, Request, Script, answer, serving

RATE = 44100
TIMEOUT_S, TRIES = 1, 2
HANG = """
import pathlib, socket
real, folder = socket.getaddrinfo, pathlib.Path({folder!r})
def getaddrinfo(host, *arguments, **options):
    path = folder / host
    return real(path.read_text() if path.exists() else host, *arguments, **options)
socket.getaddrinfo = getaddrinfo
"""


@pytest.fixture
def names(tmp_path: Path) -> Path:
    """A folder with a pipe for each name: to look the name up is to wait for somebody who writes its address there."""
    (tmp_path / "sitecustomize.py").write_text(HANG.format(folder=str(tmp_path)))
    for name in ("slow.example", "dead.example"):
        os.mkfifo(tmp_path / name)
    return tmp_path


def live(content: bytes) -> Script:
    def script(_request: Request) -> Iterator[Part]:
        yield answer()
        for at in range(0, len(content), 1600):  # 128 kbit/s
            yield content[at : at + 1600]
            yield 0.1

    return script


def test_a_resolver_that_hangs(daemon: Start, endpoint: str, small_model: Path, names: Path) -> None:
    """Who is looked up is lost, however often it is tried with one look-up; the others go on, and the end is prompt.

    When the resolver answers, the station is heard by itself.
    """
    environment = os.environ | {"PYTHONPATH": f"{names}:{os.environ.get('PYTHONPATH', '')}"}
    with serving({"/live": live(stream("mp3", music(60.0, RATE), RATE))}) as server:
        uris = [f"{name}=http://{name}.example:{server.port}/live#timeout={TIMEOUT_S}" for name in ("slow", "dead")]
        one = daemon(*uris, "demo:", "--model", small_model, env=environment)
        with subscribed(endpoint) as subscriber:
            messages = collect(subscriber, lambda ms: lost(ms, "slow") >= 1 and lost(ms, "dead") >= 1)
            tasks = threads(one)
            messages += collect(subscriber, lambda ms: lost(ms, "slow") >= TRIES and lost(ms, "dead") >= TRIES)
            assert threads(one) <= tasks
            (names / "slow.example").rename(names / "pipe")
            (names / "slow.example").write_text("127.0.0.1")
            (names / "pipe").write_text("127.0.0.1")
            messages += collect(subscriber, lambda ms: bool(windows(ms, "slow")))
            messages += assert_serves(one, subscriber, ("slow", "demo"), messages)
            assert subscriber.gaps == 0
    for name, states in (("slow", ["lost", "running"]), ("dead", ["lost"]), ("demo", ["running"])):
        assert changes(messages, name) == states
    text = str(statuses(messages, "dead")[-1].text)
    assert text == f"the look-up of the name dead.example takes longer than {TIMEOUT_S} s"
    last = statuses(messages, "demo")[-1]
    assert (last.total.lost, last.total.skipped) == (0, 0)


def lost(messages: Sequence[Message], station: str) -> int:
    return max((status.faults.losses for status in statuses(messages, station)), default=0)


def changes(messages: Sequence[Message], station: str) -> list[str]:
    return [str(m.state) for m in messages if isinstance(m, Event) and (m.event, m.station) == ("state", station)]


def threads(one: Daemon) -> int:
    return len(list(Path(f"/proc/{one.process.pid}/task").iterdir()))
