"""Heap: how the C library keeps memory, for a process of many threads that runs for months."""

from __future__ import annotations

import ctypes
import sys
import time
from collections.abc import Callable

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_ARENA_MAX = -1, -3, -8  # names and numbers of glibc's malloc.h
ARENAS = 2
LARGE = 32 << 20  # bytes, the most that glibc takes: what a batch needs for a moment is below it
SPARE = 8 << 20  # bytes kept at the end of a heap
TIDY_S = 60.0
FIRST_S = 5.0  # what loading a model leaves


def settle() -> None:
    """Let few heaps be shared by all threads; nothing without glibc.

    By default glibc gives each thread a heap of its own, up to eight a core, and stations that come and go leave holes
    in all of them. What is large it asks the system for, each time anew: what the convolutions of a batch take would
    cost a fifth of the daemon's time in page faults. So all of that comes from the heaps, and a ring, which lives as
    long as a connection, has pages of its own.
    """
    if (mallopt := _of_glibc("mallopt")) is not None:
        for name, value in ((M_ARENA_MAX, ARENAS), (M_MMAP_THRESHOLD, LARGE), (M_TRIM_THRESHOLD, SPARE)):
            mallopt(name, value)


class Tidier:
    """Gives the system the free pages that lie between what is in use, now and then; nothing without glibc.

    By itself glibc gives back only the end of a heap. After an hour of stations that came and went all the time a
    quarter of a daemon's memory was such pages, and ever more were.
    """

    def __init__(self) -> None:
        self._trim = _of_glibc("malloc_trim")
        self._due_s = time.monotonic() + FIRST_S

    def look(self) -> None:
        """Tidy if it is time."""
        if self._trim is not None and time.monotonic() >= self._due_s:
            self._trim(0)
            self._due_s = time.monotonic() + TIDY_S


def _of_glibc(name: str) -> Callable[..., object] | None:
    return getattr(ctypes.CDLL(None), name, None) if sys.platform == "linux" else None  # musl has none
