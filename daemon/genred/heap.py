"""Heap: how the C library keeps memory, for a process of many threads that runs for months."""

from __future__ import annotations

import ctypes
import sys

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_ARENA_MAX = -1, -3, -8  # names and numbers of glibc's malloc.h
ARENAS = 2
LARGE = 32 << 20  # bytes, the most that glibc takes: what a batch needs for a moment is below it
SPARE = 8 << 20  # bytes kept at the end of a heap


def settle() -> None:
    """Let few heaps be shared by all threads; nothing without glibc.

    By default glibc gives each thread a heap of its own, up to eight a core, and stations that come and go leave holes
    in all of them. What is large it asks the system for, each time anew: what the convolutions of a batch take would
    cost a fifth of the daemon's time in page faults. So all of that comes from the heaps, and a ring, which lives as
    long as a connection, has pages of its own.
    """
    if sys.platform != "linux":
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # other C libraries have none
    if mallopt is not None:
        for name, value in ((M_ARENA_MAX, ARENAS), (M_MMAP_THRESHOLD, LARGE), (M_TRIM_THRESHOLD, SPARE)):
            mallopt(name, value)
