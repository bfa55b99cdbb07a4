"""A real pseudo-terminal with a program in it, and what is to be seen on it."""

from __future__ import annotations

import os
import pty
import select
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from copy import deepcopy
from fcntl import ioctl
from pathlib import Path
from struct import pack
from typing import Any

import pyte

# Makes the terminal the controlling one, else nobody is told of hang-ups and Ctrl-C; then becomes the program.
CONTROLLED = """
import fcntl, os, sys, termios
fcntl.ioctl(1, termios.TIOCSCTTY, 0)
os.execvp(sys.argv[1], sys.argv[1:])
"""


class AlternateScreen(pyte.Screen):
    """pyte's screen, and the alternate one, which it lacks."""

    before: Any = None

    def set_mode(self, *modes: int, **options: Any) -> None:
        super().set_mode(*modes, **options)
        if 1049 in modes and options.get("private"):
            self.before = deepcopy(self.buffer)
            self.save_cursor()
            self.erase_in_display(2)

    def reset_mode(self, *modes: int, **options: Any) -> None:
        super().reset_mode(*modes, **options)
        if 1049 in modes and options.get("private") and self.before is not None:
            self.buffer, self.before = self.before, None
            self.restore_cursor()
            self.dirty.update(range(self.lines))


class Terminal:
    """A terminal with a program in it; `screen` is what it shows.

    Parameters
    ----------
    command : str or Path
    size : tuple of int
        Columns and rows.
    environment : dict
        Added to ours.
    options
        Of Popen; the program's streams are the terminal unless they say otherwise.
    """

    def __init__(
        self,
        *command: str | Path,
        size: tuple[int, int] = (100, 30),
        environment: dict[str, str] | None = None,
        **options: Any,
    ) -> None:
        self.screen = AlternateScreen(*size)
        self._stream = pyte.ByteStream(self.screen)
        self.ours, self._its = pty.openpty()
        self._set_size(*size)
        self.settings = self.mode()
        clean = {
            name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "COLORTERM", "FORCE_COLOR")
        }
        streams = {"stdin": self._its, "stdout": self._its, "stderr": self._its} | options
        self.process = subprocess.Popen(
            [sys.executable, "-c", CONTROLLED, *map(str, command)],
            env=clean | {"TERM": "xterm-256color"} | (environment or {}),
            start_new_session=True,
            **streams,
        )

    @property
    def text(self) -> str:
        """What is to be seen."""
        return "\n".join(self.screen.display)

    @property
    def lines(self) -> list[str]:
        """The same without empty lines."""
        return [row.rstrip() for row in self.screen.display if row.strip()]

    @property
    def shown(self) -> bool:
        """Whether the picture is there: the alternate screen, without a cursor."""
        return self.screen.before is not None and self.screen.cursor.hidden

    @property
    def restored(self) -> bool:
        """Whether all is as it was: screen, cursor, and the modes of the line."""
        return self.screen.before is None and not self.screen.cursor.hidden and self.mode() == self.settings

    @property
    def framed(self) -> bool:
        """Whether the frame is whole, at the edges of the screen."""
        rows = self.screen.display
        sides = {row[0] + row[-1] for row in rows[1:-1]}
        return (rows[0][0] + rows[0][-1], rows[-1][0] + rows[-1][-1]) == ("╭╮", "╰╯") and sides == {"││"}

    def mode(self) -> list[Any]:
        return termios.tcgetattr(self._its)

    def wait_for(self, condition: Callable[[], object], timeout_s: float = 40) -> None:
        """Show what comes until `condition` holds."""
        deadline = time.monotonic() + timeout_s
        while not condition():
            assert time.monotonic() < deadline, self.text
            self._feed(0.05)

    def sees(self, *words: str) -> None:
        """Wait until all `words` are to be seen."""
        for word in words:  # pytest then shows which one is missing
            self.wait_for(lambda word=word: word in self.text)
        self.wait_for(lambda: all(word in self.text for word in words))

    def type(self, keys: str) -> None:
        os.write(self.ours, keys.encode())

    def resize(self, columns: int, rows: int) -> None:
        self.screen.resize(rows, columns)
        self._set_size(columns, rows)

    def wait(self) -> int:
        """Show everything up to the end; return the exit code."""
        self.wait_for(lambda: self.process.poll() is not None)
        while self._feed(0.0):
            pass
        return int(self.process.returncode)

    def end(self, number: int) -> int:
        """Send a signal and wait for the end."""
        self.process.send_signal(number)
        return self.wait()

    def hang_up(self) -> None:
        """Close the window."""
        os.close(self._its)
        os.close(self.ours)
        self.ours = self._its = -1

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        if self.process.stdin is not None:
            self.process.stdin.close()
        for number in (self.ours, self._its):
            if number >= 0:
                os.close(number)

    def _feed(self, timeout_s: float) -> bool:
        if not select.select([self.ours], [], [], timeout_s)[0]:
            return False
        with suppress(OSError):
            self._stream.feed(os.read(self.ours, 65536))
        return True

    def _set_size(self, columns: int, rows: int) -> None:
        ioctl(self._its, termios.TIOCSWINSZ, pack("HHHH", rows, columns, 0, 0))


Open = Callable[..., Terminal]


@contextmanager
def terminals() -> Iterator[Open]:
    """Open terminals; they are closed at the end."""
    opened: list[Terminal] = []

    def open_one(*command: str | Path, **options: Any) -> Terminal:
        opened.append(Terminal(*command, **options))
        return opened[-1]

    yield open_one
    for one in opened:
        one.close()


def genred_command(*arguments: str | Path) -> list[str | Path]:
    """Command that runs genred."""
    return [sys.executable, "-m", "genred", *arguments]
