from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from genred.ring import Block, RingBuffer

CAPACITY = 64
SPLIT = 1 << 20  # positions are written in two columns, exact in float32


def block_at(position: int, n: int) -> Block:
    """Samples that say where they are."""
    positions = np.arange(position, position + n)
    return np.stack([positions % SPLIT, positions // SPLIT], axis=1).astype(np.float32)


def positions_in(block: Block) -> list[int]:
    return (block[:, 0].astype(np.int64) + block[:, 1].astype(np.int64) * SPLIT).tolist()


def test_empty() -> None:
    """Before anything is written there is nothing to read, whatever is asked for."""
    ring = RingBuffer(CAPACITY, channels=3)
    assert (ring.waiting, ring.free) == (0, CAPACITY)
    read = ring.read(1000)
    assert (read.overwritten, read.block.shape) == (0, (0, 3))


steps = st.lists(
    st.tuples(st.sampled_from(["write", "read"]), st.integers(0, CAPACITY), st.integers(0, 3 * CAPACITY)), max_size=60
)


@given(steps)
def test_every_sample_is_read_once_or_overwritten(plan: list[tuple[str, int, int]]) -> None:
    """Like a list of all that was written: a read gives what comes next, less what is over a capacity old."""
    ring = RingBuffer(CAPACITY, channels=2)
    written = taken = 0
    for what, n, ahead in plan:
        if what == "write":
            ring.write(block_at(written, n))
            written += n
        else:
            until = min(taken + ahead, written)
            oldest = min(max(taken, written - CAPACITY), until)
            read = ring.read(taken + ahead)
            assert read.overwritten == oldest - taken
            assert positions_in(read.block) == list(range(oldest, until))
            taken = until
        assert (ring.written, ring.read_position) == (written, taken)
        assert ring.waiting == written - taken
        assert ring.free == CAPACITY - written + taken


@given(st.lists(st.integers(1, CAPACITY), min_size=1, max_size=40), st.integers(0, CAPACITY))
def test_a_writer_that_looks_at_free_overwrites_nothing(blocks: list[int], read_size: int) -> None:
    """Whoever writes no more than `free` loses nothing, however little is read in between."""
    ring = RingBuffer(CAPACITY, channels=2)
    heard: list[int] = []
    for n in blocks:
        ring.write(block_at(ring.written, min(n, ring.free)))
        read = ring.read(ring.read_position + read_size)
        assert read.overwritten == 0
        heard += positions_in(read.block)
    assert heard == list(range(ring.read_position))


class Interrupted(RingBuffer):
    """A reader whose copying is interrupted by a writer: before it, in its middle, or after it."""

    def __init__(self, when: str, n: int) -> None:
        super().__init__(CAPACITY, channels=2)
        self.when, self.n = when, n

    def _interrupt(self, when: str) -> None:
        if when == self.when:
            self.write(block_at(self.written, self.n))

    def _copy(self, begin: int, until: int) -> Block:
        self._interrupt("before")
        middle = (begin + until) // 2
        first = super()._copy(begin, middle)
        self._interrupt("in the middle")
        block = np.concatenate([first, super()._copy(middle, until)])
        self._interrupt("after")
        return block


@pytest.mark.parametrize("n", [1, 20, CAPACITY])
@pytest.mark.parametrize("when", ["before", "in the middle", "after"])
@pytest.mark.parametrize("begun", [CAPACITY, CAPACITY + 30])
def test_a_torn_read_is_never_accepted(begun: int, when: str, n: int) -> None:
    """What a writer may have touched while it was copied is not returned, but counted as overwritten."""
    ring = Interrupted(when, n)
    for position in range(0, begun, 2):
        ring.write(block_at(position, 2))
    read = ring.read(begun)
    assert positions_in(read.block) == list(range(read.overwritten, begun))
    assert read.overwritten == begun - CAPACITY + n
    assert ring.read_position == begun


def test_claim_before_touching() -> None:
    """A writer that is interrupted within a write has already said which samples it will touch."""
    ring = RingBuffer(CAPACITY)
    ring.write(np.zeros((CAPACITY, 1), np.float32))
    ring._claimed += 10  # as far as a write of 10 gets before the first sample is in place
    read = ring.read(CAPACITY)
    assert (read.overwritten, len(read.block)) == (10, CAPACITY - 10)


@pytest.fixture
def many_switches() -> Iterator[None]:
    """The interpreter changes threads as often as it can."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@contextmanager
def writing(write: Callable[[], None]) -> Iterator[None]:
    """Call `write` over and over in another thread."""
    stop = threading.Event()

    def run() -> None:
        while not stop.is_set():
            write()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


@pytest.mark.usefixtures("many_switches")
def test_two_threads() -> None:
    """A writer at full speed over a slow reader: every sample returned is the one of its position, none is uncounted.

    Blocks are long enough for numpy to let the other thread run in the middle of a copy.
    """
    ring = RingBuffer(50_000, channels=2)
    of_writer, rng = np.random.default_rng(0), np.random.default_rng(1)
    returned = overwritten = 0
    with writing(lambda: ring.write(block_at(ring.written, int(of_writer.integers(1, 5000))))):
        deadline = time.monotonic() + 1.0
        while time.monotonic() < deadline or not returned > ring.capacity < overwritten:
            lag = ring.capacity if rng.random() < 0.7 else 0  # as often at the edge of being overrun as up to date
            read = ring.read(max(ring.written - lag + int(rng.integers(0, 20_000)), ring.read_position))
            overwritten += read.overwritten
            assert np.array_equal(read.block, block_at(returned + overwritten, len(read.block)))
            returned += len(read.block)
    last = ring.read(ring.written)
    assert returned + overwritten + last.overwritten + len(last.block) == ring.written


@pytest.mark.usefixtures("many_switches")
def test_two_threads_that_wait() -> None:
    """A writer that waits while the ring is full loses nothing to a reader of any speed."""
    ring = RingBuffer(1000, channels=2)
    with writing(lambda: ring.write(block_at(ring.written, min(ring.free, 700)))):
        while (at := ring.read_position) < 100_000:
            read = ring.read(at + 333)
            assert read.overwritten == 0
            assert np.array_equal(read.block, block_at(at, len(read.block)))
