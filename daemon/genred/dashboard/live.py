"""Dashboard: keeps the picture on the terminal, lets keys change the view, and draws only what has changed."""

from __future__ import annotations

import io
import logging
import time
from collections.abc import Sequence
from types import TracebackType

from rich.console import Console, RenderableType

from ..messages import plain
from ..snapshot import Snapshot
from .logs import PanelHandler, Stray
from .picture import farewell, page_rows, render
from .terminal import Terminal, of_stdout
from .view import View, ordered, press

REFRESH_S = 0.5  # between two pictures, at least; a key does not wait for it
SHARE = 0.008  # of a core that pictures may cost, on a slow machine by being fewer

log = logging.getLogger(__name__)


class Dashboard:
    """Context manager; without a terminal it shows nothing, and log lines are plain.

    Parameters
    ----------
    enabled : bool
    """

    def __init__(self, *, enabled: bool) -> None:
        self._terminal: Terminal | None = of_stdout() if enabled else None
        self._handler = PanelHandler(lambda: self._terminal is not None and self._terminal.shown)
        self._stray = Stray()
        self._view = View()
        self._painter = Painter(self._terminal.encoding if self._terminal is not None else "utf-8")
        self._paused: Snapshot | None = None  # what was seen when the view was paused
        self._newest: Snapshot | None = None
        self._seen: Snapshot | None = None  # the newest drawn; while it is kept, its id is no other's
        self._drawn: object = None  # what the picture on the terminal was made of
        self._size = (0, 0)
        self._due_s = 0.0

    def __enter__(self) -> Dashboard:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._terminal is not None:
            self._terminal.close("".join(f"{line}\n" for line in farewell(self._newest)) if self._newest else "")
        rest = self._stray.release()
        self._handler.tell()
        _warn(rest)

    def log_handler(self) -> logging.Handler:
        """Return where log lines go: into the panel, or to stderr."""
        return self._handler

    def show(self, snapshot: Snapshot) -> bool:
        """Draw `snapshot`, if anything has changed; return whether someone at the terminal asks for the end."""
        self._newest = snapshot
        if self._terminal is None:
            return False
        if not self._terminal.ready():
            _warn(self._stray.release())
            self._drawn = None
            return False
        self._stray.catch()
        _warn(self._stray.lines())
        keys = self._terminal.keys()
        if "q" in keys:
            return True
        size = self._terminal.size()
        for key in keys:
            self._press(key, self._paused or snapshot, size)
        self._draw(self._terminal, self._paused or snapshot, size, at_once=bool(keys) or size != self._size)
        return False

    def _press(self, key: str, seen: Snapshot, size: tuple[int, int]) -> None:
        names = [str(view.status.station) for view in ordered(seen.stations, self._view.order)]
        self._view = press(self._view, key, names, page_rows(size, len(names)))
        self._paused = seen if self._view.paused else None

    def _draw(self, terminal: Terminal, snapshot: Snapshot, size: tuple[int, int], *, at_once: bool) -> None:
        made_of = (id(snapshot), self._view, self._handler.count, size, terminal.entries)
        now_s = time.monotonic()
        if made_of == self._drawn or (now_s < self._due_s and not at_once):
            return
        self._drawn, self._seen, self._size = made_of, snapshot, size
        began_s = time.thread_time()
        picture = render(snapshot, self._view, tuple(self._handler.lines))
        terminal.draw(self._painter.rows(picture, size))
        self._due_s = now_s + max(REFRESH_S, (time.thread_time() - began_s) / SHARE)


class Painter:
    """Turns a picture into rows of text with the escape sequences of colours, as many as the terminal has.

    Parameters
    ----------
    encoding : str
        The terminal's.
    """

    def __init__(self, encoding: str = "utf-8") -> None:
        self._encoding = encoding
        self._console = self._of_size((80, 24))

    def rows(self, picture: RenderableType, size: tuple[int, int]) -> list[str]:
        """One string for each row of `picture` in `size`, columns and rows."""
        if self._console.size != size:
            self._console = self._of_size(size)
        with self._console.capture() as capture:
            self._console.print(picture, end="")
        return capture.get().split("\n")

    def _of_size(self, size: tuple[int, int]) -> Console:
        file = io.TextIOWrapper(io.BytesIO(), self._encoding)  # nothing is written to it, but its encoding is asked for
        return Console(file=file, force_terminal=True, highlight=False, width=size[0], height=size[1])


def _warn(lines: Sequence[str]) -> None:
    """Log what something has written past the log."""
    for line in lines:
        if line.strip():
            log.warning("%s", plain(line))
