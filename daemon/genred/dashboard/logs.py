"""Log lines: into the panel while the picture is shown, to stderr otherwise; and what others write to stderr, too."""

from __future__ import annotations

import logging
import os
import sys
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from ..messages import plain

KEPT = 200  # lines
TOLD = 20  # warnings that are told again when the picture has gone


@dataclass(frozen=True)
class LogLine:
    """One line of the panel; `level` as in logging."""

    time: str
    level: int
    text: str


class PanelHandler(logging.Handler):
    """Keeps the newest lines, and writes them to stderr unless that would be across the picture.

    It does not keep a record with ``pictured``: what that says is in the picture, and there are many of them.

    Parameters
    ----------
    shown : callable
        Whether there is a picture on the terminal.
    """

    def __init__(self, shown: Callable[[], bool]) -> None:
        super().__init__()
        self.lines: deque[LogLine] = deque(maxlen=KEPT)
        self.count = 0  # lines so far
        self._shown = shown
        self._same = sys.stderr.isatty()  # stderr is the terminal; where it is a file, it gets every line
        self._untold: deque[logging.LogRecord] = deque(maxlen=TOLD)  # warnings that only the panel has shown
        self.setFormatter(logging.Formatter("%(message)s"))
        self._plain = logging.StreamHandler()
        self._plain.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))

    def emit(self, record: logging.LogRecord) -> None:
        """Keep `record`, and write it where it can be seen."""
        if not getattr(record, "pictured", False):
            self._keep(record)
        if not self._shown() or not self._same:
            self._plain.handle(record)
        elif record.levelno >= logging.WARNING:
            self._untold.append(record)

    def _keep(self, record: logging.LogRecord) -> None:
        at = time.strftime("%H:%M:%S", time.localtime(record.created))
        for line in self.format(record).splitlines():
            self.lines.append(LogLine(at, record.levelno, plain(line)))
            self.count += 1

    def tell(self) -> None:
        """Say again what the panel has shown and nobody could read after it has gone."""
        while self._untold:
            self._plain.handle(self._untold.popleft())


class Stray:
    """What libraries and threads write to stderr past the log, while the picture is shown.

    ALSA and FFmpeg do, from C; it would be written across the picture.
    """

    def __init__(self) -> None:
        self._saved: dict[int, int] = {}  # file number -> where it led before
        self._read = -1
        self._partial = b""

    def catch(self) -> None:
        """Begin, if stderr is a terminal; Python's may have a number of its own."""
        numbers = [number for number in {2, sys.stderr.fileno()} if os.isatty(number)]
        if self._saved or not numbers:
            return
        self._read, write = os.pipe()
        os.set_blocking(self._read, False)
        os.set_blocking(write, False)  # who writes too much loses it, rather than waiting for us
        sys.stderr.flush()
        for number in numbers:
            self._saved[number] = os.dup(number)
            os.dup2(write, number)
        os.close(write)

    def lines(self) -> list[str]:
        """Lines written since this was last called."""
        content = b""
        if self._saved:
            with suppress(BlockingIOError):
                content = os.read(self._read, 65536)
        *whole, self._partial = (self._partial + content).split(b"\n")
        return [line.decode(errors="replace") for line in whole]

    def release(self) -> list[str]:
        """End; return what was not yet read."""
        if not self._saved:
            return []
        with suppress(OSError):
            sys.stderr.flush()
        rest = [*self.lines(), self._partial.decode(errors="replace")]
        for number, saved in self._saved.items():
            os.dup2(saved, number)
            os.close(saved)
        os.close(self._read)
        self._saved, self._partial = {}, b""
        return rest
