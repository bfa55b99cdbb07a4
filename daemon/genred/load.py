"""What the daemon itself costs."""

from __future__ import annotations

import resource
import time
from pathlib import Path

from .messages import Process

_STATM = Path("/proc/self/statm")


class Load:
    """CPU, memory and uptime of this process."""

    def __init__(self) -> None:
        self._started_s = self._taken_s = time.monotonic()
        self._cpu_s = time.process_time()

    def take(self, subscriptions: int) -> Process:
        """Load since this was last called."""
        now_s, cpu_s = time.monotonic(), time.process_time()
        elapsed_s = max(now_s - self._taken_s, 1e-3)
        percent = 100.0 * (cpu_s - self._cpu_s) / elapsed_s
        self._taken_s, self._cpu_s = now_s, cpu_s
        return Process(
            uptime_s=round(now_s - self._started_s, 3),
            cpu_percent=round(percent, 1),
            memory_mb=round(memory_bytes() / 1e6, 1),
            subscriptions=subscriptions,
        )


def memory_bytes() -> int:
    """Resident memory now; where the system does not tell, its greatest so far."""
    try:
        return int(_STATM.read_text().split()[1]) * resource.getpagesize()
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
