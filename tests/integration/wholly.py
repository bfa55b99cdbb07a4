"""All that a daemon says, from its first message to its last, and what ``classify`` says of the same sound."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import zmq

from conftest import Daemon, genred, identities_hold, subscribed
from genred.messages import Estimate, Event, Message, Status
from genred.subscriber import Subscriber

Start = Callable[..., Daemon]
FORMING = ("warming-up", "too-short")  # reasons of estimates that are about no window


@contextmanager
def from_the_start(
    start: Start, model: Path, folder: Path, *arguments: str | Path, **options: object
) -> Iterator[tuple[Daemon, Subscriber]]:
    """Start a daemon, and a subscriber that misses nothing.

    The model is a named pipe: the daemon binds its endpoint first, then waits for the model until we are connected.
    """
    folder.mkdir(exist_ok=True)
    gate = folder / model.name
    os.mkfifo(gate)
    one = start(*arguments, "--model", gate, **options)
    with subscribed(one.endpoint) as subscriber:
        with subscriber._socket.get_monitor_socket(zmq.EVENT_HANDSHAKE_SUCCEEDED) as monitor:
            connected = monitor.poll(30_000)
            subscriber._socket.disable_monitor()
        assert connected, f"no endpoint: {one.log}"
        gate.write_bytes(model.read_bytes())
        yield one, subscriber


def hear_wholly(start: Start, model: Path, folder: Path, *arguments: str | Path, **options: object) -> list[Message]:
    """Run a daemon to its end, which has to be a good one, and return all it published."""
    messages: list[Message] = []
    with from_the_start(start, model, folder, *arguments, **options) as (one, subscriber):
        ended = False
        while not ended:
            ended = one.process.poll() is not None
            while (message := subscriber.receive(0.2)) is not None:
                messages.append(message)
        assert one.wait() == 0, one.log
        assert "Traceback" not in one.log
        assert subscriber.gaps == 0
    assert messages[0].seq == 0, "we came too late"
    return messages


def windows(messages: Sequence[Message], station: str) -> list[Estimate]:
    """Estimates of `station` that are about a whole window."""
    return [m for m in messages if isinstance(m, Estimate) and m.station == station and m.reason not in FORMING]


def statuses(messages: Sequence[Message], station: str = "") -> list[Status]:
    return [m for m in messages if isinstance(m, Status) and station in ("", m.station)]


def events(messages: Sequence[Message], kind: str, station: str) -> list[Event]:
    return [m for m in messages if isinstance(m, Event) and (m.event, m.station) == (kind, station)]


def running(messages: Sequence[Message], *names: str) -> bool:
    """Whether each of `names` was running at last, and has answers to whole windows."""
    last = {status.station: status.state for status in statuses(messages)}
    return all(last.get(name) == "running" and windows(messages, name) for name in names)


def judged(path: Path, model: Path, *options: str) -> list[dict[str, Any]]:
    """Timeline of `path` by ``genred classify``."""
    result = genred("classify", "--json", path, "--model", model, *options)
    assert result.returncode == 0, result.stderr
    timeline: list[dict[str, Any]] = json.loads(result.stdout)["timeline"]
    return timeline


def assert_same(estimates: Sequence[Estimate], timeline: Sequence[dict[str, Any]]) -> None:
    """The same windows, and the same answers to 1e-6."""
    places = [(e.first_sample, e.last_sample) for e in estimates]
    assert places == [(answer["first_sample"], answer["last_sample"]) for answer in timeline]
    for estimate, answer in zip(estimates, timeline, strict=True):
        assert (estimate.reason or None) == answer.get("reason")
        assert (estimate.label or None) == answer.get("label")
        assert (estimate.probabilities or {}) == pytest.approx(answer.get("probabilities", {}), abs=1e-6)


def assert_books_balance(messages: Sequence[Message]) -> None:
    """In each status the identities hold, and nothing is negative."""
    assert statuses(messages)
    for status in statuses(messages):
        assert identities_hold(status), status
        for counters in (status.this_epoch, status.total):
            assert min(getattr(counters, name) for name in counters.__struct_fields__) >= 0, status
