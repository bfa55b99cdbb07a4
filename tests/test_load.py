from __future__ import annotations

import mmap
import time

import pytest
from msgspec import UNSET

from genred.load import CALM_S, Load, Overload, memory_bytes

BALLAST = 50_000_000


def test_memory() -> None:
    """Resident memory is that of this process: it grows by what is written to."""
    before = memory_bytes()
    with mmap.mmap(-1, BALLAST) as fresh:  # pages of its own: the heap may have free ones
        fresh.write(b"x" * BALLAST)
        grown = memory_bytes() - before
    assert BALLAST / 2 < grown < 5 * BALLAST


def test_cpu_is_of_the_time_since_last_asked() -> None:
    """A busy stretch shows as about all of a core that this process had, an idle one as nearly nothing."""
    load = Load()
    started_s, busy_s = time.monotonic(), time.process_time()
    while time.process_time() - busy_s < 0.2:
        pass
    share = 100 * 0.2 / (time.monotonic() - started_s)
    assert load.take(0).cpu_percent == pytest.approx(share, rel=0.5)
    time.sleep(0.2)
    assert load.take(0).cpu_percent < 20


def test_uptime_and_subscriptions() -> None:
    """Uptime counts from the start, not from the last time; subscriptions are passed on."""
    load = Load()
    first, second = load.take(3), load.take(4)
    assert 0 <= first.uptime_s <= second.uptime_s < 1
    assert (first.subscriptions, second.subscriptions) == (3, 4)
    assert first.memory_mb > 10


def test_an_overload_is_told_once_and_its_end_too() -> None:
    """It begins with the first window that was late, and is over after a while without one; both are said once."""
    overload = Overload()
    assert overload.look(0, 0.0) == overload.text == ""
    assert "cannot keep up" in overload.look(3, 1.0)
    assert "cannot keep up" in overload.text
    assert overload.look(2, 2.0) == overload.look(0, 3.0) == ""
    assert overload.text
    assert overload.look(0, 2.0 + CALM_S - 0.1) == ""
    assert overload.look(0, 2.0 + CALM_S) == "the machine keeps up again; it has skipped 5 windows"
    assert overload.text == overload.look(0, 99.0) == ""
    assert "cannot keep up" in overload.look(1, 100.0)
    assert overload.look(0, 200.0).endswith("it has skipped 1 window")


def test_an_overload_is_in_the_status() -> None:
    """While it lasts; else nothing is said of it."""
    assert Load().take(0, overloaded=True).overloaded is True
    assert Load().take(0).overloaded is UNSET
