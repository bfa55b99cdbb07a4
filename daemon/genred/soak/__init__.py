"""Soak: hours of audio at many times real time, over dozens of stations, with faults by a seeded plan.

::

    server (a process): radio stations --HTTP--> genred run (a process) --ZeroMQ--> Ledger, in this process
       ^ orders                                    ^ SIGHUP, SIGSTOP      +-------> readers, guests, strangers
       +---------------- plan of faults -----------+

A Sampler looks at the daemon's process; the Report is written every few minutes, and at the end.
"""

from __future__ import annotations

import socket
import tempfile
import threading
from contextlib import ExitStack
from pathlib import Path

from ..bench.report import machine
from ..signals import asked_to_end
from .forms import write_forms
from .radio import Radio
from .report import Report
from .run import Run, Settings
from .subject import SPARE, Subject


def soak(settings: Settings) -> Report:
    """Run, and write the report; SIGINT and SIGTERM end it early.

    Raises
    ------
    GenredError
        If it cannot be run at all.
    """
    where, stop = machine(), threading.Event()
    with ExitStack() as stack:
        stack.enter_context(asked_to_end(stop, threading.Event()))
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="genred-soak-")))
        write_forms(folder)
        radio = stack.enter_context(Radio(folder, settings.times))
        tune = folder / "wav-22050"
        others = {"demo": "demo:", "paced": f"file:{tune}?loop=1&pace=realtime"}
        names = [f"radio{n}" for n in range(settings.stations - len(others) + SPARE)]
        stations = {name: radio.uri(name) for name in names}
        subject = stack.enter_context(Subject(folder, settings.model, _free_endpoint(), stations, others))
        return Run(settings, where, stop, radio, subject, names, f"file:{tune}?loop=1").go()


def _free_endpoint() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"tcp://127.0.0.1:{probe.getsockname()[1]}"


__all__ = ["Report", "Settings", "soak"]
