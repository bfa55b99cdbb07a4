"""Gauges: bar, level meter, strip of the past; and the colours. Pure functions from numbers to text."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from rich.cells import cell_len, set_cell_size
from rich.text import Text

from ..messages import State, plain
from ..snapshot import Mark

# Of middling luminance, so that each is seen on a light ground and on a dark one; a test holds them to that.
COLOURS = {
    "blues": "#4478e8",
    "classical": "#0f9c86",
    "country": "#b8692a",
    "disco": "#a060e8",
    "hiphop": "#0e92b8",
    "jazz": "#ac8400",
    "metal": "#6c7a99",
    "pop": "#e0569b",
    "reggae": "#3d9a35",
    "rock": "#e0473c",
}
GOOD, WARNING, BAD = "#3d9a35", "#ac8400", "#e0473c"
STATE_COLOURS: dict[State, str] = {
    "connecting": WARNING,
    "running": GOOD,
    "silent": WARNING,
    "stalled": BAD,
    "lost": BAD,
    "ended": "",
}
LEAST_DBFS = -60.0
LOUD_DBFS, HOT_DBFS = -18.0, -6.0
_PARTS = " ▏▎▍▌▋▊▉█"  # eighths of a cell, from the left
_STEPS = " ▁▂▃▄▅▆▇█"  # from below


@dataclass(frozen=True)
class Room:
    """What there is to draw on: columns, rows, and whether colours can be seen."""

    width: int
    height: int
    coloured: bool


def colour(label: str) -> str:
    """Colour of a genre; one that is not GTZAN's gets one of theirs, always the same."""
    return COLOURS.get(label) or list(COLOURS.values())[zlib.crc32(label.encode(errors="replace")) % len(COLOURS)]


def letters_of(labels: Sequence[str]) -> dict[str, str]:
    """Return a letter for each label, its first that is not taken, for where there are no colours."""
    taken: dict[str, str] = {}
    for label in labels:
        taken[label] = next((letter for letter in label if letter not in taken.values()), label[:1])
    return taken


def fit(text: str, width: int) -> str:
    """`text` from outside, harmless, in exactly `width` cells."""
    text = plain(text)
    if cell_len(text) > width > 0:
        return set_cell_size(text, width - 1) + "…"
    return set_cell_size(text, max(width, 0))


def bar(share: float, width: int, style: str) -> Text:
    """Horizontal bar of `width` cells, `share` of it full."""
    eighths = min(max(round(share * width * 8), 0), width * 8)
    full, part = divmod(eighths, 8)
    ink = "█" * full + (_PARTS[part] if part else "")
    return Text.assemble((ink, style), ("·" * (width - len(ink)), "dim"))


def meter(level_dbfs: float, hold_dbfs: float, width: int) -> Text:
    """Level meter with the held peak as a line; its zones are told apart by colour."""
    cells = round(_position(level_dbfs) * width)
    held = round(_position(hold_dbfs) * width) - 1
    drawn = []
    for at in range(width):
        dbfs = LEAST_DBFS * (1 - (at + 1) / width)
        zone = GOOD if dbfs <= LOUD_DBFS else WARNING if dbfs <= HOT_DBFS else BAD
        drawn.append(("▮", zone) if at < cells else ("┃", f"bold {zone}") if at == held else ("·", "dim"))
    return _line(drawn)


def _position(dbfs: float) -> float:
    """Where on the meter `dbfs` is, 0 to 1."""
    return min(max(1.0 - dbfs / LEAST_DBFS, 0.0), 1.0)


def strip(marks: Sequence[Mark | None], width: int, rows: int, letters: Mapping[str, str] | None) -> list[Text]:
    """Past of a station in `rows` lines: a column a slot, as high as the confidence, the newest at the right.

    With `letters`, for where there are no colours, each column shows the genre's letter instead of its height.
    """
    newest = _newest(marks, width)
    lines = []
    for row in reversed(range(rows)):
        cells = {
            mark: (_letter(mark, letters), "") if letters is not None else (_cell(mark, rows, row), _style(mark))
            for mark in set(newest)
        }
        lines.append(_line(cells[mark] for mark in newest))
    return lines


def names(marks: Sequence[Mark | None], width: int) -> Text:
    """Write under the strip what its colours mean: each run's name, where it fits."""
    text = Text()
    columns_of = [(mark.what if mark else "", _style(mark)) for mark in _newest(marks, width)]
    for (what, style), run in groupby(columns_of):
        columns, word = len(list(run)), plain(what)
        text.append(fit(word if cell_len(word) < columns else "", columns), style)
    return text


def _newest(marks: Sequence[Mark | None], width: int) -> list[Mark | None]:
    newest = list(marks[-width:]) if width > 0 else []
    return [None] * (width - len(newest)) + newest


def _cell(mark: Mark | None, rows: int, row: int) -> str:
    """Return what `mark` shows in `row`, counted from below."""
    if mark is None:
        return " "
    if not mark.share:
        return " " if row else "·"
    eighths = max(round(mark.share * rows * 8), 1) - 8 * row
    return _STEPS[min(max(eighths, 0), 8)]


def _letter(mark: Mark | None, letters: Mapping[str, str]) -> str:
    if mark is None:
        return " "
    return letters.get(mark.what, plain(mark.what[:1])) if mark.share else "·"


def _style(mark: Mark | None) -> str:
    return colour(mark.what) if mark and mark.share else "dim"


def _line(cells: Iterable[tuple[str, str]]) -> Text:
    """Join cells, those of one style at once."""
    text = Text()
    for style, run in groupby(cells, key=lambda cell: cell[1]):
        text.append("".join(cell for cell, _ in run), style)
    return text
