"""The picture of the README, from a run that was recorded with ``genred listen``. ``make screenshot`` runs this.

Rich could write an SVG, too, but leaves a gap between two rows, across everything that is made of blocks. Here blocks
are rectangles.
"""

from __future__ import annotations

import gzip
import sys
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from xml.sax.saxutils import escape

from rich.cells import cell_len
from rich.console import Console
from rich.segment import Segment
from rich.style import Style

from genred.dashboard import LogLine, render
from genred.gathering import Gathering
from genred.messages import Event, Message, decode
from genred.snapshot import Snapshot, describe

RECORDED = Path(__file__).parent / "golden" / "recorded-run.jsonl.gz"
COLUMNS, ROWS = 100, 30
CELL_X, CELL_Y, MARGIN, BAR = 8.4, 18.0, 12.0, 34.0  # pixels; BAR is the window's own
INK, PAPER = "#cdd3de", "#1b1f27"
FONTS = "ui-monospace, 'Cascadia Mono', Menlo, 'DejaVu Sans Mono', Consolas, monospace"
# Character -> rectangle in eighths of a cell: left, top, right, bottom.
BLOCKS = {"█": (0, 0, 8, 8), "▀": (0, 0, 8, 4), "▮": (1, 2, 7, 7), "┃": (3, 0, 5, 8)}
BLOCKS |= {sign: (0, 8 - n, 8, 8) for n, sign in enumerate("▁▂▃▄▅▆▇", start=1)}
BLOCKS |= {sign: (0, 0, n, 8) for n, sign in enumerate("▏▎▍▌▋▊▉", start=1)}
BLOCKS |= {"─": (0, 3.8, 8, 4.2), "│": (3.6, 0, 4.4, 8)}
CORNERS = {"╭": "M4 8V6Q4 4 8 4", "╮": "M4 8V6Q4 4 0 4", "╰": "M4 0V2Q4 4 8 4", "╯": "M4 0V2Q4 4 0 4"}


def recorded(path: Path = RECORDED) -> list[Message]:
    """Messages of a recorded run."""
    with gzip.open(path) as lines:
        return [decode(line) for line in lines]


def at_end(messages: list[Message]) -> tuple[Snapshot, list[LogLine]]:
    """What somebody saw who had watched these, and the log."""
    gathering = Gathering("tcp://127.0.0.1:5557", _seconds(messages[0]))
    for message in messages:
        gathering.heed(message, _seconds(message))
    logs = [LogLine(m.time[11:19], 20, describe(m)) for m in messages if isinstance(m, Event)]
    return gathering.snapshot(_seconds(messages[-1])), logs


def _seconds(message: Message) -> float:
    return datetime.fromisoformat(message.time).timestamp()


def svg(rows: list[list[Segment]], title: str) -> str:
    """Picture of a terminal window that shows `rows`."""
    width, height = COLUMNS * CELL_X + 2 * MARGIN, ROWS * CELL_Y + BAR + MARGIN
    shapes = "\n".join(shape for number, row in enumerate(rows) for shape in _row(row, BAR + number * CELL_Y))
    return f"""<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" width="{width:g}" role="img">
<title>{escape(title)}</title>
<rect width="100%" height="100%" rx="8" fill="{PAPER}"/>
<circle cx="20" cy="17" r="6" fill="#ff5f57"/>
<circle cx="40" cy="17" r="6" fill="#febc2e"/>
<circle cx="60" cy="17" r="6" fill="#28c840"/>
<g font-family="{FONTS}" font-size="14" fill="{INK}" shape-rendering="crispEdges" style="white-space:pre">
<text x="{width / 2:g}" y="22" text-anchor="middle">{escape(title)}</text>
{shapes}
</g>
</svg>
"""


def _row(row: list[Segment], y: float) -> Iterator[str]:
    x = MARGIN
    for segment in row:
        look, run, begins = _look(segment.style or Style.null()), "", x
        for sign in segment.text:
            if sign in BLOCKS or sign in CORNERS or sign == " ":
                yield from _text(run, begins, y, look)
                yield from _drawn(sign, x, y, look)
                run, begins = "", x + CELL_X
            else:
                run += sign
            x += CELL_X * cell_len(sign)
        yield from _text(run, begins, y, look)


def _look(style: Style) -> str:
    """Attributes that say how `style` looks."""
    colour = style.color.get_truecolor().hex if style.color and style.color.triplet else ""
    look = f' fill="{colour}"' if colour else ""
    return look + (' font-weight="bold"' if style.bold else "") + (' opacity="0.55"' if style.dim else "")


def _text(text: str, x: float, y: float, look: str) -> Iterator[str]:
    if text:
        width = f'textLength="{cell_len(text) * CELL_X:g}" lengthAdjust="spacingAndGlyphs"'
        yield f'<text x="{x:.4g}" y="{y + 13.5:g}" {width}{look}>{escape(text)}</text>'


def _drawn(sign: str, x: float, y: float, look: str) -> Iterator[str]:
    if sign in CORNERS:
        scale = f"translate({x:g} {y:g}) scale({CELL_X / 8:g} {CELL_Y / 8:g})"
        line = f'fill="none" stroke="{INK}" stroke-width="0.6" opacity="0.55"'
        yield f'<path d="{CORNERS[sign]}" transform="{scale}" {line}/>'
    elif sign in BLOCKS:
        left, top, right, bottom = BLOCKS[sign]
        at = f'x="{x + left * CELL_X / 8:.5g}" y="{y + top * CELL_Y / 8:g}"'
        yield f'<rect {at} width="{(right - left) * CELL_X / 8:g}" height="{(bottom - top) * CELL_Y / 8:g}"{look}/>'


def screenshot(path: Path) -> None:
    """Write the picture of the recorded run."""
    snapshot, logs = at_end(recorded())
    console = Console(width=COLUMNS, height=ROWS, force_terminal=True, color_system="truecolor", no_color=False)
    rows = console.render_lines(render(snapshot, logs=logs), console.options)
    path.write_text(svg(rows, "genred run kitchen=demo:"), "utf-8")


if __name__ == "__main__":
    screenshot(Path(sys.argv[1]))
