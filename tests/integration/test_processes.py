"""A daemon of several processes: to its subscribers it is one, and it begins and ends as one."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from wholly import Start, assert_books_balance, statuses, windows

from conftest import Daemon, collect, music, subscribed, write_wav
from genred.messages import Event, Hello, Message

GONE_S = 5 * 2.0


def children(one: Daemon) -> list[int]:
    """Process ids of those that it has started."""
    path = Path(f"/proc/{one.process.pid}/task/{one.process.pid}/children")
    return [int(word) for word in path.read_text().split()]


def all_gone(pids: list[int]) -> bool:
    """Whether they are gone within the time."""
    end_s = time.monotonic() + GONE_S
    while any(Path(f"/proc/{pid}").exists() and not is_zombie(pid) for pid in pids):
        if time.monotonic() > end_s:
            return False
        time.sleep(0.05)
    return True


def is_zombie(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def answered(messages: list[Message], *names: str) -> bool:
    return all(min(len(windows(messages, name)), len(statuses(messages, name))) >= 3 for name in names)


def test_it_is_one_daemon(daemon: Start, endpoint: str, tmp_path: Path, small_model: Path) -> None:
    """One boot, no hole in any topic, one hello, books that balance; and its cost is that of all processes."""
    path = write_wav(tmp_path / "loop.wav", music(5.0))
    config = tmp_path / "genred.toml"

    def write(*stations: str) -> None:
        lines = [f"model = {str(small_model)!r}", "hop = 10", "processes = 2"]
        config.write_text("\n".join([*lines, *(f"[[station]]\n{station}" for station in stations)]))

    loop = f"uri = 'file:{path}?loop=1&pace=realtime'"
    write("name = 'a'\nuri = 'demo:'", f"name = 'b'\n{loop}", f"name = 'c'\n{loop}")
    one = daemon("--config", config)
    with subscribed(endpoint) as subscriber:
        before = collect(subscriber, lambda messages: answered(messages, *"abc"))
        assert len(children(one)) == 2
        write(f"name = 'd'\n{loop}", f"name = 'b'\n{loop}", "name = 'a'\nuri = 'demo:'")
        one.process.send_signal(signal.SIGHUP)
        before += collect(subscriber, lambda messages: any(isinstance(m, Hello) for m in messages))
        after = collect(subscriber, lambda messages: answered(messages, *"abd"))
        messages = [*before, *after]
        assert subscriber.gaps == 0
    reloads = [m for m in messages if isinstance(m, Event) and m.event == "reload"]
    assert [m.text for m in reloads] == ["reloaded: 1 station added (d); 1 station removed (c)"]
    assert statuses(messages, "c")[-1].state == "ended"
    assert not windows(after, "c")
    assert {m.epoch for m in windows(messages, "a")} == {0}
    assert len({m.boot for m in messages}) == 1
    assert_books_balance(messages)
    status = statuses(messages, "a")[-1]
    assert status.process.memory_mb > 1.5 * resident_mb(one.process.pid)
    assert status.process.subscriptions > 0
    processes = children(one)
    assert one.stop() == 0
    assert all_gone(processes)
    assert one.log.count("reloaded:") == 1
    assert "a: running" in one.log
    assert "Traceback" not in one.log


def resident_mb(pid: int) -> float:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def test_files_are_heard_to_their_end(daemon: Start, tmp_path: Path, small_model: Path) -> None:
    """And then it ends by itself."""
    paths = [write_wav(tmp_path / f"{name}.wav", music(6.0, seed=seed)) for seed, name in enumerate("ab")]
    one = daemon("--processes", "2", "--model", small_model, *paths)
    assert one.wait() == 0, one.log
    assert "a: ended" in one.log
    assert "b: ended" in one.log


def test_it_does_not_go_on_without_one_of_them(daemon: Start, endpoint: str, small_model: Path) -> None:
    """It says so in one sentence and ends, with all the others: who starts it again starts all of it."""
    one = daemon("--processes", "2", "--model", small_model, "a=demo:", "b=demo:")
    with subscribed(endpoint) as subscriber:
        collect(subscriber, lambda messages: answered(messages, "a", "b"))
    processes = children(one)
    os.kill(processes[1], signal.SIGKILL)
    assert one.wait() == 1
    assert "genred: process 1 of the daemon has ended with exit code -9" in one.log
    assert "Traceback" not in one.log
    assert all_gone(processes)


def test_they_do_not_go_on_without_it(daemon: Start, endpoint: str, small_model: Path) -> None:
    """A daemon that is killed leaves nothing behind that holds its devices and connections."""
    one = daemon("--processes", "2", "--model", small_model, "a=demo:", "b=demo:")
    with subscribed(endpoint) as subscriber:
        collect(subscriber, lambda messages: answered(messages, "a", "b"))
    processes = children(one)
    one.stop(signal.SIGKILL)
    assert all_gone(processes)


def test_they_do_not_wait_without_it(daemon: Start, tmp_path: Path, small_model: Path) -> None:
    """Not even for a model that never comes: the daemon has read it, and nobody writes it again."""
    gate = tmp_path / "model.onnx"
    os.mkfifo(gate)
    one = daemon("--processes", "2", "--model", gate, "a=demo:", "b=demo:")
    gate.write_bytes(small_model.read_bytes())
    deadline = time.monotonic() + GONE_S
    while len(processes := children(one)) < 2 or not all(map(waits_for_a_writer, processes)):
        assert time.monotonic() < deadline, "they do not wait"
        time.sleep(0.05)
    one.stop(signal.SIGKILL)
    assert all_gone(processes)


def waits_for_a_writer(pid: int) -> bool:
    """Whether the process is in open() of a pipe that nobody writes."""
    return any("wait_for_partner" in path.read_text() for path in Path(f"/proc/{pid}/task").glob("*/wchan"))
