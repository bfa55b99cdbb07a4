from __future__ import annotations

import time

import pytest

from genred import reports
from genred.clock import UtcClock
from genred.errors import RequiredSourceError
from genred.messages import State
from genred.service import _check_required
from genred.snapshot import Snapshot, StationView
from rig import PROCESS, Rig

REQUIRE_S = 30.0


def seen(state: State) -> Snapshot:
    """A station ``s`` in that state."""
    rig = Rig()
    rig.station.state = state
    return Snapshot(None, "", (StationView(reports.status(rig.station, None, PROCESS, UtcClock()), None),))


@pytest.mark.parametrize("state", ["connecting", "lost", "stalled"])
def test_a_required_station_may_be_absent_for_so_long(state: State) -> None:
    """From when it is first missed; the sentence names the station and says how it is."""
    absent: dict[str, float] = {}
    _check_required(seen(state), absent, REQUIRE_S, {"s"})
    absent["s"] -= REQUIRE_S - 5
    _check_required(seen(state), absent, REQUIRE_S, {"s"})
    absent["s"] -= 5
    with pytest.raises(RequiredSourceError, match=f"station s is {state} for 30 s"):
        _check_required(seen(state), absent, REQUIRE_S, {"s"})


@pytest.mark.parametrize("state", ["running", "silent", "ended"])
def test_a_station_that_was_back_may_be_absent_again(state: State) -> None:
    """What was missed before is forgotten: an hour of short losses is no long one."""
    absent = {"s": time.monotonic() - 2 * REQUIRE_S}
    _check_required(seen(state), absent, REQUIRE_S, {"s"})
    _check_required(seen("lost"), absent, REQUIRE_S, {"s"})


def test_a_station_that_is_not_required_may_be_absent_for_ever() -> None:
    """Its absence is not even begun to be counted."""
    absent = {"s": time.monotonic() - 2 * REQUIRE_S}
    _check_required(seen("lost"), absent, REQUIRE_S, set())
    assert absent == {}
