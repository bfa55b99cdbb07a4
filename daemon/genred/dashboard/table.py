"""Table of several stations, a line each. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from rich.text import Text

from ..snapshot import Snapshot, StationView
from .gauges import WARNING, Room, fit, letters_of, strip
from .single import answer, is_heard, level, state_of
from .view import View, lost_s, ordered

HEADINGS = 1  # row
STATE, ANSWER, LEVEL, LOST, SKIPPED, LATENCY = 13, 15, 8, 9, 9, 9
MOST_NAME = 24


@dataclass(frozen=True)
class Columns:
    """Widths; `skipped` and `latency` are 0 where there is no room for them."""

    number: int
    name: int
    skipped: int
    latency: int
    past: int


def table(snapshot: Snapshot, view: View, room: Room, page: int) -> list[Text]:
    """Lines that show `page` stations of `snapshot`, and their headings."""
    stations = ordered(snapshot.stations, view.order)
    columns = _columns(stations, room.width)
    letters = None if room.coloured else letters_of(snapshot.hello.labels if snapshot.hello else ())
    top = min(view.top, max(len(stations) - page, 0))
    seen = list(enumerate(stations, start=1))[top : top + page]
    selected = view.selected or str(stations[0].status.station)
    rows = [_row(number, one, columns, letters, at_cursor=one.status.station == selected) for number, one in seen]
    return [_headings(columns, view.order), *rows]


def _columns(stations: list[StationView], width: int) -> Columns:
    number = len(str(len(stations))) + 2
    name = min(max(len(str(view.status.station)) for view in stations) + 1, MOST_NAME, max(width // 5, 8))
    name = max(name, 5)
    left = width - number - name - STATE - ANSWER - LEVEL - LOST
    skipped = SKIPPED if left > 50 else 0
    latency = LATENCY if left > 60 else 0
    return Columns(number, name, skipped, latency, max(left - skipped - latency, 0))


def _headings(columns: Columns, order: str) -> Text:
    widths = {
        "": columns.number,
        "name": columns.name,
        "state": STATE,
        "genre": ANSWER,
        "level": LEVEL,
        "lost": LOST,
        "skipped": columns.skipped,
        "latency": columns.latency,
        "past": columns.past,
    }
    line = Text()
    for heading, width in widths.items():
        shown = f"{heading} ↓" if heading == order else heading
        line.append(fit(shown, width), "bold underline" if heading == order else "underline")
    return line


def _row(number: int, view: StationView, columns: Columns, letters: dict[str, str] | None, *, at_cursor: bool) -> Text:
    status, lost = view.status, lost_s(view)
    word, style = answer(view)
    state = state_of(view)
    state.truncate(STATE - 1)
    state.pad_right(STATE - state.cell_len)
    name = fit(str(status.station), columns.name - 1) + " "
    line = Text(no_wrap=True)
    line.append(f"{'›' if at_cursor else ' '}{number:>{columns.number - 2}} ", "bold" if at_cursor else "dim")
    line.append(name, "bold reverse" if at_cursor else "bold").append_text(state)
    line.append(fit(word, ANSWER), style)
    line.append_text(level(view, LEVEL - 2)).append("  ")
    line.append(fit(f"{lost:.1f} s", LOST), WARNING if lost else "dim")
    line.append(fit(str(status.total.skipped), columns.skipped), WARNING if status.total.skipped else "dim")
    line.append(fit(_latency(view), columns.latency), "dim")
    for cells in strip(view.past, columns.past, 1, letters):
        line.append_text(cells)
    return line


def _latency(view: StationView) -> str:
    heard = view.estimate if is_heard(view) else None
    return f"{heard.latency_ms:.0f} ms" if heard and heard.latency_ms else ""
