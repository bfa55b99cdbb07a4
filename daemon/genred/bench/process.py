"""Processes: a daemon as a user starts it, which of its answers count, and what the system says it costs."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeGuard

from ..messages import Estimate, Message

TICKS = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")
END_S = 10.0  # a daemon that has not ended by then is killed


class Spent:
    """CPU seconds and memory of process `pid` and those it has started, as the system counts them."""

    def __init__(self, pid: int) -> None:
        started = " ".join(path.read_text() for path in Path(f"/proc/{pid}/task").glob("*/children"))
        self._processes = [Path(f"/proc/{number}") for number in (pid, *map(int, started.split()))]
        self._began_s, self._before_s = time.monotonic(), self._cpu_s()

    def cost(self) -> tuple[float, float]:
        """CPU seconds and seconds since this was made."""
        return self._cpu_s() - self._before_s, time.monotonic() - self._began_s

    def memory_mb(self) -> float:
        """Resident now."""
        return sum(int((process / "statm").read_text().split()[1]) for process in self._processes) * PAGE / 1e6

    def _cpu_s(self) -> float:
        ticks = 0
        for process in self._processes:
            user, system = (process / "stat").read_text().rpartition(")")[2].split()[11:13]
            ticks += int(user) + int(system)
        return ticks / TICKS


def is_whole(message: Message | None, samples: int) -> TypeGuard[Estimate]:
    """Whether `message` is the answer to a window of `samples`; those that grow cost less."""
    return isinstance(message, Estimate) and message.last_sample + 1 - message.first_sample == samples


@contextmanager
def daemon(
    arguments: Sequence[str], cores: set[int], endpoint: str, environment: Mapping[str, str] | None = None
) -> Iterator[int]:
    """Run ``genred run`` on `cores`, with `environment` added to ours; give its process id."""
    command = [sys.executable, "-m", "genred", "run", "--no-dashboard", "--log-level", "error", "--bind", endpoint]
    with on_cores(cores):
        process = subprocess.Popen(
            [*command, *arguments], stdout=subprocess.DEVNULL, env=os.environ | dict(environment or {})
        )
    try:
        yield process.pid
    finally:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(END_S)
        process.kill()
        process.wait()


@contextmanager
def on_cores(cores: set[int]) -> Iterator[None]:
    """Start processes on `cores` only: a child inherits them from the thread that starts it, with all its threads."""
    ours = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, ours)


def one_thread() -> dict[str, str]:
    """Environment of a process whose libraries are to keep to one thread."""
    return os.environ | dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"), "1")
