"""Few heaps for many threads, and rings that are given back."""

from __future__ import annotations

import subprocess
import sys

import pytest

PROGRAM = """
import ctypes, sys, threading
from pathlib import Path
import numpy as np
from genred import heap
from genred.ring import RingBuffer

def resident_mb():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 1e6

if sys.argv[1] == "settled":
    heap.settle()
together = threading.Barrier(16)

def work():
    kept = [bytearray(5000) for _ in range(10)]
    together.wait()

threads = [threading.Thread(target=work) for _ in range(16)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
before_mb = resident_mb()
rings, between = [], []
for _ in range(40):
    rings.append(RingBuffer(441_000, 2))
    rings[-1].write(np.ones((441_000, 2), np.float32))
    between.append(bytearray(50_000))
print(resident_mb() - before_mb, flush=True)
del rings
print(resident_mb() - before_mb, flush=True)
libc = ctypes.CDLL(None)
libc.malloc_info(0, ctypes.c_void_p.in_dll(libc, "stdout"))
libc.fflush(None)
"""


def outcome(how: str) -> tuple[float, float, int]:
    """Megabytes with forty rings, and once they have gone; heaps that sixteen threads have left."""
    run = subprocess.run([sys.executable, "-c", PROGRAM, how], capture_output=True, text=True, check=True, timeout=60)
    filled, stays, info = run.stdout.split("\n", 2)
    return float(filled), float(stays), info.count("<heap nr=")


@pytest.mark.skipif(sys.platform != "linux", reason="glibc only")
def test_what_is_freed_is_given_back() -> None:
    """Sixteen threads share two heaps, without it they have more; rings leave nothing, whatever lies between them."""
    filled_mb, stays_mb, heaps = outcome("settled")
    assert heaps <= 2
    assert filled_mb > 40 * 3.5
    assert stays_mb < 20
    assert outcome("as it was")[2] > 2


HOLES = """
from pathlib import Path
from genred import heap

def resident_mb():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 1e6

heap.settle()
heap.FIRST_S = 0.0
blocks = [bytearray(b"x" * 100_000) for _ in range(1000)]
del blocks[:-1:2]
full_mb = resident_mb()
heap.Tidier().look()
print(full_mb - resident_mb())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="glibc only")
def test_holes_are_given_back() -> None:
    """Of a thousand blocks half have gone, between those that stay; glibc keeps their pages until it is told."""
    run = subprocess.run([sys.executable, "-c", HOLES], capture_output=True, text=True, check=True, timeout=60)
    assert float(run.stdout) > 40
