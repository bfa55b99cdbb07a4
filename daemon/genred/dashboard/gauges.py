"""Gauges: bar, level meter, strip of the past; and the colours. Pure functions from numbers to text."""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from math import ceil

from rich.cells import cell_len, set_cell_size
from rich.text import Text

from ..messages import State, plain
from ..snapshot import SLOT_S, Mark

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
LEAST_SLOTS = 60  # of the past, two minutes, are seen where there is any room for it
_PARTS = " ▏▎▍▌▋▊▉█"  # eighths of a cell, from the left
_STEPS = " ▁▂▃▄▅▆▇█"  # from below


@dataclass(frozen=True)
class Room:
    """What there is to draw on: columns, rows, and whether colours and half blocks can be seen."""

    width: int
    height: int
    coloured: bool
    halves: bool = True


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
    """Horizontal bar of `width` cells, `share` of it, 0 to 1, full."""
    eighths = round(share * width * 8)
    full, part = divmod(eighths, 8)
    ink = "█" * full + (_PARTS[part] if part else "")
    return Text.assemble((ink, style), " " * (width - len(ink)))


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


def columns(past: Sequence[Mark | None], slot: int, width: int) -> list[Mark | None]:
    """`past`, whose newest slot is number `slot`, in `width` columns at most, each of `slots_a_column`."""
    slots, first = slots_a_column(width), slot - len(past) + 1
    of_each = groupby(enumerate(past, first), key=lambda numbered: numbered[0] // slots)
    return [_typical([mark for _, mark in column]) for _, column in of_each][-width:] if width > 0 else []


def slots_a_column(width: int) -> int:
    """How many slots of the past are one column, so that `width` columns show enough of it."""
    return ceil(LEAST_SLOTS / width) if width > 0 else 1


def span(columns: int, width: int) -> str:
    """How much of the past so many of `width` columns are."""
    minutes, seconds = divmod(round(columns * slots_a_column(width) * SLOT_S), 60)
    return f"{minutes}:{seconds:02} min"


def _typical(marks: Sequence[Mark | None]) -> Mark | None:
    """One mark for several: what was heard in most of them."""
    heard = [mark for mark in marks if mark is not None]
    if len(heard) < 2:
        return heard[0] if heard else None
    ((what, times),) = Counter(mark.what for mark in heard).most_common(1)
    return Mark(what, sum(mark.share for mark in heard if mark.what == what) / times)


def strip(marks: Sequence[Mark | None], width: int, rows: int, letters: Mapping[str, str] | None) -> list[Text]:
    """Past of a station in `rows` lines: as high as the confidence, the newest at the right, an eighth free above.

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


def names(marks: Sequence[Mark | None], width: int, letters: Mapping[str, str] | None) -> Text:
    """Write under the strip what its colours mean: the name of each run, those of the longest first, where it fits.

    With `letters` a run without a name has its letter under it.
    """
    cells = [(" ", "")] * width
    for start, run in sorted(_runs(_newest(marks, width)), key=lambda numbered: -len(numbered[1])):
        word = plain(run[0].what)
        at = max(min(start + (len(run) - len(word)) // 2, width - len(word)), 0)
        if cell_len(word) == len(word) <= width and _is_free(cells[max(at - 1, 0) : at + len(word) + 1]):
            cells[at : at + len(word)] = [(letter, _style(run[0])) for letter in word]
        elif letters is not None and _is_free(cells[start : start + len(run)]):
            cells[start : start + len(run)] = [(_letter(mark, letters), "dim") for mark in run]
    return _line(cells)


def _is_free(cells: Iterable[tuple[str, str]]) -> bool:
    return all(sign == " " for sign, _ in cells)


def _runs(marks: Sequence[Mark | None]) -> Iterator[tuple[int, list[Mark]]]:
    """Where each run of the same begins, and its marks."""
    start = 0
    for _, run in groupby(marks, key=lambda mark: mark and mark.what):
        same = list(run)
        if heard := [mark for mark in same if mark is not None]:
            yield start, heard
        start += len(same)


def ages(columns: int, width: int) -> Text:
    """Write under the strip how long ago it was, each minute of the `columns` that there are."""
    line = "now".rjust(width)
    a_minute = 60 / SLOT_S / slots_a_column(width)  # columns
    for minute in range(1, int(columns / a_minute) + 1):
        words = f"{minute} min"
        at = width - round(minute * a_minute) - len(words) // 2
        if at >= 0:
            line = line[:at] + words + line[at + len(words) :]
    return Text(fit(line, width), "dim")


def _newest(marks: Sequence[Mark | None], width: int) -> list[Mark | None]:
    newest = list(marks[-width:]) if width > 0 else []
    return [None] * (width - len(newest)) + newest


def _cell(mark: Mark | None, rows: int, row: int) -> str:
    """Return what `mark` shows in `row`, counted from below."""
    if mark is None:
        return " "
    if not mark.share:
        return " " if row else "·"
    eighths = max(round(mark.share * (rows * 8 - 1)), 1) - 8 * row
    return _STEPS[min(max(eighths, 0), 8)]


def _letter(mark: Mark | None, letters: Mapping[str, str]) -> str:
    if mark is None:
        return " "
    return fit(letters.get(mark.what, mark.what[:1]), 1) if mark.share else "·"


def _style(mark: Mark | None) -> str:
    return colour(mark.what) if mark and mark.share else "dim"


def _line(cells: Iterable[tuple[str, str]]) -> Text:
    """Join cells, those of one style at once."""
    text = Text()
    for style, run in groupby(cells, key=lambda cell: cell[1]):
        text.append("".join(cell for cell, _ in run), style)
    return text
