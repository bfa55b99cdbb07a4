"""A subscriber in another language, from PROTOCOL.md alone: tests/clients/listen.mjs, in Node."""

from __future__ import annotations

import json
import queue
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest
from msgspec import UNSET

from conftest import ROOT
from genred.clock import UtcClock
from genred.door import open_lock
from genred.messages import Message, decode
from genred.publisher import Publisher
from genred.subscriber import Subscriber
from guests import Guest, Keys

CLIENTS = ROOT / "tests" / "clients"
GOLDEN = ROOT / "tests" / "golden"
INSTALL_S = 90


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """listen.mjs, with what it needs installed beside it."""
    for program in ("node", "npm"):
        if shutil.which(program) is None:
            pytest.skip(f"no {program}: install Debian's nodejs and npm to test the Node subscriber")
    folder = tmp_path_factory.mktemp("node")
    for name in ("package.json", "package-lock.json", "listen.mjs"):
        shutil.copy(CLIENTS / name, folder)
    command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=INSTALL_S, check=False)
    except subprocess.TimeoutExpired:
        pytest.skip(f"the npm package zeromq could not be installed within {INSTALL_S} s")
    if done.returncode:
        pytest.skip(f"the npm package zeromq could not be installed: {done.stderr.strip()[-300:]}")
    return folder / "listen.mjs"


@contextmanager
def listening(client: Path, endpoint: str, *keys: Path) -> Iterator[queue.SimpleQueue[str]]:
    """Lines that a running client prints."""
    lines: queue.SimpleQueue[str] = queue.SimpleQueue()
    with subprocess.Popen(
        ["node", client, endpoint, *keys], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        output, errors = process.stdout, process.stderr
        assert output is not None
        assert errors is not None

        def pass_on() -> None:
            for line in output:
                lines.put(line)

        reader = threading.Thread(target=pass_on)
        reader.start()
        try:
            yield lines
        finally:
            process.terminate()
            reader.join()
            assert errors.read() == ""


def golden(name: str, station: str) -> Message:
    message = decode((GOLDEN / f"{name}.json").read_bytes())
    return msgspec.structs.replace(message, station=station, repeat=UNSET)


@pytest.mark.parametrize("with_keys", [False, True], ids=["plain", "keys"])
def test_node_reads_what_python_sends(client: Path, endpoint: str, tmp_path: Path, with_keys: bool) -> None:
    """A subscriber in Node sees each estimate once, field for field as a subscriber in Python, repeats left out."""
    keys = Keys(tmp_path) if with_keys else None
    guest = keys.guest("laptop") if keys else Guest({})
    with (
        Publisher(endpoint, UtcClock(), open_lock(*map(str, keys.options[1::2])) if keys else None) as publisher,
        Subscriber(endpoint, ["estimate"], **guest.keys) as python,
        listening(client, endpoint, *guest.keys.values()) as lines,
    ):
        publisher.send(golden("estimate", "first"))  # Node gets it now, or repeated when it has connected
        printed = [json.loads(lines.get(timeout=20))]
        for name in ("estimate", "estimate-warming-up", "estimate-silence"):
            for station in ("a", "b"):
                publisher.send(golden(name, station))
                publisher.send(golden("status", station))
        printed += [json.loads(lines.get(timeout=20)) for _ in range(6)]
        with Subscriber(
            endpoint, ["estimate"], **guest.keys
        ) as late:  # has all that went before repeated, to Node as well
            assert {getattr(late.receive(5.0), "station", None) for _ in range(3)} == {"first", "a", "b"}
        publisher.send(golden("estimate", "last"))
        printed.append(json.loads(lines.get(timeout=20)))
        read = [python.receive(5.0) for _ in range(8)]
    for one in printed:
        one.pop("repeat", None)  # of the first, if Node was late
    assert printed == [
        {key: value for key, value in msgspec.to_builtins(message).items() if key != "repeat"} for message in read
    ]
    assert [one["station"] for one in printed] == ["first", "a", "b", "a", "b", "a", "b", "last"]
    assert lines.empty()
