"""What the daemon itself costs, and whether the machine can pay for it."""

from __future__ import annotations

import resource
import time
from pathlib import Path

from msgspec import UNSET

from .messages import Process, counted

_STATM = Path("/proc/self/statm")
CALM_S = 10.0  # without a window that was skipped, until the machine keeps up again


class Load:
    """CPU, memory and uptime of this process."""

    def __init__(self) -> None:
        self._started_s = self._taken_s = time.monotonic()
        self._cpu_s = time.process_time()

    def take(self, subscriptions: int, *, overloaded: bool = False) -> Process:
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
            overloaded=overloaded or UNSET,
        )


class Overload:
    """Whether windows are skipped because the machine cannot keep up.

    Attributes
    ----------
    text : str
        What is wrong, for people; empty while nothing is.
    """

    def __init__(self) -> None:
        self.text = ""
        self._late = 0  # windows since it began
        self._newest_s = 0.0

    def look(self, late: int, now_s: float) -> str:
        """Take how many windows were skipped since the last look for being late; say what is news, or nothing."""
        self._late += late
        if late:
            self._newest_s = now_s
        if late and not self.text:
            self.text = "the machine cannot keep up and skips windows; give it fewer stations or a longer --hop"
            return self.text
        if self.text and now_s - self._newest_s >= CALM_S:
            self.text, skipped = "", self._late
            self._late = 0
            return f"the machine keeps up again; it has skipped {counted(skipped, 'window')}"
        return ""


def memory_bytes() -> int:
    """Resident memory now; where the system does not tell, its greatest so far."""
    try:
        return int(_STATM.read_text().split()[1]) * resource.getpagesize()
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
