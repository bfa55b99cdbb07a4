"""Faults of the machine: a full disk for the log, no more files, a process that is stopped, a clock that is set."""

from __future__ import annotations

import os
import resource
import signal
import socket
import sys
import time
from pathlib import Path

import pytest
import zmq
from aftermath import assert_serves
from wholly import Start, statuses, windows

from conftest import collect, music, subscribed, write_wav
from genred.messages import Event, Message

STOP_S = 7.0  # longer than a hang may take that is none
HOUR_S = 3600.0


def loop(folder: Path, seconds: float = 5.0) -> str:
    """URI of a file that plays for ever."""
    return f"file:{write_wav(folder / 'loop.wav', music(seconds))}?loop=1&pace=realtime"


def answered(messages: list[Message]) -> bool:
    return all(len(windows(messages, name)) >= 2 for name in ("demo", "loop"))


def test_a_log_that_is_full(daemon: Start, endpoint: str, small_model: Path, tmp_path: Path) -> None:
    """With /dev/full as its log it runs as ever, also when there is much to log."""
    (tmp_path / "daemon0.log").symlink_to("/dev/full")
    one = daemon("demo:", f"loop={loop(tmp_path)}", "--model", small_model, "--log-level", "debug")
    with subscribed(endpoint) as subscriber:
        messages = collect(subscriber, answered)
        one.process.send_signal(signal.SIGHUP)  # to be logged, too
        (tmp_path / "daemon0.log").unlink()  # it would be read without end
        (tmp_path / "daemon0.log").touch()
        assert_serves(one, subscriber, ("demo", "loop"), messages)


def test_no_more_files(daemon: Start, endpoint: str, small_model: Path, tmp_path: Path) -> None:
    """At its limit of open files nobody new is served and a file cannot be opened again; both come back after it.

    Who was connected misses nothing, and the watchdog is fed all the time.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(20)
        environment = os.environ | {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "1500000"}
        one = daemon("demo:", f"loop={loop(tmp_path, 1.0)}", "--model", small_model, env=environment)
        with subscribed(endpoint) as subscriber, zmq.Context() as context:
            messages = collect(subscriber, answered)
            pid = one.process.pid
            before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
            used = max(int(name) for name in os.listdir(f"/proc/{pid}/fd"))  # noqa: PTH208 - names are all there is
            resource.prlimit(pid, resource.RLIMIT_NOFILE, (used + 1, before[1]))
            crowd = [context.socket(zmq.SUB) for _ in range(used + 1)]
            for guest in crowd:
                guest.setsockopt(zmq.LINGER, 0)
                guest.connect(endpoint)
            messages += collect(subscriber, lambda ms: any(s.state == "lost" for s in statuses(ms, "loop")))
            drain(manager)
            assert b"WATCHDOG=1" in b"".join(manager.recv(4096) for _ in range(4))
            for guest in crowd:
                guest.close()
            resource.prlimit(pid, resource.RLIMIT_NOFILE, before)
            messages += collect(subscriber, lambda ms: statuses(ms, "loop")[-1:] != [] and windows(ms, "loop") != [])
            assert subscriber.gaps == 0
            after = assert_serves(one, subscriber, ("demo", "loop"), messages)
    lost = next(s for s in statuses(messages, "loop") if s.state == "lost")
    assert "Too many open files" in str(lost.text)
    assert statuses(after, "demo")[-1].total.skipped == 0


def drain(manager: socket.socket) -> None:
    """Take what was told before now."""
    manager.setblocking(False)
    try:
        while True:
            manager.recv(4096)
    except BlockingIOError:
        manager.settimeout(20)


def test_a_stop_of_the_whole_process(daemon: Start, endpoint: str, small_model: Path, tmp_path: Path) -> None:
    """After SIGSTOP nothing of a source that can wait is missing, no station was stalled, and no hang is told."""
    one = daemon("demo:", f"loop={loop(tmp_path)}", "--model", small_model)
    with subscribed(endpoint) as subscriber:
        messages = collect(subscriber, answered)
        before = {name: statuses(messages, name)[-1].total for name in ("demo", "loop")}
        one.process.send_signal(signal.SIGSTOP)
        time.sleep(STOP_S)  # the length of the stop is what is tested
        one.process.send_signal(signal.SIGCONT)
        messages += assert_serves(one, subscriber, ("demo", "loop"), messages)
    for name, total in before.items():
        last = statuses(messages, name)[-1].total
        assert (last.lost, last.overwritten) == (0, 0)
        assert last.captured - total.captured >= STOP_S * 22050
    assert {s.state for s in statuses(messages)} <= {"connecting", "running"}
    assert "hangs" not in one.log


SET_CLOCK = """
import pathlib, time
real, file = time.time, pathlib.Path({path!r})
time.time = lambda: real() + float(file.read_text())
"""


@pytest.mark.timeout(240)
def test_a_clock_that_is_set(daemon: Start, endpoint: str, small_model: Path, tmp_path: Path) -> None:
    """A wall clock that jumps by an hour is one event within its minute; times follow it, and no audio is lost."""
    path = tmp_path / "offset"
    path.write_text("0")
    (tmp_path / "sitecustomize.py").write_text(SET_CLOCK.format(path=str(path)))
    environment = os.environ | {"PYTHONPATH": f"{tmp_path}:{os.environ.get('PYTHONPATH', '')}"}
    one = daemon("demo:", f"loop={loop(tmp_path)}", "--model", small_model, env=environment)
    with subscribed(endpoint) as subscriber:
        messages = collect(subscriber, answered)
        path.write_text(str(HOUR_S))
        messages += collect(subscriber, lambda ms: any(stepped(m) for m in ms), timeout_s=120)
        after = assert_serves(one, subscriber, ("demo", "loop"), messages)
    (step,) = [m for m in messages + after if stepped(m)]
    assert isinstance(step, Event)
    assert step.duration_ms == pytest.approx(1000 * HOUR_S, abs=2000)
    assert seconds(after[-1]) - time.time() == pytest.approx(HOUR_S, abs=30)
    for name in ("demo", "loop"):
        total = statuses(after, name)[-1].total
        assert (total.lost, total.skipped) == (0, 0)
        assert {e.epoch for e in windows(messages + after, name)} == {0}


def stepped(message: Message) -> bool:
    return isinstance(message, Event) and message.event == "clock-step"


def seconds(message: Message) -> float:
    from datetime import datetime

    return datetime.fromisoformat(message.time).timestamp()


def test_the_clock_is_really_set(tmp_path: Path) -> None:
    """The fault that the test above sets is one: a program with it sees another hour."""
    import subprocess

    (tmp_path / "offset").write_text(str(HOUR_S))
    (tmp_path / "sitecustomize.py").write_text(SET_CLOCK.format(path=str(tmp_path / "offset")))
    command = [sys.executable, "-c", "import time; print(time.time())"]
    shown = subprocess.run(
        command, env=os.environ | {"PYTHONPATH": str(tmp_path)}, capture_output=True, check=True
    ).stdout
    assert float(shown) - time.time() == pytest.approx(HOUR_S, abs=5)
