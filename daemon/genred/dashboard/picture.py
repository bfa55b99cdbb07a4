"""Picture of a snapshot: a frame, and in it one station, or a table of several, above the newest log lines. Pure."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from msgspec import UNSET
from rich.cells import cell_len
from rich.console import Console, ConsoleOptions
from rich.segment import Segment
from rich.style import Style
from rich.text import Text

from ..messages import counted, plain
from ..snapshot import Snapshot, StationView
from .gauges import BAD, WARNING, Room, fit
from .logs import LogLine
from .single import answer, single, state_of
from .table import HEADINGS, table
from .view import STATES, View, ordered

FRAME_COLUMNS, FRAME_ROWS = 4, 2
LEAST_LOG_ROWS = 4  # its rule included
DIM = Style(dim=True)
KEYS_OF_ONE = "q quit  p pause"
KEYS_OF_OPENED = "q quit  p pause  ↑↓ others  Esc all"
KEYS_OF_TABLE = "q quit  p pause  s sort  ↑↓ PgUp PgDn move  Enter or number open"


@dataclass(frozen=True)
class Picture:
    """A snapshot, looked at as `view` says; it fills the console it is printed on."""

    snapshot: Snapshot
    view: View
    logs: tuple[LogLine, ...]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Segment]:
        """Yield its rows, as they are: they fit, and need not be wrapped."""
        columns, rows = options.size
        coloured = console.color_system is not None and not console.no_color
        room = Room(max(columns - FRAME_COLUMNS, 1), max(rows - FRAME_ROWS, 1), coloured, not options.ascii_only)
        lines = self._body(room)[: room.height]
        lines += log_rows(self.logs, room.width, room.height - len(lines))
        yield from _edge("╭", self._title(), "╮", columns, at_left=True).render(console, "\n")
        left, right = Segment("│ ", DIM), Segment(" │\n", DIM)
        for line in lines:
            line.truncate(room.width, pad=True)
            yield left
            yield from _segments(line, console)
            yield right
        yield from _edge("╰", Text(self._keys(), "dim"), "╯", columns, at_left=False).render(console)

    def _body(self, room: Room) -> list[Text]:
        snapshot = self.snapshot
        remark = [Text(fit(snapshot.remark, room.width), BAD)] if snapshot.remark else []
        inner = replace(room, height=room.height - len(remark))
        if (alone := self._alone()) is not None:
            return remark + single(snapshot, alone, inner)
        if snapshot.stations:
            return remark + table(snapshot, self.view, inner, page_rows((0, inner.height + 2), len(snapshot.stations)))
        return [Text(), *remark]

    def _alone(self) -> StationView | None:
        """Return the station that is shown alone."""
        stations = self.snapshot.stations
        if len(stations) == 1:
            return stations[0]
        return next((view for view in stations if view.status.station == self.view.opened), None)

    def _title(self) -> Text:
        hello, alone = self.snapshot.hello, self._alone()
        title = Text().append("genred", "bold")
        if hello is not None:
            title.append(f" {plain(hello.daemon)[:20]}", "dim")
        if alone is not None:
            title.append("  ").append(plain(str(alone.status.station))[:64], "bold").append("  ").append(
                state_of(alone)
            )
        elif self.snapshot.stations:
            title.append(f"  {_census(self.snapshot.stations)}")
        if self.view.paused:
            title.append("  ").append(" paused ", "reverse")
        return title

    def _keys(self) -> str:
        if len(self.snapshot.stations) < 2:
            return KEYS_OF_ONE
        if self._alone() is not None:
            return KEYS_OF_OPENED
        typed = f"{self.view.typed}… " if self.view.typed else ""
        return typed + KEYS_OF_TABLE


def render(snapshot: Snapshot, view: View | None = None, logs: Sequence[LogLine] = ()) -> Picture:
    """Picture of `snapshot`, looked at as `view` says, with the newest of `logs`."""
    return Picture(snapshot, view or View(), tuple(logs))


def farewell(snapshot: Snapshot) -> list[str]:
    """Say in a line for each station what it heard last, or why it is not heard: what is left of the picture."""
    stations = ordered(snapshot.stations, "name")
    width = max((cell_len(_name(view)) for view in stations), default=0)
    return [f"{fit(_name(view), width)}  {_last(view)}" for view in stations]


def _last(view: StationView) -> str:
    why = f": {plain(view.status.text)}" if view.status.text is not UNSET else ""
    stale = f" ({view.stale_s:.0f} s ago)" if view.stale_s else ""
    return f"{answer(view)[0]}{why}{stale}"


def _name(view: StationView) -> str:
    return plain(str(view.status.station))


def _segments(line: Text, console: Console) -> Iterable[Segment]:
    """Render `line` without wrapping; Text.render leaves out the style of a text without spans."""
    return line.render(console) if line.spans else [Segment(line.plain, console.get_style(line.style))]


def page_rows(size: tuple[int, int], stations: int) -> int:
    """How many stations the table shows at once on a terminal of `size`, columns and rows."""
    height = size[1] - FRAME_ROWS - HEADINGS
    return max(min(stations, height - LEAST_LOG_ROWS if height > 3 * LEAST_LOG_ROWS else height), 1)


def log_rows(logs: Sequence[LogLine], width: int, rows: int) -> list[Text]:
    """Fill `rows` lines with a rule and the newest of `logs`, the newest below."""
    if rows < 2:
        return [Text()] * rows
    rule = Text.assemble(("─ ", "dim"), ("log ", "dim"), ("─" * (width - 6), "dim"))
    lines = [_log_line(line, width) for line in _newest(logs, rows - 1)]
    return [rule, *lines, *(Text() for _ in range(rows - 1 - len(lines)))]


def _newest(logs: Sequence[LogLine], rows: int) -> Sequence[LogLine]:
    """Lines for so many rows; the newest trouble stays in sight, however much has gone well since."""
    newest = logs[-rows:]
    troubles = [line for line in logs if line.level >= logging.WARNING]
    if rows < 2 or not troubles or any(line.level >= logging.WARNING for line in newest):
        return newest
    return [troubles[-1], *newest[1:]]


def _log_line(line: LogLine, width: int) -> Text:
    style = BAD if line.level >= logging.ERROR else WARNING if line.level >= logging.WARNING else ""
    return Text.assemble((line.time, "dim"), " ", (fit(line.text, width - len(line.time) - 1), style))


def _census(stations: Sequence[StationView]) -> str:
    """How many stations there are, and in which states, the worst first."""
    states = [view.status.state for view in stations]
    counts = [f"{states.count(state)} {state}" for state in STATES if state in states]
    return f"{counted(len(stations), 'station')}: {', '.join(counts)}"


def _edge(left: str, text: Text, right: str, columns: int, *, at_left: bool) -> Text:
    """Upper or lower edge of the frame, with `text` in it."""
    text.truncate(max(columns - 8, 0), overflow="ellipsis")
    text = Text.assemble(" ", text, " ")
    before, after = 2, max(columns - 4 - text.cell_len, 0)
    if not at_left:
        before, after = after, before
    line = Text.assemble((left + "─" * before, "dim"), text, ("─" * after + right, "dim"), no_wrap=True)
    line.truncate(columns)
    return line
