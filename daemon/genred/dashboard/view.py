"""View: how someone looks at a snapshot, and what the keys do to it. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from msgspec import UNSET

from ..snapshot import StationView

STATES = ("lost", "stalled", "connecting", "silent", "running", "ended")  # the worst first


def _label(view: StationView) -> tuple[str, float]:
    estimate = view.estimate
    if estimate is None or estimate.label is UNSET or estimate.confidence is UNSET:
        return "\N{REPLACEMENT CHARACTER}", 0.0  # behind all letters
    return estimate.label, -estimate.confidence


def lost_s(view: StationView) -> float:
    """Seconds of audio that a station has lost since the daemon's start."""
    total, rate_hz = view.status.total, view.status.rate_hz
    return (total.lost + total.overwritten) / (rate_hz if rate_hz is not UNSET and rate_hz > 0 else 44100)


ORDERS: dict[str, Callable[[StationView], object]] = {
    "name": lambda view: str(view.status.station),
    "state": lambda view: STATES.index(view.status.state),
    "genre": _label,
    "level": lambda view: -view.status.level_dbfs,
    "lost": lambda view: -lost_s(view),
}


@dataclass(frozen=True)
class View:
    """How it is looked at.

    Attributes
    ----------
    order : str
        What the stations are sorted by: a key of ORDERS.
    selected, opened : str
        Names of stations: the one the cursor is on, the one that is shown alone; empty for none.
    top : int
        The first line of the table that is seen.
    typed : str
        Digits of a station's number, as long as more may follow.
    """

    order: str = "name"
    selected: str = ""
    opened: str = ""
    top: int = 0
    typed: str = ""
    paused: bool = False


def ordered(stations: Sequence[StationView], order: str) -> list[StationView]:
    """Stations as they are sorted; those that are equal by name."""
    return sorted(stations, key=lambda view: (ORDERS[order](view), str(view.status.station)))


def press(view: View, key: str, names: Sequence[str], page: int) -> View:
    """View after `key`, over stations `names` in their order, of which `page` are seen at once."""
    if key == "p":
        return replace(view, paused=not view.paused)
    if key == "escape":
        return replace(view, opened="", typed="")
    if key == "s":
        orders = list(ORDERS)
        return replace(view, order=orders[(orders.index(view.order) + 1) % len(orders)])
    if not names:
        return view
    at = names.index(view.selected) if view.selected in names else 0
    if key == "enter":
        return replace(view, selected=names[at], opened=names[at], typed="")
    if key.isdecimal():
        return _type(view, view.typed + key, names, page)
    steps = {"up": -1, "k": -1, "down": 1, "j": 1, "page-up": -page, "page-down": page, "home": -at, "end": len(names)}
    if key not in steps:
        return view
    return _select(view, at + steps[key], names, page)


def _type(view: View, typed: str, names: Sequence[str], page: int) -> View:
    """Go to the station of that number; open it if no longer number can be meant."""
    if not 0 < int(typed) <= len(names):
        return replace(view, typed="")
    there = replace(_select(view, int(typed) - 1, names, page), typed=typed)
    return there if int(typed) * 10 <= len(names) else replace(there, opened=there.selected, typed="")


def _select(view: View, at: int, names: Sequence[str], page: int) -> View:
    """Put the cursor on a station, and scroll so far that it is seen; a single view goes along."""
    at = min(max(at, 0), len(names) - 1)
    top = min(max(view.top, at - page + 1), at)
    return replace(view, selected=names[at], opened=names[at] if view.opened else "", top=top, typed="")
