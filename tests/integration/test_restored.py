"""Whatever happens to ``genred run``, the person at the terminal gets it back as it was."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from wholly import windows

from audio_files import encode
from conftest import collect, music, subscribed
from screens import Open, genred_command


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signals_end_it_well(run: Open, number: int) -> None:
    """After a signal it ends with 0; cursor, modes and screen are as before, with a line of the last answer."""
    one = run("demo:")
    one.sees("● running")
    assert one.shown
    assert one.end(number) == 0
    assert one.restored
    *logs, line = one.lines
    assert line.startswith("demo  ")
    assert all(" INFO " in log for log in logs)


def test_ctrl_backslash_ends_it_at_once(run: Open) -> None:
    r"""Ctrl-\ ends it without waiting, with the code that a shell gives that signal; the terminal is as it was."""
    one = run("demo:")
    one.sees("● running")
    one.type("\x1c")
    assert one.wait() == 131
    assert one.restored


def test_a_closed_window_ends_it(run: Open) -> None:
    """When the terminal goes away the daemon ends in order."""
    one = run("demo:")
    one.sees("● running")
    one.hang_up()
    assert one.process.wait(20) == 0


def test_a_terminal_that_does_not_read_holds_up_nothing(run: Open, endpoint: str) -> None:
    """Nobody reads what it draws: messages go on, and a signal ends it."""
    one = run("demo:", size=(160, 50))
    one.sees("● running")
    with subscribed(endpoint) as subscriber:  # while nothing reads the terminal, whose buffer holds a picture or two
        collect(subscriber, lambda messages: len(windows(messages, "demo")) >= 12)
    one.process.send_signal(signal.SIGTERM)
    assert one.process.wait(20) == 0


def test_ctrl_z_and_fg(terminal: Open, endpoint: str, small_model: Path) -> None:
    """Ctrl-Z gives the terminal back to the shell; fg brings the picture again."""
    command = " ".join(map(str, genred_command("run", "demo:", "--model", small_model, "--bind", endpoint)))
    one = terminal("bash", "-mc", f"{command}; echo it-is-$?; read -r; fg; echo it-is-$?")
    one.sees("● running")
    one.type("\x1a")
    one.sees("it-is-148")  # 128 + SIGTSTP
    assert one.restored
    one.type("\n")
    one.wait_for(lambda: one.shown and "● running" in one.text)
    one.type("q")
    one.sees("it-is-0")
    assert one.restored


def test_in_the_background_it_writes_lines(terminal: Open, endpoint: str, small_model: Path) -> None:
    """Started with & it neither stops nor draws over the shell, but writes log lines."""
    command = " ".join(map(str, genred_command("run", "demo:", "--model", small_model, "--bind", endpoint)))
    one = terminal("bash", "-mc", f"{command} & read -r; kill %1; wait %1; echo it-is-$?")
    one.sees("demo: running")
    assert not one.shown
    one.type("\n")
    one.sees("it-is-0")


PROGRAM = """
import logging, os, signal, sys, threading
from genred.dashboard import Dashboard
from genred.signals import asked_to_end
from genred.snapshot import Snapshot
snapshot, stop = Snapshot(None, "", remark="here I am"), threading.Event()
with Dashboard(enabled=True) as dashboard:
    logging.basicConfig(level="INFO", handlers=[dashboard.log_handler()])
    dashboard.show(snapshot)
    {body}
"""


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ("raise RuntimeError('a fault')", 1),
        ("sys.exit(7)", 7),
        ("signal.raise_signal(signal.SIGINT)", -signal.SIGINT),
    ],
)
def test_a_crash_restores_the_terminal(terminal: Open, body: str, code: int) -> None:
    """An exception gives the terminal back; the traceback is then seen on it."""
    one = terminal(sys.executable, "-c", PROGRAM.format(body=body))
    assert one.wait() == code
    assert one.restored
    assert ("RuntimeError: a fault" in one.text) == ("a fault" in body)


def test_a_forced_end_restores_the_terminal(terminal: Open) -> None:
    """The second Ctrl-C interrupts whatever the end waits for, and the terminal is as it was."""
    body = """
    asked = asked_to_end(stop)
    asked.__enter__()
    logging.info("it will not end")
    while not dashboard.show(snapshot): threading.Event().wait(0.1)
    """
    one = terminal(sys.executable, "-c", PROGRAM.format(body=body.strip()))
    one.sees("it will not end")
    one.type("\x03")
    with pytest.raises(subprocess.TimeoutExpired):
        one.process.wait(1)
    one.type("\x03")
    assert one.wait() == -signal.SIGINT
    assert one.restored


def test_what_others_write_is_in_the_panel(terminal: Open) -> None:
    """Log lines, and what C and threads write to stderr, come into the panel, and warnings again after the end."""
    body = """
    logging.info("a line of the log")
    logging.warning("a [bold]warning[/b] \\x1b[31m")
    os.write(2, b"ALSA lib: underrun\\n")
    print("from Python", file=sys.stderr, flush=True)
    while not dashboard.show(snapshot): stop.wait(0.1)
    """
    one = terminal(sys.executable, "-c", PROGRAM.format(body=body.strip()))
    one.sees(
        "a line of the log", "a [bold]warning[/b] \N{REPLACEMENT CHARACTER}[31m", "ALSA lib: underrun", "from Python"
    )
    assert one.framed
    one.type("q")
    assert one.wait() == 0
    assert one.restored
    assert "ALSA lib: underrun" in one.text
    assert "a line of the log" not in one.text


def test_an_interrupt_is_heard_in_c(terminal: Open, small_model: Path, tmp_path: Path) -> None:
    """While FFmpeg searches many GB of zeros, Ctrl-C ends `genred classify` within seconds, and the cursor is back."""
    path = encode(tmp_path / "x.mp3", music(3.0, 48000), 48000, "libmp3lame")
    os.truncate(path, 40 * 2**30)
    one = terminal(*genred_command("classify", path, "--model", small_model))
    one.sees("x.mp3")
    searched = Path(f"/proc/{one.process.pid}/io")
    one.wait_for(lambda: int(searched.read_text().split()[1]) > 200 * 2**20)  # bytes read so far
    began_s = time.monotonic()
    one.type("\x03")
    assert one.wait() == 130
    assert time.monotonic() - began_s < 5 * 1.0
    assert one.restored
