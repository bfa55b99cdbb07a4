"""RingBuffer: samples from the one thread that hears them to the one that judges them.

Two threads, no lock:

* the **writer** (a driver's callback, or a reader thread) owns `_claimed` and `written`. A driver may not wait for the
  reader, so `write` overwrites what is oldest; a writer that can wait asks `free` first.
* the **reader** (the worker) owns `read_position`. It copies first and then looks at `_claimed` again: what the writer
  may have touched during the copy is thrown away and counted, never returned.

Both only ever read the other's numbers. The interpreter makes storing an integer atomic and keeps the order of the
stores: `_claimed` is raised before a sample is touched, `written` after the last one is in place.
"""

from __future__ import annotations

import mmap
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Block = NDArray[np.float32]  # [N, channels]


@dataclass(frozen=True)
class Read:
    """What one read found: `overwritten` samples that were lost before `block` [N, channels]."""

    overwritten: int
    block: Block


class RingBuffer:
    """The last `capacity` samples of `channels` channels; positions count from the first sample ever written.

    Parameters
    ----------
    capacity : int
        Samples a channel.
    channels : int
        Columns of a block.
    """

    def __init__(self, capacity: int, channels: int = 1) -> None:
        self.capacity, self.channels = capacity, channels
        self.written = 0
        self.read_position = 0
        self._claimed = 0
        self._samples = _pages(channels, capacity)  # one channel after the other: all work on one

    @property
    def waiting(self) -> int:
        """Samples written and not yet read, those already overwritten included."""
        return self.written - self.read_position

    @property
    def oldest(self) -> int:
        """Position of the oldest sample that is still there."""
        return max(self._claimed - self.capacity, 0)

    @property
    def free(self) -> int:
        """Samples that can be written without overwriting any; for the writer."""
        return self.capacity - self.waiting

    def write(self, block: Block) -> None:
        """Append `block` [N, channels]; N at most the capacity. Never waits."""
        position, n = self.written, len(block)
        self._claimed = position + n
        start = position % self.capacity
        first = min(n, self.capacity - start)
        self._samples[:, start : start + first] = block[:first].T
        self._samples[:, : n - first] = block[first:].T
        self.written = position + n

    def read(self, until: int) -> Read:
        """Take the samples up to position `until`, at most what is written. Never waits."""
        until = min(until, self.written)
        begin = min(max(self.read_position, self.oldest), until)
        block = self._copy(begin, until)
        torn = min(max(self.oldest - begin, 0), len(block))
        overwritten = begin + torn - self.read_position
        self.read_position = until
        return Read(overwritten, block[torn:])

    def _copy(self, begin: int, until: int) -> Block:
        start, n = begin % self.capacity, until - begin
        first = min(n, self.capacity - start)
        return np.concatenate([self._samples[:, start : start + first], self._samples[:, : n - first]], axis=1).T


def _pages(channels: int, capacity: int) -> NDArray[np.float32]:
    """Zeros [C, capacity] in pages of their own: given back as soon as the ring goes, whatever lies around them."""
    pages = mmap.mmap(-1, 4 * channels * capacity, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    return np.frombuffer(pages, np.float32).reshape(channels, capacity)
