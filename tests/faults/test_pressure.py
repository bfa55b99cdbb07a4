"""Faults of pressure: a subscriber that does not read, sound that comes too fast, too little of the CPU."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import datetime
from itertools import pairwise
from pathlib import Path

import pytest
from aftermath import assert_serves
from msgspec import UNSET
from wholly import Start, assert_same, from_the_start, judged, statuses, windows

from conftest import Daemon, collect, music, subscribed, write_wav
from genred.messages import Event, Message, Status
from genred.publisher import HIGH_WATER
from genred.sources.intake import RING_S
from genred.subscriber import Subscriber

pytestmark = pytest.mark.xdist_group("pressure")  # one after the other: each is a burden to the rest

RATE = 22050
LATENCY_MS = 5 * 100
LEAST_BYTES = 500  # of an estimate
LONG_S, TIMES = 300.0, 100
STATIONS, HOGS = 6, 40
STARVED_HOP, LEAST = 4, 20  # frames: 11 windows a second; windows skipped of each station


def test_a_subscriber_that_stops_under_load(daemon: Start, endpoint: str, small_model: Path, tmp_path: Path) -> None:
    """While thousands of messages a second wait for one that SIGSTOP has stopped, the others miss nothing.

    What waits for him is bounded: once it is full, as many messages again take no more memory. When he goes on he reads
    what was kept and, after a hole, what is new.
    """
    flood = f"flood=file:{write_wav(tmp_path / 'loop.wav', music(60.0))}?loop=1"
    one = daemon("demo:", flood, "--model", small_model, "--hop", "1")
    with (
        subscribed(endpoint, station="demo") as subscriber,
        subscribed(endpoint, "status", station="flood") as counter,
        listening(endpoint, "--station", "flood", "--type", "estimate") as (victim, lines),
    ):
        messages = collect(subscriber, lambda ms: bool(windows(ms, "demo")))
        next(lines)
        victim.send_signal(signal.SIGSTOP)
        begun = published(counter, 0)
        full = published(counter, begun.total.published + 2 * HIGH_WATER)
        over = published(counter, full.total.published + HIGH_WATER)
        assert over.process.memory_mb - full.process.memory_mb < HIGH_WATER * LEAST_BYTES / 1e6 / 2
        heard = collect(subscriber, lambda ms: windows(ms, "demo")[-1:] != [] and later(ms[-1], over))
        assert max(e.latency_ms for e in windows(heard, "demo")) < LATENCY_MS
        victim.send_signal(signal.SIGCONT)
        read = [next(lines)]
        while read[-1] < over.total.published:
            read.append(next(lines))
        assert all(after == before + 1 for before, after in pairwise(read[: HIGH_WATER // 2]))
        assert max(after - before for before, after in pairwise(read)) > HIGH_WATER
        assert_serves(one, subscriber, ["demo"], messages + heard)
        assert subscriber.gaps == 0


@contextmanager
def listening(endpoint: str, *options: str) -> Iterator[tuple[subprocess.Popen[bytes], Iterator[int]]]:
    """``genred listen``, and the numbers of the messages that it prints."""
    command = [sys.executable, "-m", "genred", "listen", endpoint, *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        try:
            yield process, (json.loads(line)["seq"] for line in process.stdout)
        finally:
            process.kill()


def published(counter: Subscriber, least: int) -> Status:
    """First status with so many windows published."""
    return statuses(collect(counter, lambda ms: bool(ms) and statuses(ms)[-1].total.published >= least))[-1]


def later(one: Message, other: Message) -> bool:
    return seconds(one) > seconds(other)


def seconds(message: Message) -> float:
    return datetime.fromisoformat(message.time).timestamp()


def test_a_file_a_hundred_times_as_fast(daemon: Start, small_model: Path, tmp_path: Path) -> None:
    """Every window of it is answered as ``classify`` does, and no window of the live station beside it is skipped.

    It is read no further ahead than its ring is long.
    """
    path = write_wav(tmp_path / "long.wav", music(LONG_S))
    with from_the_start(daemon, small_model, tmp_path, path, "demo:") as (one, subscriber):
        messages = collect(
            subscriber, lambda ms: statuses(ms, "long")[-1:] != [] and changed(ms, "long", "ended") != []
        )
        (running,), (ended,) = (changed(messages, "long", state) for state in ("running", "ended"))
        messages += assert_serves(one, subscriber, ["demo"], messages)
        assert subscriber.gaps == 0
    assert seconds(ended) - seconds(running) < 5 * LONG_S / TIMES
    assert_same(windows(messages, "long"), judged(path, small_model))
    last = statuses(messages, "long")[-1].total
    assert (last.captured, last.lost, last.skipped) == (round(LONG_S * RATE), 0, 0)
    assert last.published == last.due
    assert max(s.total.waiting for s in statuses(messages, "long")) <= (RING_S + 1) * RATE
    assert statuses(messages, "demo")[-1].total.skipped == 0
    assert max(e.latency_ms for e in windows(messages, "demo")) < LATENCY_MS


def changed(messages: Sequence[Message], station: str, state: str) -> list[Event]:
    return [m for m in messages if isinstance(m, Event) and (m.event, m.station, m.state) == ("state", station, state)]


@contextmanager
def starved(one: Daemon) -> Iterator[None]:
    """Leave the daemon one core, and others who want all of it: what is left is a few hundredths."""
    everywhere = os.sched_getaffinity(0)
    core = {max(everywhere)}
    with ExitStack() as stack:
        for _ in range(HOGS):
            hog = stack.enter_context(subprocess.Popen(["sh", "-c", "while :; do :; done"]))
            stack.callback(hog.kill)
            os.sched_setaffinity(hog.pid, core)
        move(one, core)
        yield
    move(one, everywhere)


def move(one: Daemon, cores: set[int]) -> None:
    """Let all threads of the daemon run on these cores."""
    for thread in Path(f"/proc/{one.process.pid}/task").iterdir():
        os.sched_setaffinity(int(thread.name), cores)


@pytest.mark.timeout(240)
def test_too_little_of_the_cpu(daemon: Start, endpoint: str, small_model: Path) -> None:
    """It says that it cannot keep up, skips as much of each station, loses nothing, and says when it keeps up again."""
    names = [f"s{n}" for n in range(STATIONS)]
    one = daemon(*(f"{name}=demo:" for name in names), "--model", small_model, "--hop", STARVED_HOP)
    with subscribed(endpoint) as subscriber:
        messages = collect(subscriber, lambda ms: all(len(windows(ms, name)) >= 5 for name in names))
        before = skipped(messages)
        with starved(one):
            hungry = collect(subscriber, lambda ms: min(skipped(ms, names).values()) >= LEAST + max(before.values()))
            hungry += collect(subscriber, lambda ms: all(windows(ms, name) for name in names))
        fed = collect(subscriber, lambda ms: told(ms)[-1:] != [] and "keeps up again" in told(ms)[-1], 120)
        messages += hungry + fed
        messages += assert_serves(one, subscriber, names, messages)
    assert [text.split(" and ")[0] for text in told(hungry)] == ["the machine cannot keep up"]
    assert any(status.process.overloaded is True for status in statuses(hungry))
    some = skipped(hungry)
    assert max(some.values()) < 2 * min(some.values())
    last = {name: statuses(messages, name)[-1] for name in names}
    assert all((s.total.lost, s.total.overwritten, s.state) == (0, 0, "running") for s in last.values())
    assert all(s.process.overloaded is UNSET for s in last.values())
    assert "hangs" not in one.log


def told(messages: Sequence[Message]) -> list[str]:
    """What is said about the machine."""
    return [m.text for m in messages if isinstance(m, Event) and m.event == "overload"]


def skipped(messages: Sequence[Message], names: Sequence[str] = ()) -> dict[str, int]:
    """Windows that have been skipped of each station by its newest status; 0 of one without."""
    newest = {str(status.station): status.total.skipped for status in statuses(messages)}
    return dict.fromkeys(names, 0) | newest
