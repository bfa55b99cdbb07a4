"""Report: what was measured, as one record, and as Markdown."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import msgspec

from .fleet import Growth, Trial
from .inference import Agreement, Batch
from .rounds import Cost
from .single import Single

TRIAL_HEAD = (
    "stations",
    "CPU ms a station-second",
    "cores used",
    "p50 ms",
    "p99 ms",
    "max ms",
    "skipped",
    "MB",
    "keeps up",
)


class Machine(msgspec.Struct, frozen=True):
    """Where it was measured; `load` is the load average over the minute before."""

    processor: str
    cores: int
    load: float
    python: str
    onnxruntime: str
    numpy: str


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that one run measured.

    Attributes
    ----------
    command : str
    missing : dict
        What could not be measured, and why.
    features, inference, agreement
        Sections (a) and (b).
    stations : str
        What the stations of `growths` are.
    half_hop_ms : float
    growths : tuple of Growth
        Section (c): genred on one core, on all, the naive loop.
    microphone : Single, optional
        Section (d).
    """

    genred: str
    date: str
    command: str
    machine: Machine
    model: str
    provider: str
    missing: dict[str, str]
    features: tuple[Cost, ...]
    inference: tuple[Batch, ...]
    agreement: Agreement
    stations: str
    half_hop_ms: float
    growths: tuple[Growth, ...]
    microphone: Single | None = None


def machine() -> Machine:
    """Look where this is."""
    from importlib.metadata import PackageNotFoundError, version

    def found(*names: str) -> str:
        for name in names:
            try:
                return version(name)
            except PackageNotFoundError:
                continue
        return "unknown"

    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.partition(": ")[2] for line in lines if line.startswith("model name")]
    return Machine(
        processor=names[0] if names else platform.machine(),
        cores=len(os.sched_getaffinity(0)),
        load=round(os.getloadavg()[0], 2),
        python=platform.python_version(),
        onnxruntime=found("onnxruntime-gpu", "onnxruntime"),
        numpy=found("numpy"),
    )


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> list[str]:
    """Lines of a Markdown table."""
    lines = [list(head), ["---", *["---:"] * (len(head) - 1)], *([str(cell) for cell in row] for row in rows)]
    return [f"| {' | '.join(line)} |" for line in lines]


def markdown(report: Report) -> str:
    """Text of ``BENCHMARKS.md``."""
    return "\n".join([*_head(report), *_features(report), *_inference(report), *_growth(report), *_single(report)])


def _head(report: Report) -> Iterator[str]:
    where = report.machine
    yield from (
        "# Benchmarks",
        "",
        f"Written by `{report.command}`, {report.date}, genred {report.genred}, model `{report.model}` on"
        f" {report.provider}.",
        "",
        f"{where.processor}, {where.cores} core{'s' if where.cores > 1 else ''}, load average {where.load:g} before;"
        f" Python {where.python}, ONNX Runtime {where.onnxruntime}, NumPy {where.numpy}.",
        "",
        "Contenders take turns, round by round, and every figure is the median of the rounds. The ratios are what to"
        " look at: the milliseconds are this machine's, on that day.",
        "",
    )
    yield from (f"- not measured: {what}: {why}" for what, why in report.missing.items())
    yield from [""] if report.missing else []


def _costs(costs: Iterable[Cost]) -> list[list[object]]:
    return [[c.name, f"{c.ratio:.2f}", f"{c.ms:.3f}", f"{c.least_ms:.3f} to {c.most_ms:.3f}"] for c in costs]


def _features(report: Report) -> Iterator[str]:
    yield from (
        "## Features",
        "",
        "MFCC of a second of audio. *On each window* computes 23 s anew each hop; *each second once* is what a library"
        " could do at best in a stream. One thread.",
        "",
        *table(["", "times genred", "CPU ms a second", "of all rounds"], _costs(report.features)),
        "",
    )


def _inference(report: Report) -> Iterator[str]:
    time = "CPU ms" if report.provider == "cpu" else "ms"
    kind = "one thread" if report.provider == "cpu" else "the time that passes, copies to the GPU and back in it"
    yield from ("## Inference", "", f"A window; {kind}.", "")
    for batch in report.inference:
        yield from table(
            [f"batch {batch.size}", "times genred", f"{time} a window", "of all rounds"], _costs(batch.costs)
        )
        yield ""
    same = report.agreement
    by = f" by more than {same.greatest_difference:.1e}" if same.greatest_difference else ""
    yield (
        f"Rolled windows on {report.provider} against whole passes on the CPU: {same.same_label} of {same.windows} have"
        f" the same label; no probability differs{by}."
    )
    yield ""


def _growth(report: Report) -> Iterator[str]:
    yield from (
        "## A whole daemon",
        "",
        f"Stations: {report.stations}. CPU milliseconds are those of the whole process for a second of one"
        " station; latency is from the block that completed a window to the send. It keeps up if nothing is skipped"
        f" and the latency's p99 is under half a hop, {report.half_hop_ms:.0f} ms.",
        "",
        *table(
            ["", "cores", "most stations tried that it keeps up with", "CPU ms there"],
            ([g.name, g.cores, g.limit, _at_limit(g)] for g in report.growths),
        ),
        "",
    )
    for growth in report.growths:
        yield from (f"### {growth.name}, {growth.cores} core{'s' if growth.cores > 1 else ''}", "")
        head = [
            "stations",
            "CPU ms a station-second",
            "cores used",
            "p50 ms",
            "p99 ms",
            "max ms",
            "skipped",
            "MB",
            "keeps up",
        ]
        yield from table(head, map(_trial, growth.trials))
        yield ""


def _at_limit(growth: Growth) -> str:
    return next((f"{trial.cpu_ms:.2f}" for trial in growth.trials if trial.stations == growth.limit), "-")


def _trial(trial: Trial) -> list[object]:
    return [
        trial.stations,
        f"{trial.cpu_ms:.2f}",
        f"{trial.cpu_ms * trial.stations / 1000:.2f}",
        f"{trial.p50_ms:.0f}",
        f"{trial.p99_ms:.0f}",
        f"{trial.max_ms:.0f}",
        f"{trial.skipped} of {trial.skipped + trial.windows}",
        "" if trial.memory_mb is None else f"{trial.memory_mb:.0f}",
        "yes" if trial.keeps_up else "no",
    ]


def _single(report: Report) -> Iterator[str]:
    one = report.microphone
    if one is None:
        return
    yield from ("## One microphone", "", "`genred run mic: --no-dashboard`, at the default hop.", "")
    yield from table(
        ["CPU, % of a core", "RSS, MB", "start to ready, s", "latency p50, ms", "p99, ms", "windows"],
        [
            [
                f"{one.cpu_percent:.2f}",
                f"{one.memory_mb:.0f}",
                f"{one.ready_s:.2f}",
                f"{one.p50_ms:.1f}",
                f"{one.p99_ms:.1f}",
                one.windows,
            ]
        ],
    )
    yield ""
