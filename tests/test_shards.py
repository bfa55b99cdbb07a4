"""Stations dealt out to processes: who gets which, and what crosses between the two ends."""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from genred.config import Config, StationConfig
from genred.crossing import Alive, Answer, End, Forgotten, Go, Item, Pipe, Prepare, Sent
from genred.messages import Estimate, Event, Hello, Model, Status
from genred.shard import BEAT_S, Relay, Shard
from genred.shards import STATIONS_A_PROCESS, deal, processes_that_pay


def entries(*names: str, uri: str = "demo:") -> list[StationConfig]:
    return [StationConfig(name=name, uri=uri) for name in names]


def names(parts: list[list[StationConfig]]) -> list[list[str]]:
    return [[entry.name for entry in part] for part in parts]


def test_stations_are_dealt_out_evenly() -> None:
    """In turn; all there are, and each once."""
    assert names(deal(entries(*"abcde"), [(), ()])) == [["a", "c", "e"], ["b", "d"]]
    assert names(deal(entries("a"), [(), (), ()])) == [["a"], [], []]


def test_a_station_keeps_its_process() -> None:
    """Also one that has left and comes back; new ones even out what is left."""
    assert names(deal(entries(*"wxyz"), ["xyz", "a"])) == [["x", "y", "z"], ["w"]]
    assert names(deal(entries(*"abcd"), ["xa", ""])) == [["a", "c"], ["b", "d"]]


def test_microphones_are_together() -> None:
    """With the first, and others go elsewhere."""
    stations = [*entries(*"ab", uri="mic:desk"), *entries(*"cd")]
    assert names(deal(stations, [(), ()])) == [["a", "b"], ["c", "d"]]


@pytest.mark.parametrize(
    ("stations", "asked", "cores", "processes"),
    [
        (1, None, 8, 1),
        (STATIONS_A_PROCESS, None, 8, 1),
        (STATIONS_A_PROCESS + 1, None, 8, 2),
        (10 * STATIONS_A_PROCESS, None, 4, 4),
        (10 * STATIONS_A_PROCESS, None, 1, 1),
        (0, None, 2, 1),
        (1, 3, 1, 3),
        (10 * STATIONS_A_PROCESS, 1, 4, 1),
    ],
)
def test_processes_that_pay(
    monkeypatch: pytest.MonkeyPatch, stations: int, asked: int | None, cores: int, processes: int
) -> None:
    """One for so many stations, at most one a core; or what is asked for."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(cores)))
    config = Config(station=tuple(entries(*(f"s{number}" for number in range(stations)))), processes=asked)
    assert processes_that_pay(config) == processes


@pytest.fixture
def ends() -> Iterator[tuple[Pipe, Pipe]]:
    """Both ends of a pipe."""
    one, other = (Connection(end.detach()) for end in socket.socketpair())
    yield one, other
    one.close()
    other.close()


def until(pipe: Pipe, condition: Callable[[list[Item]], object], timeout_s: float = 30.0) -> list[Item]:
    """Everything that comes out of `pipe` until `condition` holds of it."""
    items: list[Item] = []
    end_s = time.monotonic() + timeout_s
    while not condition(items):
        assert pipe.poll(max(end_s - time.monotonic(), 0.0)), f"not within {timeout_s} s: {items}"
        items += pipe.recv()
    return items


def hello() -> Hello:
    return Hello(
        daemon="1",
        model=Model(name="m", sha256="", provider="cpu"),
        labels=("a",),
        sample_rate=22050,
        hop_frames=40,
        hop_s=0.9,
        window_frames=80,
        window_s=1.9,
        stations=(),
    )


def test_what_is_sent_comes_in_order(ends: tuple[Pipe, Pipe]) -> None:
    """But for a hello, which the other process says; with nothing to send, that the worker lives."""
    here, there = ends
    relay = Relay(there, lambda: 42.0, lambda: None)
    relay.send(hello())
    for number in range(100):
        relay.send(Event(event="error", text=str(number)), heard_s=float(number))
        relay.forget(f"s{number}")
    items = until(here, lambda items: len([i for i in items if isinstance(i, Forgotten)]) == 100)
    told = [item for item in items if not isinstance(item, Alive)]
    assert told[::2] == [Sent(Event(event="error", text=str(n)), None, float(n)) for n in range(100)]
    assert told[1::2] == [Forgotten(f"s{n}") for n in range(100)]
    assert until(here, len, timeout_s=5 * BEAT_S) == [Alive(42.0)]
    relay.put(Answer())
    relay.end()
    assert Answer() in until(here, lambda items: Answer() in items)


class Driver:
    """The other end of a shard, which runs in a thread here."""

    def __init__(self, pipe: Pipe, other: Pipe) -> None:
        self.alone = threading.Event()
        self.pipe, self.shard = pipe, Shard(other, self.alone.set)
        self.thread = threading.Thread(target=self.shard.run, daemon=True)
        self.thread.start()

    def ask(self, order: Prepare | Go) -> tuple[Answer, list[Item]]:
        self.pipe.send(order)
        items = until(self.pipe, lambda items: any(isinstance(item, Answer) for item in items))
        (answer,) = (item for item in items if isinstance(item, Answer))
        return answer, items


def told(items: list[Item], kind: type[Estimate | Status | Event]) -> set[str]:
    """Stations of which a message of that kind has come."""
    return {str(i.message.station) for i in items if isinstance(i, Sent) and isinstance(i.message, kind)}


def test_a_shard_does_its_part(ends: tuple[Pipe, Pipe], small_model: Path, caplog: pytest.LogCaptureFixture) -> None:
    """What is prepared changes nothing before it is told to go; what cannot be made is refused, and all goes on."""
    caplog.set_level(logging.INFO)
    level = logging.getLogger().level
    driver = Driver(*ends)
    config = Config(station=tuple(entries("a", "b")), model=str(small_model), provider="cpu", hop=10)
    assert driver.ask(Prepare(config))[0] == Answer()
    assert driver.ask(Go())[0] == Answer()
    until(driver.pipe, lambda items: told(items, Estimate) == told(items, Status) == {"a", "b"})
    refused, _ = driver.ask(Prepare(Config(station=tuple(entries("a")), model=str(small_model.parent / "none.onnx"))))
    assert "none.onnx" in refused.refusal
    other = Config(station=tuple(entries("b", "c")), model=str(small_model), provider="cpu", hop=10)
    assert driver.ask(Prepare(other))[0] == Answer()
    until(driver.pipe, lambda items: told(items, Estimate) >= {"a", "b"})  # nothing has changed yet
    answer, items = driver.ask(Go())
    assert answer == Answer()
    assert Forgotten("a") in items
    after = until(driver.pipe, lambda items: told(items, Estimate) >= {"b", "c"})
    assert told(after, Estimate) == {"b", "c"}
    assert not any(isinstance(i, Sent) and isinstance(i.message, Event) and i.message.event == "reload" for i in items)
    driver.pipe.send(End())
    driver.thread.join(10.0)
    assert not driver.thread.is_alive()
    logging.getLogger().setLevel(level)


def test_a_shard_ends_with_its_parent(ends: tuple[Pipe, Pipe]) -> None:
    """A pipe whose other end is closed is as good as the order; that is found though the main thread waits for more."""
    driver = Driver(*ends)
    driver.pipe.close()
    driver.thread.join(10.0)
    assert not driver.thread.is_alive()
    assert driver.alone.wait(10.0)
