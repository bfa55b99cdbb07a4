"""Markdown: tables of the report."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def table(head: Sequence[str], lines: Iterable[Sequence[object]]) -> str:
    """Table with the columns `head`."""
    rows = [list(head), ["---"] * len(head), *([str(cell) for cell in line] for line in lines)]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def points(difference: float, interval: tuple[float, float]) -> str:
    """A difference of two shares in points, with its interval: ``+2.0 (-1.0 to +5.0)``."""
    low, high = interval
    return f"{100 * difference:+.1f} ({100 * low:+.1f} to {100 * high:+.1f})"
