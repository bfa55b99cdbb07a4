"""Report: what a soak has found, as one record, and as Markdown."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from ..bench.report import Machine, table
from .recovery import Occurrence
from .samples import Sample, Slope, Span


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that one run found.

    Attributes
    ----------
    minutes, asked_minutes : float
        How long it has run, and how long it was to run.
    state : str
        ``running``, ``finished`` or ``cut short``.
    times : float
        How many times as fast as they play radio stations send.
    audio_h : float
        Hours of audio captured, of all stations together.
    windows, skipped : int
        That were answered, and deliberately not judged.
    warm_up_s : float
        Of no account for the slope.
    slope : Slope or None
        None where the run is too short to say.
    most_mb_per_h, most_back_s : float
        The bounds of the slope, and of a station's recovery.
    idle : dict
        Faults of each kind that met no listener, because the station was away by itself.
    faults : tuple of Occurrence
    late : tuple of Occurrence
        Those whose station did not come back in `most_back_s`.
    counted : dict
        Faults that the daemon counted itself.
    reloads, wrong_reloads : int
        Answered; taken but bad, or refused but good.
    complaints : tuple of str
        Lines of the daemon's log that tell of a fault of its own.
    checked, broken : dict
        How often each identity was checked, and found broken.
    ends : tuple of str
        What was wrong with the daemon's end.
    samples : tuple of Sample
    """

    genred: str
    date: str
    command: str
    machine: Machine
    state: str
    minutes: float
    asked_minutes: float
    stations: int
    seed: int
    times: float
    model: str
    audio_h: float
    windows: int
    skipped: int
    messages: int
    warm_up_s: float
    slope: Slope | None
    most_mb_per_h: float
    memory_mb: tuple[float, float]
    descriptors: Span
    threads: Span
    cpu_percent: float
    log_lines: int
    most_back_s: float
    idle: dict[str, int]
    faults: tuple[Occurrence, ...]
    late: tuple[Occurrence, ...]
    counted: dict[str, int]
    reloads: int
    wrong_reloads: int
    complaints: tuple[str, ...]
    checked: dict[str, int]
    broken: dict[str, int]
    examples: tuple[str, ...]
    exit_code: int | None
    ends: tuple[str, ...]
    samples: tuple[Sample, ...]

    @property
    def failures(self) -> list[str]:
        """Why the run has failed; none if it has not."""
        return [
            *self.ends,
            *(f"{name}: broken {n} times" for name, n in self.broken.items()),
            *(
                f"{one.station or 'the daemon'} was not back {self.most_back_s:g} s after: {one.kind}"
                for one in self.late
            ),
            *(f"its log: {line}" for line in self.complaints[:5]),
            *([f"{self.wrong_reloads} reloads had the wrong answer"] if self.wrong_reloads else []),
            *([f"memory grows by more than {self.most_mb_per_h:g} MB/h"] if self._grows else []),
        ]

    @property
    def _grows(self) -> bool:
        return self.slope is not None and self.slope.low > self.most_mb_per_h


def write(report: Report, path: Path) -> None:
    """Write Markdown to `path`, and JSON beside it; each as a whole."""
    for place, content in (
        (path, markdown(report).encode()),
        (path.with_suffix(".json"), msgspec.json.encode(report) + b"\n"),
    ):
        beside = place.with_name(place.name + ".new")
        beside.write_bytes(content)
        beside.replace(place)


def markdown(report: Report) -> str:
    """Text of ``SOAK.md``."""
    return "\n".join([*_head(report), *_memory(report), *_identities(report), *_faults(report)])


def _head(report: Report) -> Iterator[str]:
    where, state = report.machine, report.state
    yield from (
        "# Soak",
        "",
        f"Written by `{report.command}`, {report.date}, genred {report.genred}, model `{report.model}`.",
        f"{where.processor}, {where.cores} cores; Python {where.python}, ONNX Runtime {where.onnxruntime}, NumPy"
        f" {where.numpy}.",
        "",
        f"**{_verdict(report)}** The run is {state}: {report.minutes:.1f} of {report.asked_minutes:g} minutes, in which"
        f" {report.stations} stations gave {report.audio_h:.1f} hours of audio (radio stations send"
        f" {report.times:g} times as fast as they play), {report.windows} windows were answered, {report.skipped}"
        f" skipped, and {report.messages} messages checked. The daemon took {report.cpu_percent:.0f} % of a core and"
        f" wrote {60 * report.log_lines / max(report.minutes, 0.01):.0f} lines of log an hour; its exit code"
        f" {'is still to come' if report.exit_code is None else f'was {report.exit_code}'}. The faults are drawn with"
        f" seed {report.seed}.",
        "",
        *(f"- {failure}" for failure in report.failures),
        *([""] if report.failures else []),
    )


def _verdict(report: Report) -> str:
    if report.failures:
        return "Failed."
    return "Nothing has failed so far." if report.state == "running" else "Nothing has failed."


def _memory(report: Report) -> Iterator[str]:
    first, last = report.memory_mb
    rows = [
        [name, span.first, span.last, span.least, span.most]
        for name, span in (("descriptors", report.descriptors), ("threads", report.threads))
    ]
    yield from (
        "## The daemon's process",
        "",
        f"Memory, after {report.warm_up_s:.0f} s of warm-up: {_slope(report)}. It was {first:.0f} MB then, and"
        f" {last:.0f} MB at the end.",
        "",
        *table(["", "first", "last", "least", "most"], [_memory_row(report.samples), *rows]),
        "",
    )


def _memory_row(samples: Sequence[Sample]) -> list[object]:
    memory = [sample.memory_mb for sample in samples]
    return ["memory, MB", *(f"{value:.0f}" for value in (memory[0], memory[-1], min(memory), max(memory)))]


def _slope(report: Report) -> str:
    bound = f"the bound is {report.most_mb_per_h:g} MB/h"
    if report.slope is None:
        return f"the run is too short to tell a slope ({bound})"
    s = report.slope
    interval = f"95 % interval {s.low:+.2f} to {s.high:+.2f}"
    return f"{s.mb_per_h:+.2f} MB/h, {interval}, over {s.over_s / 60:.0f} minutes ({bound})"


def _identities(report: Report) -> Iterator[str]:
    yield from ("## What a subscriber checked", "")
    yield from table(
        ["", "checked", "broken"],
        [[name, n, report.broken.get(name, 0)] for name, n in sorted(report.checked.items())],
    )
    yield ""
    yield from (f"    {example}" for example in report.examples)
    yield from [""] if report.examples else []


def _faults(report: Report) -> Iterator[str]:
    kinds = sorted({one.kind for one in report.faults})
    yield from (
        "## Faults",
        "",
        "Back: from the end of a fault to the next answered window, of the station it happened to, or of any. It counts"
        " as overtaken if another fault of the same station came before. Bound: " + f"{report.most_back_s:g} s.",
        "",
        *table(
            ["", "times", "nobody listening", "overtaken", "taken out", "back: median, s", "most, s"],
            (_kind(report, kind) for kind in kinds),
        ),
        "",
        f"{report.reloads} reloads were answered. What the daemon counted itself:",
        "",
        *table(["", "times"], sorted([name, n] for name, n in report.counted.items())),
        "",
    )


def _kind(report: Report, kind: str) -> list[object]:
    ones = [one for one in report.faults if one.kind == kind]
    back_s = [one.back_s for one in ones if one.back_s is not None]
    notes = [sum(one.note == note for one in ones) for note in ("overtaken", "taken out")]
    times = [f"{statistics.median(back_s):.2f}", f"{max(back_s):.2f}"] if back_s else ["", ""]
    return [kind, len(ones), report.idle.get(kind, 0), *notes, *times]
