"""Dashboard: ``render`` makes a picture of a snapshot, purely; ``Dashboard`` keeps it on the terminal."""

from __future__ import annotations

import logging
from types import TracebackType

from msgspec import UNSET
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.logging import RichHandler
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from .messages import Estimate, Hello, Status
from .worker import Snapshot, StationView

REFRESH_HZ = 4
COLOURS = {
    "blues": "blue",
    "classical": "white",
    "country": "yellow",
    "disco": "magenta",
    "hiphop": "cyan",
    "jazz": "bright_blue",
    "metal": "bright_black",
    "pop": "bright_magenta",
    "reggae": "green",
    "rock": "red",
}
LEAST_DBFS = -60.0


def render(snapshot: Snapshot) -> RenderableType:
    """Picture of `snapshot`: all genres of a single station, or a line for each of several."""
    views = snapshot.stations
    body = _station(snapshot.hello, views[0]) if len(views) == 1 else _stations(views)
    return Panel(body, title=Text(f"genred {snapshot.hello.daemon}"), subtitle=Text(_footer(snapshot)), padding=(0, 1))


def _station(hello: Hello, view: StationView) -> RenderableType:
    return Group(_headline(view), _bars(hello.labels, view.estimate), _level(view.status), _books(view.status))


def _headline(view: StationView) -> Text:
    state = Text.assemble((f"{view.status.station}", "bold"), "  ", view.status.state)
    if view.status.text is not UNSET:
        state.append(f": {view.status.text}")
    return state.append(f"   {answer(view.estimate)}", style="bold")


def answer(estimate: Estimate | None) -> str:
    """Answer of `estimate` in words: a label with its confidence, or why there is none."""
    if estimate is None:
        return "nothing heard yet"
    if estimate.label is not UNSET and estimate.confidence is not UNSET:
        return f"{estimate.label} {estimate.confidence:.0%}"
    progress = f" {estimate.progress:.0%}" if estimate.progress is not UNSET else ""
    return f"{estimate.reason}{progress}"


def _bars(labels: tuple[str, ...], estimate: Estimate | None) -> Table:
    probabilities = estimate.probabilities if estimate is not None and estimate.probabilities is not UNSET else {}
    table = Table.grid(padding=(0, 1))
    table.add_column(width=max(map(len, labels)))
    table.add_column(width=40)
    table.add_column(width=5, justify="right")
    for label in labels:
        share = probabilities.get(label, 0.0)
        colour = COLOURS.get(label, "default")
        best = bool(probabilities) and share == max(probabilities.values())
        bar = ProgressBar(total=1.0, completed=share, complete_style=colour, finished_style=colour)
        table.add_row(Text(label, style="bold" if best else ""), bar, f"{share:.0%}")
    return table


def _level(status: Status) -> Table:
    share = max(0.0, 1.0 - status.level_dbfs / LEAST_DBFS)
    table = Table.grid(padding=(0, 1))
    table.add_row(
        "level",
        ProgressBar(total=1.0, completed=share, width=30, complete_style="green"),
        f"{status.level_dbfs:.0f} dBFS, peak {status.peak_dbfs:.0f}, gain {status.gain_db:+.0f} dB",
    )
    return table


def _books(status: Status) -> Text:
    total = status.total
    rate_hz = status.rate_hz if status.rate_hz is not UNSET else 1
    lost_s = (total.lost + total.overwritten) / rate_hz
    return Text(f"windows {total.published}, skipped {total.skipped}, lost {lost_s:.1f} s, epoch {status.epoch}")


def _stations(views: tuple[StationView, ...]) -> Table:
    table = Table(box=None, expand=True)
    for heading in ("station", "state", "genre", "level", "skipped", "lost"):
        table.add_column(heading, no_wrap=True)
    for view in views:
        status = view.status
        label = view.estimate.label if view.estimate is not None and view.estimate.label is not UNSET else ""
        table.add_row(
            Text(str(status.station)),
            Text(status.state),
            Text(answer(view.estimate), style=COLOURS.get(label, "default")),
            f"{status.level_dbfs:.0f} dBFS",
            str(status.total.skipped),
            str(status.total.lost + status.total.overwritten),
        )
    return table


def _footer(snapshot: Snapshot) -> str:
    hello = snapshot.hello
    claim = hello.model.claim
    accuracy = "" if claim is UNSET else f", {claim.accuracy:.0%} of {claim.tracks} held-out tracks"
    return f"{snapshot.endpoint}  {hello.model.name} on {hello.model.provider}{accuracy}"


class Dashboard:
    """Context manager; without a terminal it shows nothing, and log lines stay plain.

    Parameters
    ----------
    enabled : bool
    """

    def __init__(self, *, enabled: bool) -> None:
        console = Console()
        self._live = Live(console=console, auto_refresh=False, transient=True) if enabled else None
        self._ticks = 0

    def __enter__(self) -> Dashboard:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()

    def show(self, snapshot: Snapshot) -> None:
        """Draw `snapshot`, if one is due."""
        self._ticks += 1
        if self._live is not None and snapshot.stations and self._ticks % 3 == 0:
            self._live.update(render(snapshot), refresh=True)

    def log_handler(self) -> logging.Handler:
        """Return where log lines go: above the picture, or to stderr."""
        if self._live is not None:
            return RichHandler(console=self._live.console, show_path=False, markup=False)
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
        return handler
