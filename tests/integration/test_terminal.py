"""What a person at a terminal sees, through a real pseudo-terminal."""

from __future__ import annotations

import os
import pty
import select
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from fcntl import ioctl
from pathlib import Path
from struct import pack

import pyte
import pytest
from wholly import Start, statuses, windows

from conftest import LABELS, collect, music, subscribed, write_wav

WIDTH, HEIGHT = 100, 30


class Terminal:
    """A terminal with a program in it; `screen` is what it shows."""

    def __init__(self, *arguments: str | Path) -> None:
        self.screen = pyte.Screen(WIDTH, HEIGHT)
        self.received = b""
        self._stream = pyte.ByteStream(self.screen)
        self._ours, self._its = pty.openpty()
        ioctl(self._its, termios.TIOCSWINSZ, pack("HHHH", HEIGHT, WIDTH, 0, 0))
        self._before = termios.tcgetattr(self._its)
        environment = os.environ | {"TERM": "xterm-256color"}
        streams = {"stdin": self._its, "stdout": self._its, "stderr": self._its}
        command = [sys.executable, "-m", "genred", *map(str, arguments)]
        self.process = subprocess.Popen(command, env=environment, start_new_session=True, **streams)  # type: ignore[call-overload]

    @property
    def text(self) -> str:
        return "\n".join(self.screen.display)

    @property
    def restored(self) -> bool:
        """Whether cursor, screen and settings are as they were."""
        taken = self.received.count(b"\x1b[?1049h") > self.received.count(b"\x1b[?1049l")  # the alternate screen
        return not self.screen.cursor.hidden and not taken and termios.tcgetattr(self._its) == self._before

    def wait_for(self, condition: Callable[[], bool], timeout_s: float = 30) -> None:
        """Show what comes until `condition` holds."""
        deadline = time.monotonic() + timeout_s
        while not condition():
            assert time.monotonic() < deadline, self.text
            if select.select([self._ours], [], [], 0.1)[0]:
                self._show()

    def _show(self) -> None:
        content = os.read(self._ours, 65536)
        self.received += content
        self._stream.feed(content)

    def end(self, number: int) -> int:
        """Send a signal and show everything up to the end."""
        self.process.send_signal(number)
        self.wait_for(lambda: self.process.poll() is not None)
        while select.select([self._ours], [], [], 0)[0]:
            self._show()
        return int(self.process.returncode)

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._ours)
        os.close(self._its)


@pytest.fixture
def terminal() -> Iterator[Callable[..., Terminal]]:
    """Open terminals; they are closed at the end."""
    opened: list[Terminal] = []

    def open_one(*arguments: str | Path) -> Terminal:
        opened.append(Terminal(*arguments))
        return opened[-1]

    yield open_one
    for one in opened:
        one.close()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_dashboard_comes_and_goes(
    terminal: Callable[..., Terminal], endpoint: str, small_model: Path, number: int
) -> None:
    """On a terminal the state and all genres are shown; after a signal cursor, screen and settings are as before."""
    one = terminal("run", "demo:", "--model", small_model, "--bind", endpoint)
    one.wait_for(lambda: "demo" in one.text and "running" in one.text and all(label in one.text for label in LABELS))
    one.wait_for(lambda: "%" in one.text)
    assert not one.restored
    assert one.end(number) == 0
    assert one.restored
    assert b"Traceback" not in one.received


def test_haste_does_no_harm(terminal: Callable[..., Terminal], endpoint: str, small_model: Path) -> None:
    """Ctrl-C again and again ends it once, and the terminal is restored."""
    one = terminal("run", "demo:", "--model", small_model, "--bind", endpoint)
    one.wait_for(lambda: "running" in one.text)
    one.process.send_signal(signal.SIGINT)
    time.sleep(0.05)  # two at once are one
    assert one.end(signal.SIGINT) in (0, 130)
    assert one.restored
    assert b"Traceback" not in one.received


def test_no_dashboard_means_plain_lines(terminal: Callable[..., Terminal], endpoint: str, small_model: Path) -> None:
    """--no-dashboard prints log lines on a terminal too, and takes nothing of it."""
    one = terminal("run", "demo:", "--model", small_model, "--bind", endpoint, "--no-dashboard")
    one.wait_for(lambda: "demo: running" in one.text)
    assert one.end(signal.SIGTERM) == 0
    assert b"\x1b[?" not in one.received


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
