"""What a person at a terminal sees of ``genred run``, and what the keys do."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from pathlib import Path

import pytest
from wholly import Start, statuses, windows

from conftest import LABELS, collect, music, subscribed, write_wav
from dashboard_cost import cost_percent
from screens import Open, genred_command

SIZES = [(80, 24), (100, 30), (160, 50)]
ANSWER = re.compile(rf"(?:{'|'.join(LABELS)}) \d+%")


@pytest.mark.parametrize("size", SIZES)
def test_one_station_at_three_sizes(run: Open, size: tuple[int, int]) -> None:
    """The frame is whole, and in it are state, genres, window and hop, provider, model, endpoint and the log."""
    one = run("kitchen=demo:", size=size)
    one.sees(
        "kitchen", "● running", "%", "1.9 s, hop 0.93 s", "small on cpu", "tcp://127.0.0.1", "listening to kitchen"
    )
    one.sees("latency", "lost", "skipped", "level", "▮", "readers", "last", "█", *LABELS)
    one.wait_for(lambda: one.framed)
    one.type("q")
    assert one.wait() == 0
    assert one.restored


@pytest.mark.parametrize("sources", [["demo:"], [f"fm-{number}=demo:" for number in range(3)]])
def test_it_follows_the_terminal(run: Open, sources: list[str]) -> None:
    """When the window changes its size the picture does, too, at once and wholly."""
    one = run(*sources, size=SIZES[0])
    one.sees("● running")
    for size in (*SIZES[1:], SIZES[0], (50, 15)):
        one.resize(*size)
        one.wait_for(lambda: one.framed)
        one.sees("● running")


def test_keys(run: Open) -> None:
    """Several stations are a table, sorted and scrolled by keys; a line opens, p pauses, q ends with 0."""
    names = [f"fm-{number:02}" for number in range(12)]
    one = run(*(f"{name}=demo:" for name in names), size=(80, 14))
    one.sees("12 stations: 12 running", "name ↓", "› 1 fm-00", "%", "q quit")
    assert "fm-11" not in one.text
    one.type("jj\x1b[B")
    one.sees("› 4 fm-03")
    one.type("\x1b[6~\x1b[6~")
    one.sees("›12 fm-11")
    assert "fm-00" not in one.text
    one.type("k")
    one.sees("›11 fm-10")
    one.type("s")
    one.sees("state ↓")
    one.type("ssss\r")
    one.sees("fm-10  ● running", "Esc all")
    assert "fm-11" not in one.text
    one.type("\x1b")
    one.sees("name ↓")
    one.type("05")
    one.sees("12 stations")
    one.type("5")
    one.sees("fm-04  ● running", "Esc all")
    one.type("p")
    one.sees(" paused ")
    one.type("pq")
    assert one.wait() == 0
    assert one.restored


def test_a_paused_picture_stands_still(run: Open, endpoint: str) -> None:
    """After p nothing moves while the daemon goes on; the next p shows what is heard now."""
    one = run("demo:")
    one.sees("● running")
    one.type("p")
    one.sees(" paused ")
    before, told = one.lines, []
    with subscribed(endpoint, "status") as subscriber:

        def seconds_later() -> bool:
            told.append(subscriber.receive(0.0))
            return len(told) - told.count(None) > 3

        one.wait_for(seconds_later)
    assert one.lines == before
    one.type("p")
    one.wait_for(lambda: " paused " not in one.text)
    assert one.lines[1:] != before[1:]


def test_the_last_answers_stay(run: Open, tmp_path: Path) -> None:
    """After the end a line for each station is on the screen: its name, and what it heard last."""
    one = run("kitchen=demo:", write_wav(tmp_path / "brief.wav", music(3.0)))
    one.sees("brief", "● ended", "kitchen", "● running")
    one.wait_for(lambda: len(ANSWER.findall(one.text)) == 2)
    one.type("q")
    assert one.wait() == 0
    brief, kitchen = one.lines[-2:]
    assert re.fullmatch(rf"brief    {ANSWER.pattern}", brief)
    assert re.fullmatch(rf"kitchen  {ANSWER.pattern}", kitchen)


def test_ctrl_c_and_ctrl_s(run: Open) -> None:
    """Ctrl-S does not stop the picture, which would stop the daemon; Ctrl-C ends it."""
    one = run("demo:")
    one.sees("● running")
    one.type("\x13p")
    one.sees(" paused ")
    one.type("\x03")
    assert one.wait() == 0
    assert one.restored


def test_audio_on_stdin_leaves_the_keys(run: Open) -> None:
    """While stdin carries audio the keys come from the terminal; when the pipe's writer is gone it ends, restored."""
    for end in ("q", "kill"):
        one = run("-?rate=22050&channels=1&live=1", stdin=subprocess.PIPE)
        one.process.stdin.write((music(3.0) * 32767).astype("<i2").tobytes())
        one.process.stdin.flush()
        one.sees("stdin", "● running")
        if end == "q":
            one.type("q")
        else:
            one.process.stdin.close()
        assert one.wait() == 0
        assert one.restored


@pytest.mark.parametrize("count", [1, 3])
def test_no_colour(run: Open, count: int) -> None:
    """With NO_COLOR no cell has a colour; without it many have."""
    for environment, colours in (({"NO_COLOR": "1"}, False), ({}, True)):
        one = run(*(f"fm-{number}=demo:" for number in range(count)), environment=environment)
        one.sees("● running", "%")
        assert any(cell.fg != "default" for row in one.screen.buffer.values() for cell in row.values()) == colours
        assert all(cell.bg == "default" for row in one.screen.buffer.values() for cell in row.values())
        assert one.end(signal.SIGTERM) == 0


@pytest.mark.parametrize("count", [1, 3])
def test_a_terminal_without_unicode(run: Open, count: int) -> None:
    """Where only ASCII can be written the picture is made of that, and its words and answers can be read."""
    one = run(*(f"fm-{number}=demo:" for number in range(count)), environment={"PYTHONIOENCODING": "ascii"})
    one.sees("o running", "fm-0", "#", "q quit")
    one.wait_for(lambda: len(ANSWER.findall(one.text)) >= count)
    assert one.text.isascii()
    assert "?" not in one.text
    one.type("q")
    assert one.wait() == 0


@pytest.mark.parametrize("options", [{"environment": {"TERM": "dumb"}}, {"plain": True}])
def test_plain_lines_where_there_can_be_no_picture(
    terminal: Open, endpoint: str, small_model: Path, options: dict[str, object]
) -> None:
    """A dumb terminal and --no-dashboard get log lines, and no escape sequence."""
    flags = ["--no-dashboard"] if options.pop("plain", False) else []
    one = terminal(*genred_command("run", "demo:", "--model", small_model, "--bind", endpoint, *flags), **options)
    one.sees("INFO demo: running")
    assert not one.screen.cursor.hidden
    assert one.end(signal.SIGTERM) == 0
    assert "╭" not in one.text


def test_without_a_terminal_there_are_plain_lines(
    daemon: Start, endpoint: str, tmp_path: Path, small_model: Path
) -> None:
    """Into a file it writes log lines only, without escape sequences; and nothing on stdout."""
    output = tmp_path / "output"
    with output.open("w") as stdout:
        one = daemon("demo:", write_wav(tmp_path / "brief.wav", music(3.0)), "--model", small_model, stdout=stdout)
        with subscribed(endpoint) as subscriber:
            collect(subscriber, lambda ms: bool(windows(ms, "demo")) and len(statuses(ms)) >= 4)
        assert one.stop() == 0
    assert "\x1b" not in one.log
    assert all(line[:4].isdecimal() for line in one.log.splitlines())
    assert "brief: ended" in one.log
    assert output.read_text() == ""


def test_logs_to_a_file_while_the_picture_is_shown(run: Open, tmp_path: Path) -> None:
    """With 2>FILE the log lines are in the file, and in the panel but for the answers, which the picture shows."""
    log = tmp_path / "log"
    answer = re.compile(rf"demo: (?:{'|'.join(LABELS)})")
    with log.open("w") as stderr:
        one = run("demo:", stderr=stderr)
        one.sees("● running", "demo: running")
        one.wait_for(lambda: answer.search(log.read_text()) and ANSWER.search(one.text))
        one.type("p")
        one.sees(" paused ")
        assert not answer.search(one.text)
        one.type("q")
        assert one.wait() == 0
    assert "INFO demo: running" in log.read_text()
    assert "\x1b" not in log.read_text()


def test_it_says_what_it_listens_to_when_nothing_is_named(run: Open, tmp_path: Path) -> None:
    """Without a source and without PortAudio it is the demo station, and the panel says so, and why."""
    (tmp_path / "sounddevice.py").write_text("raise OSError('PortAudio library not found')\n")
    one = run(environment={"PYTHONPATH": f"{tmp_path}:{os.environ.get('PYTHONPATH', '')}"}, size=(120, 30))
    one.sees("demo  ● running", "no source is named; listening to the demo station, because PortAudio is missing")
    assert one.shown


@pytest.mark.skipif(not Path("/proc/self/schedstat").exists(), reason="the kernel does not tell a thread's time")
def test_it_costs_less_than_a_percent(run: Open) -> None:
    """The main thread, which does nothing but draw and wait, uses under 1 % of a core over ten seconds."""
    one = run("demo:")
    one.sees("● running", "%")
    assert cost_percent(one, 10.0) < 1.0
