"""A progress line with the time left, for terminals and logs alike.

Its own, because ``fit`` runs where only numpy and torch are installed.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Collection, Iterator
from typing import Generic, TypeVar

T = TypeVar("T")


class Progress(Generic[T]):
    """Iterate over `items`; show how many are done and how long the rest will take, on stderr."""

    def __init__(self, items: Collection[T], title: str, done: int = 0) -> None:
        self._items, self._title, self._already = items, title, done
        self.note = ""

    def __iter__(self) -> Iterator[T]:
        started = shown = time.monotonic()
        total = self._already + len(self._items)
        for count, item in enumerate(self._items, start=1):
            yield item
            now = time.monotonic()
            if now - shown >= (0.2 if sys.stderr.isatty() else 30.0) or count == len(self._items):
                left = (now - started) / count * (len(self._items) - count)
                self._show(self._already + count, total, left)
                shown = now
        if self._items:
            end()

    def _show(self, done: int, total: int, left_s: float) -> None:
        draw(f"{self._title} {bar(done / total)} {done}/{total}, {clock(left_s)} left  {self.note}")


def bar(share: float) -> str:
    """Twenty places, of which `share` are filled."""
    return f"[{'#' * int(20 * share):20}]"


def clock(seconds: float) -> str:
    """``5:03``, or from an hour on ``1:05:03``."""
    minutes, whole = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{whole:02}" if minutes >= 60 else f"{minutes}:{whole:02}"


def draw(line: str) -> None:
    """Show `line` on stderr: in a terminal over the line before, in a log below it."""
    if sys.stderr.isatty():
        print(f"\r{line:79}", end="", file=sys.stderr, flush=True)
    else:
        print(line, file=sys.stderr, flush=True)


def end() -> None:
    """Leave the line that was drawn last."""
    if sys.stderr.isatty():
        print(file=sys.stderr)
