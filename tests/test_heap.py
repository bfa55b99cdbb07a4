"""Few heaps for many threads, and what is large is given back."""

from __future__ import annotations

import subprocess
import sys

import pytest

PROGRAM = """
import ctypes, sys, threading
from pathlib import Path
from genred import heap

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
bytearray(40_000_000)  # freed at once; by default glibc now takes this for the size of what comes and goes
before_mb = resident_mb()
rings = [bytearray(b"x" * 3_000_000) for _ in range(40)]
last = bytearray(5000)
del rings
print(resident_mb() - before_mb, flush=True)
libc = ctypes.CDLL(None)
libc.malloc_info(0, ctypes.c_void_p.in_dll(libc, "stdout"))
libc.fflush(None)
"""


def outcome(how: str) -> tuple[float, int]:
    """Megabytes that stay, and heaps that there are, after threads and large blocks have come and gone."""
    run = subprocess.run([sys.executable, "-c", PROGRAM, how], capture_output=True, text=True, check=True, timeout=60)
    first, _, info = run.stdout.partition("\n")
    return float(first), info.count("<heap nr=")


@pytest.mark.skipif(sys.platform != "linux", reason="glibc only")
def test_what_is_freed_is_given_back() -> None:
    """Sixteen threads share two heaps; without it they have more."""
    stays_mb, heaps = outcome("settled")
    assert heaps <= 2
    assert stays_mb < 20
    assert outcome("as it was")[1] > 2
