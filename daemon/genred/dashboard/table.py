"""Table of several stations, a line each. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from rich.text import Text

from ..snapshot import Snapshot, StationView
from .gauges import WARNING, Room, columns, fit, letters_of, span, strip
from .single import answer, is_heard, level, state_of
from .view import View, lost_s, ordered

HEADINGS = 1  # row
STATE, ANSWER, LEVEL, LOST, SKIPPED, LATENCY = 13, 15, 8, 9, 9, 9
BRIEF_STATE = 10  # where there is little room: a longer one is cut off
MOST_NAME = 24
WIDE = 96  # columns from which on there is more than little room


@dataclass(frozen=True)
class Widths:
    """Columns of each part of a line; `skipped` and `latency` are 0 where there is no room for them."""

    number: int
    name: int
    state: int
    skipped: int
    latency: int
    past: int


def table(snapshot: Snapshot, view: View, room: Room, page: int) -> list[Text]:
    """Lines that show `page` stations of `snapshot`, and their headings."""
    stations = ordered(snapshot.stations, view.order)
    widths = _widths(stations, room.width)
    letters = None if room.coloured else letters_of(snapshot.hello.labels if snapshot.hello else ())
    top = min(view.top, max(len(stations) - page, 0))
    seen = list(enumerate(stations, start=1))[top : top + page]
    selected = view.selected or str(stations[0].status.station)
    rows = [_row(number, one, widths, letters, at_cursor=one.status.station == selected) for number, one in seen]
    return [_headings(widths, view.order), *rows]


def _widths(stations: list[StationView], width: int) -> Widths:
    number = len(str(len(stations))) + 2
    state = STATE if width >= WIDE else BRIEF_STATE
    name = min(max(len(str(view.status.station)) for view in stations) + 1, MOST_NAME, max(width // 5, 8))
    name = max(name, 5)
    left = width - number - name - state - ANSWER - LEVEL - LOST
    skipped = SKIPPED if left > 50 else 0
    latency = LATENCY if left > 60 else 0
    return Widths(number, name, state, skipped, latency, max(left - skipped - latency, 0))


def _headings(widths: Widths, order: str) -> Text:
    shown = {
        "": widths.number,
        "name": widths.name,
        "state": widths.state,
        "genre": ANSWER,
        "level": LEVEL,
        "lost": LOST,
        "skipped": widths.skipped,
        "latency": widths.latency,
        f"last {span(widths.past, widths.past)}": widths.past,
    }
    line = Text()
    for heading, columns_ in shown.items():
        by = heading == order
        line.append(fit(f"{heading} ↓" if by else heading, columns_), "bold underline" if by else "dim underline")
    return line


def _row(number: int, view: StationView, widths: Widths, letters: dict[str, str] | None, *, at_cursor: bool) -> Text:
    status, lost = view.status, lost_s(view)
    word, style = answer(view)
    state = state_of(view)
    state.truncate(widths.state - 1, overflow="ellipsis")
    state.pad_right(widths.state - state.cell_len)
    line = Text(no_wrap=True)
    line.append(f"{'›' if at_cursor else ' '}{number:>{widths.number - 2}} ", "bold" if at_cursor else "dim")
    line.append(fit(str(status.station), widths.name - 1), "bold" if at_cursor else "").append(" ").append_text(state)
    line.append(fit(word, ANSWER), style)
    line.append_text(level(view, LEVEL - 2)).append("  ")
    line.append(fit(f"{lost:.1f} s", LOST), WARNING if lost else "dim")
    line.append(fit(str(status.total.skipped), widths.skipped), WARNING if status.total.skipped else "dim")
    line.append(fit(_latency(view), widths.latency), "dim")
    for cells in strip(columns(view.past, view.slot, widths.past), widths.past, 1, letters):
        line.append_text(cells)
    return line


def _latency(view: StationView) -> str:
    heard = view.estimate if is_heard(view) else None
    return f"{heard.latency_ms:.0f} ms" if heard and heard.latency_ms else ""
