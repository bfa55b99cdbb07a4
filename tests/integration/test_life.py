"""A daemon's life: it ends when it is asked to, whatever hangs, and what happens to one does not disturb the others."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from wholly import Start, from_the_start, statuses, windows

from conftest import Daemon, collect, genred, music, subscribed, write_wav
from genred.messages import Event, Message
from genred.subscriber import Subscriber

END_S = 5 * 1.0  # five times what is promised


def wait_until(condition: Callable[[], bool], timeout_s: float = 30) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "not in time"
        time.sleep(0.02)


def ends(one: Daemon, number: int) -> int:
    """Exit code after a signal, which has to come in time."""
    return one.stop(number, timeout_s=END_S)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_ends_when_asked(daemon: Start, endpoint: str, small_model: Path, number: int) -> None:
    """SIGINT and SIGTERM end it within about a second, with 0."""
    one = daemon("demo:", "--model", small_model)
    with subscribed(endpoint) as subscriber:
        collect(subscriber, lambda ms: bool(statuses(ms)))
        assert ends(one, number) == 0
    assert "Traceback" not in one.log


def test_it_ends_though_stdin_never_comes(daemon: Start, endpoint: str, small_model: Path) -> None:
    """A source thread that waits for stdin in the kernel does not hold the end."""
    one = daemon("-", "--model", small_model, stdin=subprocess.PIPE)
    with subscribed(endpoint) as subscriber:
        collect(subscriber, lambda ms: bool(statuses(ms)))
    assert ends(one, signal.SIGTERM) == 0


def test_it_ends_though_a_file_hangs(daemon: Start, endpoint: str, tmp_path: Path, small_model: Path) -> None:
    """A source that hangs in C, opening a file that has become a FIFO, is seen to stall and does not hold the end."""
    path = write_wav(tmp_path / "short.wav", music(0.5))
    os.mkfifo(tmp_path / "fifo")
    one = daemon(f"file:{path}?loop=1&pace=realtime", "--model", small_model)
    with subscribed(endpoint) as subscriber:
        collect(subscriber, lambda ms: any(s.state == "running" for s in statuses(ms)))
        (tmp_path / "fifo").replace(path)
        collect(subscriber, lambda ms: any(s.state == "stalled" for s in statuses(ms)))
    assert ends(one, signal.SIGTERM) == 0


def test_a_second_interrupt_forces(daemon: Start, endpoint: str, tmp_path: Path) -> None:
    """What a first Ctrl-C cannot end, here waiting for a model that never comes, the second does: exit code 130."""
    os.mkfifo(tmp_path / "model.onnx")
    one = daemon("demo:", "--model", tmp_path / "model.onnx")
    host, _, port = endpoint.removeprefix("tcp://").partition(":")
    wait_until(lambda: can_connect(host, int(port)))
    one.process.send_signal(signal.SIGINT)
    with pytest.raises(subprocess.TimeoutExpired):
        one.wait(1)
    assert ends(one, signal.SIGINT) == 130
    assert "Traceback" not in one.log


def can_connect(host: str, port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((host, port)) == 0


def test_nobody_has_to_read_what_it_prints(endpoint: str, small_model: Path) -> None:
    """With stdout and stderr broken pipes it goes on, and ends with 0 when asked."""
    here, there = os.pipe()
    command = [sys.executable, "-m", "genred", "run", "demo:", "--bind", endpoint, "--model", small_model]
    with subprocess.Popen(command, stdout=there, stderr=there) as process:
        os.close(here)
        os.close(there)
        with subscribed(endpoint) as subscriber:
            collect(subscriber, lambda ms: bool(windows(ms, "demo")) and len(statuses(ms)) >= 2)
        process.send_signal(signal.SIGTERM)
        assert process.wait(END_S) == 0


def test_subscribers_do_not_disturb_each_other(daemon: Start, endpoint: str, tmp_path: Path, small_model: Path) -> None:
    """One is killed while messages pour in and twenty come and go; another misses nothing, and the daemon goes on."""
    with from_the_start(daemon, small_model, tmp_path, "demo:", "--hop", "1") as (one, steady):
        with subprocess.Popen([sys.executable, "-m", "genred", "listen", endpoint], stdout=subprocess.PIPE) as victim:
            assert victim.stdout is not None
            victim.stdout.readline()
            victim.send_signal(signal.SIGSTOP)  # what is sent from now on lies half read in its buffers
            messages = collect(steady, lambda ms: len(windows(ms, "demo")) >= 10)
            victim.kill()
        for number in range(20):
            with Subscriber(endpoint, timeout_s=5 * 0.5) as guest:
                if number % 2:  # the others leave before they have been heard
                    assert guest.receive(5 * 0.5) is not None
        messages += collect(steady, lambda ms: len(windows(ms, "demo")) >= 10)
        assert steady.gaps == 0
        numbers = [e.seq for e in windows(messages, "demo")]
        assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
        assert ends(one, signal.SIGTERM) == 0


def test_an_ended_station_does_not_disturb_the_others(daemon: Start, tmp_path: Path, small_model: Path) -> None:
    """When a file has ended, its station says so each second, and the other station's answers keep coming."""
    path = write_wav(tmp_path / "brief.wav", music(3.0))
    with from_the_start(daemon, small_model, tmp_path, path, "demo:", "--hop", "10") as (one, subscriber):

        def well_after(messages: list[Message]) -> bool:
            ended = [s for s in statuses(messages, "brief") if s.state == "ended"]
            return len(ended) >= 3 and len(windows(messages, "demo")) >= 3

        messages = collect(subscriber, well_after)
        assert [m.state for m in messages if isinstance(m, Event) and m.station == "brief" and m.event == "state"] == [
            "running",
            "ended",
        ]
        assert windows(messages, "demo")[-1].skipped == 0
        assert ends(one, signal.SIGTERM) == 0


def test_a_lost_station_comes_back(daemon: Start, tmp_path: Path, small_model: Path) -> None:
    """A looped file that disappears is lost, with the reason; when it is there again it runs again, in a new epoch."""
    path = write_wav(tmp_path / "here.wav", music(0.5))
    uri = f"file:{path}?loop=1&pace=realtime"
    with from_the_start(daemon, small_model, tmp_path, uri, "demo:") as (_, subscriber):
        collect(subscriber, lambda ms: any(s.state == "running" for s in statuses(ms, "here")))
        path.rename(tmp_path / "away.wav")
        messages = collect(subscriber, lambda ms: any(s.state == "lost" for s in statuses(ms, "here")))
        lost = statuses(messages, "here")[-1]
        assert str(path) in str(lost.text)
        (tmp_path / "away.wav").rename(path)
        messages = collect(subscriber, lambda ms: any(s.state == "running" for s in statuses(ms, "here")))
        assert statuses(messages, "here")[-1].epoch == lost.epoch + 1
        assert {s.state for s in statuses(messages, "demo")} <= {"running"}


def test_two_daemons_live_side_by_side(daemon: Start, tmp_path: Path, small_model: Path) -> None:
    """Endpoints may be ipc sockets; what a killed daemon left behind does not stop the next, which clears it away."""
    path = write_wav(tmp_path / "brief.wav", music(3.0))
    bind = f"ipc://{tmp_path}/socket"
    one = daemon("demo:", "--bind", bind, "--model", small_model)
    with subscribed(bind) as subscriber:
        collect(subscriber, lambda ms: bool(statuses(ms)))
    one.process.kill()
    one.wait()
    assert (tmp_path / "socket").is_socket()
    assert genred("run", path, "--bind", bind, "--model", small_model).returncode == 0
    assert not (tmp_path / "socket").exists()


def test_a_fault_in_the_worker_ends_the_daemon(endpoint: str, tmp_path: Path, small_model: Path) -> None:
    """An error of genred's own, here where it resamples, reaches the main thread: a traceback, and exit code 70."""
    path = write_wav(tmp_path / "slow.wav", music(1.0, 8000), 8000)
    (tmp_path / "soxr.py").write_text("def ResampleStream(*_, **__): raise ZeroDivisionError('a fault')\n")
    environment = os.environ | {"PYTHONPATH": f"{tmp_path}:{os.environ.get('PYTHONPATH', '')}"}
    result = genred("run", path, "demo:", "--bind", endpoint, "--model", small_model, env=environment)
    assert "please report this" in result.stderr
    assert result.stderr.splitlines()[-1] == "ZeroDivisionError: a fault"
    assert result.returncode == 70
