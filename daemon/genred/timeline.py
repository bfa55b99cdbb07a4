"""What ``genred classify`` prints: a timeline and the overall genre of each file, as text, JSON or a picture."""

from __future__ import annotations

import json
import os
import time
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from .card import find_model
from .classifier import Classifier, Verdict
from .classify import Answer, Part, Timeline, listen_to
from .errors import ConfigError, GenredError, SourceError
from .messages import counted, plain
from .runtime import Provider
from .sources.file import duration_s

AUDIO = """
    aac ac3 aif aifc aiff amr ape au caf dff dsf dts eac3 flac m4a m4b mka mp1 mp2 mp3 mpc oga ogg opus ra shn snd spx
    tak tta voc w64 wav wma wv
"""  # what a folder is searched for; videos are not, but can be named
SUFFIXES = frozenset(f".{kind}" for kind in AUDIO.split())


def classify_files(
    patterns: tuple[str, ...], *, model: str, provider: Provider, hop: int, as_json: bool, plot: Path | None
) -> int:
    """Judge what `patterns` name; return the exit code: 2 if the only file is bad, 1 if one of several is.

    A file to which the model has no usable answer is a failure too, of the model: 1, also alone.
    """
    paths = list(_paths(patterns))
    if len(paths) == 1 and isinstance(paths[0], SourceError):
        raise paths[0]
    if plot is not None:
        _check_plot(plot, paths)
    classifier = Classifier(find_model(model), provider)
    classifier.check_hop(hop)
    failures, bad, heard_s, started_s = 0, 0, 0.0, time.perf_counter()
    for path in paths:
        try:
            timeline = _judge(path, classifier, hop)
        except SourceError as error:
            failures, bad = failures + 1, bad + 1
            click.echo(f"genred: {plain(str(error))}", err=True)
            continue
        heard_s += timeline.seconds
        failures += bool(timeline.failed and not timeline.answers)
        click.echo(json.dumps(as_record(timeline)) if as_json else as_text(timeline))
        if plot is not None:
            draw(timeline, classifier.card.labels, plot)
    elapsed_s = time.perf_counter() - started_s
    if heard_s:
        speed = f"{heard_s:.0f} s of audio in {elapsed_s:.1f} s: {heard_s / elapsed_s:.0f} times real time"
        click.echo(f"{speed} on {classifier.choice}", err=True)
    if failures and len(paths) > 1:
        click.echo(f"genred: {failures} of {len(paths)} files could not be judged", err=True)
    return 0 if not failures else (2 if bad and len(paths) == 1 else 1)


def _paths(patterns: tuple[str, ...]) -> Iterator[Path | SourceError]:
    """Files as they are named; folders and patterns as the audio files they hold, in order, or why there are none."""
    for pattern in patterns:
        if not pattern:
            yield SourceError("the name of a file is empty")
            continue
        try:
            inside = _inside(Path(pattern), pattern)
        except (OSError, ValueError) as error:  # a name that no file can have, a pattern that is none
            yield SourceError(f"cannot look for {plain(pattern)}: {error.args[-1]}")
            continue
        if not inside:
            yield SourceError(f"no audio files in {plain(pattern)}")
        yield from inside


def _inside(path: Path, pattern: str) -> list[Path]:
    if path.is_dir():
        return [found for found in sorted(path.rglob("*")) if found.suffix.lower() in SUFFIXES]
    if path.exists() or not any(sign in pattern for sign in "*?["):
        return [path]
    anchor = Path(path.anchor)
    found = anchor.glob(str(path.relative_to(anchor)) if path.anchor else pattern)
    return sorted(path for path in found if not path.is_dir())


def _judge(path: Path | SourceError, classifier: Classifier, hop: int) -> Timeline:
    """Judge one file, with a progress line where someone is looking."""
    if isinstance(path, SourceError):
        raise path
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), TimeRemainingColumn())
    console = Console(stderr=True)
    seen = console.is_terminal
    with Progress(*columns, console=console, transient=True, disable=not seen) as progress:
        task = progress.add_task(plain(path.name), total=duration_s(path) if seen else None)
        return listen_to(path, classifier, hop, lambda heard_s: progress.update(task, completed=heard_s))


def leave(code: int) -> None:
    """End the process at once, from any thread, and give the terminal back."""
    Console(stderr=True).show_cursor()
    os._exit(code)


def as_text(timeline: Timeline) -> str:
    """Return the timeline, a line each answer, and the overall genre."""
    lines = [f"{_clock(a.start_s)}-{_clock(a.end_s)}  {_verdict(a.verdict)}" for a in timeline.answers]
    return "\n".join([*lines, f"{plain(str(timeline.path))}: {_verdict(timeline.overall)}{_remarks(timeline)}"])


def as_record(timeline: Timeline) -> dict[str, Any]:
    """Return the same for JSON; what does not apply is left out."""
    return {
        "path": str(timeline.path).encode(errors="replace").decode(),
        "seconds": round(timeline.seconds, 3),
        "overall": _verdict_record(timeline.overall),
        "timeline": [_answer_record(answer) for answer in timeline.answers],
        "segments": [_part_record(part) for part in timeline.parts],
        "nonfinite": timeline.nonfinite,
        "undecoded": timeline.undecoded,
        "failed": timeline.failed,
        **({"narrow_band": True} if timeline.narrow_band else {}),
    }


def _answer_record(answer: Answer) -> dict[str, Any]:
    window = answer.window
    return {
        "start_s": round(answer.start_s, 3),
        "end_s": round(answer.end_s, 3),
        "first_sample": window.first_sample,
        "last_sample": window.last_sample,
        **_verdict_record(answer.verdict),
        "level_dbfs": window.level_dbfs,
        "gain_db": window.gain_db,
    }


def _part_record(part: Part) -> dict[str, Any]:
    segment = part.segment
    answer = (
        {"reason": "unsure"} if segment.label is None else {"label": segment.label, "confidence": segment.confidence}
    )
    return {
        "start_s": round(part.start_s, 3),
        "end_s": round(part.end_s, 3),
        **answer,
        "probabilities": segment.probabilities,
        "windows": segment.windows,
    }


def _verdict_record(verdict: Verdict) -> dict[str, Any]:
    fields = ("label", "confidence", "probabilities", "reason")
    return {name: value for name in fields if (value := getattr(verdict, name)) is not None}


def _verdict(verdict: Verdict) -> str:
    if verdict.probabilities is None:
        return str(verdict.reason)
    best = sorted(verdict.probabilities.items(), key=lambda item: -item[1])[:3]
    shares = "  ".join(f"{label} {share:.0%}" for label, share in best)
    return shares if verdict.reason is None else f"{verdict.reason}: {shares}"


def _remarks(timeline: Timeline) -> str:
    remarks = [f"{timeline.seconds:.1f} s"]
    remarks += ["narrow-band"] if timeline.narrow_band else []
    for count, one, many in (
        (timeline.nonfinite, "sample was not a number", "samples were not numbers"),
        (timeline.undecoded, "damaged piece left out", "damaged pieces left out"),
        (timeline.failed, "window without a usable answer", "windows without a usable answer"),
    ):
        remarks += [counted(count, one, many)] if count else []
    return f"  ({', '.join(remarks)})"


def _clock(seconds: float) -> str:
    minutes, rest = divmod(seconds, 60)
    return f"{int(minutes):02}:{rest:04.1f}"


def _check_plot(plot: Path, paths: Sequence[Path | SourceError]) -> None:
    if len(paths) != 1:
        raise ConfigError(f"--plot draws one file, but {len(paths)} are named")
    if plot.exists() and not plot.is_file():
        raise ConfigError(f"--plot {plot} is a folder or a device, not a file")
    if not plot.parent.is_dir():
        raise ConfigError(f"--plot {plot}: there is no folder {plot.parent}")
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ConfigError("--plot needs matplotlib: pip install 'genred[plot]'") from error
    formats = sorted(Figure().canvas.get_supported_filetypes())
    if plot.suffix[1:].lower() not in formats:
        raise ConfigError(f"--plot {plot}: the name must end in one of .{', .'.join(formats)}")


def draw(timeline: Timeline, labels: tuple[str, ...], plot: Path) -> None:
    """Stack the probabilities of `timeline` over time into the picture `plot`, if there are any."""
    from matplotlib.figure import Figure

    judged = [answer for answer in timeline.answers if answer.verdict.probabilities]
    if not judged:
        click.echo(f"genred: no plot, because no window of {plain(str(timeline.path))} has a genre", err=True)
        return
    times = [answer.end_s for answer in judged]
    shares = [[(answer.verdict.probabilities or {})[label] for answer in judged] for label in labels]
    figure = Figure(figsize=(10, 4), layout="constrained")
    axes = figure.subplots()
    axes.stackplot(times, shares, labels=labels, colors=[f"C{i}" for i in range(len(labels))])
    axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), reverse=True)
    axes.set(xlabel="end of the window, s", ylabel="probability", ylim=(0, 1))
    axes.set_title(plain(timeline.path.name), parse_math=False)
    try:
        with warnings.catch_warnings(action="ignore", category=UserWarning):  # a letter that the font does not have
            figure.savefig(plot)
    except (OSError, ValueError) as error:
        raise GenredError(f"cannot write the plot {plot}: {error}") from error
