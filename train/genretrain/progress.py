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
        if self._items and sys.stderr.isatty():
            print(file=sys.stderr)

    def _show(self, done: int, total: int, left_s: float) -> None:
        bar = "#" * (20 * done // total)
        minutes, seconds = divmod(round(left_s), 60)
        line = f"{self._title} [{bar:20}] {done}/{total}, {minutes}:{seconds:02} left  {self.note}"
        end = "" if sys.stderr.isatty() else "\n"
        print(f"\r{line:79}" if sys.stderr.isatty() else line, end=end, file=sys.stderr, flush=True)
