"""What the dashboard costs, measured on real terminals. ``make dashboard-cost`` runs this.

It is the CPU time of the daemon's main thread, which does nothing but draw and wait, while a station is answered.
"""

from __future__ import annotations

import json
import os
import platform
import sys
import time
from pathlib import Path
from typing import Any

from screens import Terminal, genred_command, terminals

SIZES = [(80, 24), (160, 50)]  # columns, rows
ENDPOINT = "tcp://127.0.0.1:5558"  # not the default one: a daemon may be running
MEASURED_S = 60.0
FIRST_ANSWER_S = 60.0  # the first window takes 23 s of audio


def cost_percent(one: Terminal, seconds: float) -> float:
    """CPU of the main thread of the program in `one` over the next `seconds`, in per cent of one core."""
    spent = Path(f"/proc/{one.process.pid}/task/{one.process.pid}/schedstat")  # nanoseconds on a core come first

    def spent_s() -> float:
        return int(spent.read_text().split()[0]) / 1e9

    before_s, began_s = spent_s(), time.monotonic()
    one.wait_for(lambda: time.monotonic() - began_s >= seconds, timeout_s=2 * seconds)
    return 100 * (spent_s() - before_s) / (time.monotonic() - began_s)


def measure(size: tuple[int, int]) -> dict[str, Any]:
    """Run ``genred run demo:`` in a terminal of `size`, and measure from its first answer on."""
    with terminals() as open_one:
        one = open_one(*genred_command("run", "demo:", "--bind", ENDPOINT), size=size)
        one.wait_for(lambda: "then " in one.text, FIRST_ANSWER_S)
        return {"terminal": "{}x{}".format(*size), "percent_of_a_core": round(cost_percent(one, MEASURED_S), 2)}


def machine() -> dict[str, Any]:
    """Where it was measured."""
    names = [line.partition(": ")[2] for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line]
    return {
        "processor": names[0] if names else platform.machine(),
        "cores": os.cpu_count(),
        "load_average": round(os.getloadavg()[0], 1),
        "python": platform.python_version(),
    }


def main(path: Path) -> None:
    """Write what it costs at each size."""
    record = {
        "written_by": "make dashboard-cost",
        "command": "genred run demo:",
        "what": "CPU time of the main thread, which draws the dashboard, in per cent of one core",
        "seconds": MEASURED_S,
        "date": time.strftime("%Y-%m-%d"),
        "machine": machine(),
        "costs": [measure(size) for size in SIZES],
    }
    path.write_text(json.dumps(record, indent=2) + "\n")
    print(*(f"{one['terminal']}: {one['percent_of_a_core']} % of a core" for one in record["costs"]), sep="\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
