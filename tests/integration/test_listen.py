"""``genred listen``: the messages of a daemon as lines."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import jsonschema
import msgspec
import pytest
import zmq
from wholly import Start

from conftest import genred, music, write_wav
from genred.messages import Event, Message, encode, schema, topic_of

LISTEN = [sys.executable, "-m", "genred", "listen"]


@contextmanager
def listening(endpoint: str, *options: str) -> Iterator[subprocess.Popen[str]]:
    """A running ``genred listen``, killed at the end."""
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen([*LISTEN, endpoint, *options], text=True, **pipes) as process:  # type: ignore[call-overload]
        try:
            yield process
        finally:
            process.kill()


@pytest.fixture
def playing(daemon: Start, endpoint: str, tmp_path: Path, small_model: Path) -> str:
    """Endpoint of a daemon with two stations that play for ever."""
    path = write_wav(tmp_path / "file.wav", music(2.0))
    daemon(f"file=file:{path}?loop=1&pace=realtime", "demo:", "--model", small_model, "--hop", "10")
    return endpoint


def test_each_line_is_a_message(playing: str) -> None:
    """It prints messages of all types and stations, a JSON object a line, as the schema describes them."""
    result = genred("listen", playing, "--count", "30")
    assert result.returncode == 0, result.stderr
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    assert len(lines) == 30
    validator = jsonschema.Draft202012Validator(schema())
    for line in lines:
        validator.validate(line)
    assert {line["type"] for line in lines} >= {"hello", "estimate", "status"}
    assert {line.get("station") for line in lines if line["type"] != "hello"} == {"file", "demo"}
    assert result.stderr == ""


def test_it_prints_what_is_asked_for(playing: str) -> None:
    """--type and --station choose; --count ends it after so many lines."""
    result = genred("listen", playing, "--type", "status", "--type", "estimate", "--station", "demo", "--count", "9")
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    assert len(lines) == 9
    assert {line["type"] for line in lines} == {"status", "estimate"}
    assert {line["station"] for line in lines} == {"demo"}


def test_its_reader_may_leave(playing: str) -> None:
    """When its stdout closes, as before head -1, it ends quietly."""
    pipeline = f"{' '.join(LISTEN)} {playing} | head -n 1; echo ${{PIPESTATUS[0]}}"
    result = subprocess.run(["bash", "-c", pipeline], capture_output=True, text=True, timeout=30, check=False)
    line, code = result.stdout.splitlines()
    assert json.loads(line)["v"].startswith("1.")
    assert code == "0"
    assert result.stderr == ""


def test_ctrl_c_ends_it_quietly(playing: str) -> None:
    """Ctrl-C ends it with 130, as shells expect, and without a word."""
    with listening(playing) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=5)
        assert process.returncode == 130
    assert said == ""


def test_ctrl_c_ends_it_also_when_nobody_speaks(endpoint: str) -> None:
    """It waits for a daemon that is not there yet, and Ctrl-C ends the waiting."""
    with zmq.Context() as context, context.socket(zmq.XPUB) as nobody:
        nobody.bind(endpoint)
        with listening(endpoint) as process:
            assert nobody.poll(30_000), "it does not subscribe"
            process.send_signal(signal.SIGINT)
            _, said = process.communicate(timeout=5)
            assert process.returncode == 130
    assert said == ""


def test_it_says_that_nobody_answers(daemon: Start, endpoint: str, small_model: Path) -> None:
    """Where nothing comes it says so once, and what to do; it goes on, and prints what comes then."""
    with listening(endpoint, "--station", "demo", "--count", "3") as process:
        assert process.stderr is not None
        said = process.stderr.readline()
        daemon("demo:", "--model", small_model)
        told, rest = process.communicate(timeout=60)
    assert said.startswith(f"genred: nothing of a station 'demo' has come from {endpoint} yet; ")
    assert all(words in said for words in ("genred run", "--bind"))
    assert (len(told.splitlines()), rest, process.returncode) == (3, "", 0)


def test_it_says_that_it_cannot_read_what_comes(endpoint: str) -> None:
    """Where messages of another version come it says so, and of which, rather than that nothing comes."""
    with zmq.Context() as context, context.socket(zmq.XPUB) as publisher:
        publisher.bind(endpoint)
        with listening(endpoint, "--type", "hello") as process:
            assert process.stderr is not None
            assert publisher.poll(30_000), "it does not subscribe"
            publisher.send_multipart([b"hello/", b'{"type":"hello","v":"2.0"}'])
            said = process.stderr.readline()
            process.kill()
    assert said.startswith(f"genred: what comes from {endpoint} cannot be read: message of version 2.0; ")


@pytest.mark.parametrize(
    "wrong", ["nonsense", "tcp://127.0.0.1:0", "http://127.0.0.1:5557", "tcp://127.0.0.1", "tcp://127.0.0.1:port"]
)
def test_a_wrong_endpoint_is_told(wrong: str) -> None:
    """One sentence, and exit code 2."""
    result = genred("listen", wrong, timeout_s=10)
    assert result.returncode == 2
    assert re.fullmatch(rf"genred: '{re.escape(wrong)}' is not an endpoint: .*tcp://127\.0\.0\.1:5557\n", result.stderr)
    assert result.stdout == ""


def test_it_says_what_it_missed(endpoint: str, tmp_path: Path) -> None:
    """A hole in seq is told on stderr, once, and how large it is; a repeat is dropped, a new boot is no hole."""
    event = Event(boot="one", time="2026-01-01T00:00:00Z", event="error", text="x", station="a")
    sent: list[Message] = [msgspec.structs.replace(event, seq=seq) for seq in (3, 4, 4, 9, 10)]
    sent.append(msgspec.structs.replace(event, boot="two", seq=20))
    with zmq.Context() as context, context.socket(zmq.XPUB) as publisher:
        publisher.bind(endpoint)
        with listening(endpoint, "--count", "5", "--type", "event") as process:
            assert publisher.poll(30_000), "it does not subscribe"
            assert publisher.recv() == b"\x01event/"
            for message in sent:
                publisher.send_multipart([topic_of(message).encode(), encode(message)])
            publisher.send_multipart([b"event/a/", b"no message"])
            told, said = process.communicate(timeout=30)
    assert [json.loads(line)["seq"] for line in told.splitlines()] == [3, 4, 9, 10, 20]
    assert said == "genred: 4 messages missed before this one\n"
