"""Heap: how the C library keeps memory, for a process of many threads that runs for months."""

from __future__ import annotations

import ctypes
import sys

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_ARENA_MAX = -1, -3, -8  # names and numbers of glibc's malloc.h
ARENAS = 2
LARGE = 1 << 20  # bytes: a station's ring and caches are above it, what a batch needs for a moment is below
SPARE = 8 << 20  # bytes kept at the end of the heap


def settle() -> None:
    """Let few heaps be shared by all threads, and give back at once what is large; nothing without glibc.

    By default glibc gives each thread a heap of its own, up to eight a core, and keeps in them what was freed once,
    however large: stations that come and go then leave holes of their size everywhere. A daemon of 24 stations that
    were reconnected all the time was twice as large after two minutes.
    """
    if sys.platform != "linux":
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # other C libraries have none
    if mallopt is not None:
        for name, value in ((M_ARENA_MAX, ARENAS), (M_MMAP_THRESHOLD, LARGE), (M_TRIM_THRESHOLD, SPARE)):
            mallopt(name, value)
