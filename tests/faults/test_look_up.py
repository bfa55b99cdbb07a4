"""A resolver that hangs in C, where nothing can end it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol

import pytest
from aftermath import assert_serves
from wholly import Start, events, statuses, windows

from audio_files import stream
from conftest import collect, music, subscribed
from genred.messages import Message
from names import HOST_ADDRESS, NameServer, can_serve
from web import live, serving

RATE = 44100
TIMEOUT_S, TRIES = 1, 2
HANG = """
import pathlib, socket
real, folder = socket.getaddrinfo, pathlib.Path({folder!r})
def getaddrinfo(host, *arguments, **options):
    path = folder / host
    with (folder / "asked").open("a") as asked:
        asked.write(host + "\\n")
    return real(path.read_text() if path.exists() else host, *arguments, **options)
socket.getaddrinfo = getaddrinfo
"""


class Names(Protocol):
    """Names whose look-up hangs until it is answered; `options` let a daemon have them."""

    options: dict[str, object]

    def look_ups(self, name: str) -> int:
        """Times that `name` has been looked up."""

    def answer(self, name: str) -> None:
        """Let `name` be this machine."""


class Pipes:
    """A pipe for each name: to look the name up is to wait for somebody who writes its address there."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        path = f"{folder}:{os.environ.get('PYTHONPATH', '')}"
        self.options: dict[str, object] = {"env": os.environ | {"PYTHONPATH": path}}
        (folder / "sitecustomize.py").write_text(HANG.format(folder=str(folder)))
        for name in ("slow.example", "dead.example"):
            os.mkfifo(folder / name)

    def look_ups(self, name: str) -> int:
        return (self._folder / "asked").read_text().split().count(name)

    def answer(self, name: str) -> None:
        (self._folder / name).rename(self._folder / "pipe")
        (self._folder / name).write_text("127.0.0.1")
        (self._folder / "pipe").write_text("127.0.0.1")


class Served:
    """A name server that does not answer."""

    def __init__(self, server: NameServer) -> None:
        self._server = server
        self.options: dict[str, object] = {"under": server.under}

    def look_ups(self, name: str) -> int:
        return self._server.asked.count((name, HOST_ADDRESS))

    def answer(self, name: str) -> None:
        self._server.answer(name, "127.0.0.1")


@pytest.fixture(params=["server", "pipes"])
def names(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Names]:
    if request.param == "pipes":
        yield Pipes(tmp_path)
        return
    if not can_serve(tmp_path):
        pytest.skip("only root can give a program a name server of its own (port 53, unshare -m)")
    with NameServer(tmp_path) as server:
        yield Served(server)


def test_a_resolver_that_hangs(daemon: Start, endpoint: str, small_model: Path, names: Names) -> None:
    """Who is looked up is lost, however often it is tried with one look-up; the others go on, and the end is prompt.

    When the resolver answers, the station is heard by itself.
    """
    with serving({"/live": live(stream("mp3", music(60.0, RATE), RATE))}) as server:
        uris = [f"{name}=http://{name}.example:{server.port}/live#timeout={TIMEOUT_S}" for name in ("slow", "dead")]
        one = daemon(*uris, "demo:", "--model", small_model, **names.options)
        with subscribed(endpoint) as subscriber:
            messages = collect(subscriber, lambda ms: lost(ms, "slow") >= TRIES and lost(ms, "dead") >= TRIES)
            assert [names.look_ups(f"{name}.example") for name in ("slow", "dead")] == [1, 1]
            names.answer("slow.example")
            messages += collect(subscriber, lambda ms: bool(windows(ms, "slow")))
            messages += assert_serves(one, subscriber, ("slow", "demo"), messages)
            assert subscriber.gaps == 0
    for name, states in (("slow", ["lost", "running"]), ("dead", ["lost"])):
        assert [event.state for event in events(messages, "state", name)] == states
    assert {status.state for status in statuses(messages, "demo")} <= {"connecting", "running"}
    text = str(statuses(messages, "dead")[-1].text)
    assert text == f"the look-up of the name dead.example takes longer than {TIMEOUT_S} s"
    last = statuses(messages, "demo")[-1]
    assert (last.total.lost, last.total.skipped) == (0, 0)


def lost(messages: Sequence[Message], station: str) -> int:
    return max((status.faults.losses for status in statuses(messages, station)), default=0)
