"""One station: the winner in large letters, all genres as bars, the facts beside them, the last minutes below. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from msgspec import UNSET
from rich.text import Text

from ..messages import Estimate, Faults, Hello, Segment, counted, plain
from ..snapshot import Snapshot, StationView
from .gauges import (
    BAD,
    GOOD,
    LEAST_DBFS,
    STATE_COLOURS,
    WARNING,
    Room,
    ages,
    bar,
    colour,
    columns,
    fit,
    letters_of,
    meter,
    names,
    span,
    strip,
)
from .letters import large, larger
from .view import lost_s

ABSENT = ("connecting", "stalled", "lost", "ended")  # what was heard last is no answer any more
NOTHING = "–"  # where a fact is not known at present
GUTTER = 16  # columns left of bars, meter and strip
LEAST_BAR = 10  # columns
USUAL = 10  # genres; and about as many facts
NOTE, LEVEL = 1, 1  # rows
MOST_STRIP = 12  # rows
FACT = 9  # columns of a fact's name
MOST_FACT_COLUMNS = 48


@dataclass(frozen=True)
class Layout:
    """Rows that each part gets; `log` are left for the log."""

    winner: int
    strip: int
    log: int
    gap: int = 0
    ages: int = 0
    thick: bool = False

    @property
    def beside(self) -> int:
        """Rows of all parts but the bars."""
        past = self.strip + 1 + self.ages if self.strip else 0
        return self.winner + NOTE + LEVEL + past + self.log + 3 * self.gap

    def bars(self, labels: int) -> int:
        """Rows of so many bars; facts beside them want as many as USUAL ones."""
        return max(labels, USUAL) * (2 if self.thick else 1)


AT_80X24 = Layout(winner=3, strip=2, log=4)
LAYOUTS = (
    Layout(winner=6, strip=6, log=6, gap=1, ages=1, thick=True),
    Layout(winner=6, strip=4, log=5, gap=1, ages=1),
    Layout(winner=3, strip=4, log=4, gap=1, ages=1),
    AT_80X24,
    Layout(winner=3, strip=1, log=3),
    Layout(winner=1, strip=1, log=3),
    Layout(winner=1, strip=1, log=0),
    Layout(winner=1, strip=0, log=0),
)


def single(snapshot: Snapshot, view: StationView, room: Room) -> list[Text]:
    """Lines that show `view`, as many as `room` has or fewer."""
    labels = _labels(snapshot.hello, view.estimate, room.height)
    fitting = (one for one in LAYOUTS if one.beside + one.bars(len(labels)) <= room.height)
    layout = next(fitting, LAYOUTS[-1])
    spare = room.height - layout.beside - layout.bars(len(labels))
    rows = min(layout.strip + spare, MOST_STRIP) if layout.ages else layout.strip
    gap = [Text()] * layout.gap
    winner = [*_winner(view, layout.winner, room), _note(view, room.width)]
    gauges = _gauges(snapshot, view, labels, room.width, layout)
    past = _past(snapshot.hello, view, rows, room, with_ages=layout.ages > 0) if rows else []
    return [*gap, *winner, *gap, *gauges, *gap, *past]


def state_of(view: StationView) -> Text:
    """State with its sign in its colour."""
    if view.stale_s:
        return Text(f"● stale for {view.stale_s:.0f} s", BAD)
    return Text(f"● {view.status.state}", STATE_COLOURS[view.status.state])


def answer(view: StationView) -> tuple[str, str]:
    """What to say of a station in a word and a number, and its style."""
    status, estimate = view.status, view.estimate
    if status.state in ABSENT and not (status.state == "ended" and estimate and estimate.label is not UNSET):
        return status.state, STATE_COLOURS[status.state]
    if estimate is None:
        return "listening", "dim"
    if estimate.label is not UNSET and estimate.confidence is not UNSET:
        return f"{plain(estimate.label)} {estimate.confidence:.0%}", _faded(view) or f"bold {colour(estimate.label)}"
    progress = f" {estimate.progress:.0%}" if estimate.progress is not UNSET else ""
    return f"{estimate.reason}{progress}", "dim"


def is_heard(view: StationView) -> bool:
    """Whether there is sound at present; what was measured last is old otherwise."""
    return not view.stale_s and view.status.state not in ABSENT


def level(view: StationView, width: int) -> Text:
    """Level meter, empty where nothing is heard at present."""
    levels = (view.status.level_dbfs, view.hold_dbfs) if is_heard(view) else (LEAST_DBFS, LEAST_DBFS)
    return meter(*levels, width)


def _faded(view: StationView) -> str:
    """Style of what is not heard at present; empty for what is."""
    return "" if is_heard(view) else "dim"


def _labels(hello: Hello | None, estimate: Estimate | None, rows: int) -> tuple[str, ...]:
    """Labels in the model's order; where it knows too many for so many rows, the most probable."""
    shares = _shares(estimate)
    labels = hello.labels if hello is not None else tuple(shares)
    room = min(max(rows - AT_80X24.beside, USUAL), max(rows - LAYOUTS[-1].beside, 0))
    shown = set(sorted(labels, key=lambda label: -shares.get(label, 0.0))[:room])
    return tuple(label for label in labels if label in shown)


def _shares(estimate: Estimate | None) -> dict[str, float]:
    return estimate.probabilities if estimate is not None and estimate.probabilities is not UNSET else {}


def _winner(view: StationView, rows: int, room: Room) -> list[Text]:
    """Write the answer as large as `rows` and `room` allow."""
    word, style = answer(view)
    for letters in (larger(word) if rows >= 5 else [], large(word) if rows >= 3 and room.halves else []):
        if letters and len(letters[0]) <= room.width:
            return [Text(line, style, no_wrap=True) for line in letters] + [Text()] * (rows - len(letters))
    above = (rows - 1) // 2
    return [Text()] * above + [Text(fit(word, room.width), f"bold {style}")] + [Text()] * (rows - 1 - above)


def _note(view: StationView, width: int) -> Text:
    """Say what else there is to say of the answer."""
    status, estimate = view.status, view.estimate
    if view.stale_s:
        return Text(fit(f"this is old: nothing was heard of the station for {view.stale_s:.0f} s", width), BAD)
    if status.text is not UNSET:
        return Text(fit(status.text, width), STATE_COLOURS[status.state])
    if estimate is None or status.state in ABSENT:
        return Text()
    if estimate.probabilities is UNSET:
        return Text(fit(_REASONS.get(str(estimate.reason), ""), width), "dim")
    shares = sorted(estimate.probabilities.items(), key=lambda item: -item[1])
    unsure = estimate.label is UNSET
    others = ", ".join(f"{plain(label)} {share:.0%}" for label, share in (shares[:3] if unsure else shares[1:4]))
    text = f"{'between' if unsure else 'then'} {others}"
    if view.segment is not None:
        text += f"; {_course(view.segment, estimate)}"
    if estimate.narrow_band is True:
        text += "; the source carries only a part of the band that the model listens to"
    return Text(fit(text, width), "dim")


def _course(segment: Segment, estimate: Estimate) -> str:
    """Say for how long it has been the same by now."""
    duration_s = segment.duration_s
    if (segment.boot, segment.epoch) == (estimate.boot, estimate.epoch):
        rate = (estimate.last_sample + 1 - estimate.first_sample) / max(estimate.window_s, 1e-3)
        duration_s = (estimate.last_sample + 1 - segment.first_sample) / max(rate, 1.0)
    minutes, seconds = divmod(round(max(duration_s, 0.0)), 60)
    return f"{plain('unsure' if segment.label is UNSET else segment.label)} for {minutes}:{seconds:02} min"


_REASONS = {
    "warming-up": "nothing is said before there is enough to judge",
    "silence": "there is nothing to judge",
    "too-short": "the source ended before there was enough to judge",
    "unsure": "nothing stands out",
}


def _gauges(snapshot: Snapshot, view: StationView, labels: Sequence[str], width: int, layout: Layout) -> list[Text]:
    """Draw bars and level at the left, facts at the right."""
    left = max(width - MOST_FACT_COLUMNS, width // 2)
    if left < GUTTER + LEAST_BAR:
        return _bars(view, labels, width, layout)
    lines = _bars(view, labels, left - 2, layout)
    facts = _facts(snapshot, view, width - left)
    if layout.thick:
        facts = [line for fact in facts for line in (fact, Text())]
    for line, fact in zip(lines, facts, strict=False):
        line.pad_right(left - line.cell_len)
        line.append_text(fact)
    return lines


def _bars(view: StationView, labels: Sequence[str], width: int, layout: Layout) -> list[Text]:
    """Draw a bar a genre, the winner's in bold, and the level meter below."""
    shares, faded = _shares(view.estimate), _faded(view)
    best = max(shares, key=lambda label: shares[label], default=None)
    cells = max(width - GUTTER, 1)
    lines = []
    for label in labels:
        share, style = min(max(shares.get(label, 0.0), 0.0), 1.0), faded or colour(label)
        head = _head(label, f"{share:.0%}" if shares else "")
        line = Text().append(head, f"bold {style}" if label == best and not faded else faded)
        if layout.thick:
            whole = Text("█" * round(share * cells), style)
            lines += [line.append_text(whole), Text().append(" " * GUTTER).append("▀" * len(whole), style)]
        else:
            lines.append(line.append_text(bar(share, cells, style)))
    dbfs = f"{view.status.level_dbfs:.0f}" if is_heard(view) else NOTHING
    lines.append(Text().append(_head("level dBFS", dbfs), "dim").append_text(level(view, cells)))
    return lines + [Text() for _ in range(layout.bars(len(labels)) + LEVEL - len(lines))]


def _head(name: str, number: str) -> str:
    """Left of a bar, in GUTTER columns."""
    return f"{fit(name, GUTTER - 6)} {fit(number.rjust(4), 4)} "


def _past(hello: Hello | None, view: StationView, rows: int, room: Room, *, with_ages: bool) -> list[Text]:
    """Draw the strip of the last minutes, with the names of its colours below."""
    width = room.width - GUTTER
    marks = columns(view.past, view.slot, width)
    letters = None if room.coloured else letters_of(hello.labels if hello else ())
    lines = [*strip(marks, width, rows, None), names(marks, width, letters)]
    if with_ages:
        lines.append(ages(len(marks), width))
    heads = [f"last {span(len(marks), width)}", *[""] * len(lines)]
    return [Text().append(fit(head, GUTTER), "dim").append_text(line) for head, line in zip(heads, lines, strict=False)]


def _facts(snapshot: Snapshot, view: StationView, width: int) -> list[Text]:
    """Everything that can be said in numbers, a line each."""
    return [
        Text().append(fit(name, FACT), "dim").append(fit(value, width - FACT), style)
        for name, value, style in [*_facts_of_station(snapshot.hello, view), *_facts_of_daemon(snapshot, view)]
    ]


def _facts_of_station(hello: Hello | None, view: StationView) -> list[tuple[str, str, str]]:
    status, estimate = view.status, view.estimate
    source = next((one.uri for one in hello.stations if one.name == status.station), "") if hello else ""
    rate = f"{status.rate_hz} Hz  " if status.rate_hz is not UNSET else ""
    lost, skipped = lost_s(view), status.total.skipped
    facts = [
        ("state", f"{status.state} since {_clock(status.since)}", STATE_COLOURS[status.state]),
        ("source", f"{rate}{source}", ""),
        ("latency", _times(estimate) if is_heard(view) else NOTHING, ""),
        ("lost", f"{lost:.1f} s, {counted(skipped, 'window')} skipped", WARNING if lost or skipped else GOOD),
        ("peak", _peak(view) if is_heard(view) else NOTHING, ""),
    ]
    if trouble := ", ".join(filter(None, [*(status.signal or ()), _troubles(status.faults)])):
        facts.append(("faults", trouble, WARNING))
    return facts


def _facts_of_daemon(snapshot: Snapshot, view: StationView) -> list[tuple[str, str, str]]:
    process, hello = view.status.process, snapshot.hello
    load = f"{process.cpu_percent:.0f}% of a core, {process.memory_mb:.0f} MB"
    own = [
        ("endpoint", snapshot.endpoint, ""),
        ("readers", counted(process.subscriptions, "subscription"), ""),
        ("load", load, ""),
    ]
    if hello is None:
        return own
    claim = hello.model.claim
    accuracy = "its card claims nothing"
    if claim is not UNSET:
        interval = f"{100 * claim.low:.0f} to {claim.high:.0%}"
        accuracy = f"{claim.accuracy:.0%} of {counted(claim.tracks, 'track')} ({claim.split}), {interval}"
    return [
        ("window", f"{_window(hello, view)}, hop {hello.hop_s:.2f} s", ""),
        ("model", f"{hello.model.name} on {hello.model.provider}", ""),
        ("accuracy", accuracy, ""),
        *own,
    ]


def _window(hello: Hello, view: StationView) -> str:
    """Length of a full window, and of the present one while it is shorter."""
    full = f"{hello.window_s:.1f} s"
    if view.estimate is None or not is_heard(view) or view.estimate.window_s >= hello.window_s:
        return full
    return f"{view.estimate.window_s:.1f} of {full}"


def _times(estimate: Estimate | None) -> str:
    if estimate is None or estimate.label is UNSET:
        return NOTHING
    age = f", audio {estimate.age_ms / 1000:.1f} s old" if estimate.age_ms is not UNSET else ""
    return f"{estimate.latency_ms:.0f} ms{age}"


def _peak(view: StationView) -> str:
    return f"{view.hold_dbfs:.0f} dBFS, gain {view.status.gain_db:+.0f} dB"


def _troubles(faults: Faults) -> str:
    counts = {name: getattr(faults, name) for name in faults.__struct_fields__}
    return ", ".join(counted(count, _ONE.get(name, name), name) for name, count in counts.items() if count)


_ONE = {"losses": "loss", "overflows": "overflow", "crashes": "crash"}


def _clock(text: str) -> str:
    """Local time of `text`, RFC 3339."""
    try:
        return datetime.fromisoformat(text).astimezone().strftime("%b %d %H:%M")
    except (ValueError, OverflowError):
        return text
