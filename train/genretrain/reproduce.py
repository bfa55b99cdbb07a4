"""Reproduce: every run of the comparison with the paper, some side by side, each as the command one would type.

A run that has its results is done, and one that was cut off goes on from its last epoch: the same command again does
what is left. What a run prints is in ``<run>.log`` beside its folder.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from pathlib import Path

from genred.errors import GenredError

from . import dataset, gtzan, judge, pace, progress, report
from .rows import RUNS, Job, jobs

ABLATION = judge.RESULTS.parent / "ablation.json"
PREPARED = Path("data/gtzan")
SHOWN_EVERY_S = 30.0

Run = Callable[[str, list[list[str]]], str]  # runs the commands of what is called so; answers why it failed, or nothing


def commands(name: str, typed: list[list[str]]) -> str:
    """Run the commands `typed`; returns the last line of the log of `name` if one failed, else nothing."""
    path = RUNS / f"{name}.log"
    try:
        for arguments in typed:
            if code := _run_logged(arguments, path):
                return path.read_text().strip().rpartition("\n")[2] or f"exit code {code}"
    except OSError as error:
        return f"cannot write {path}: {error.strerror}"
    return ""


def _run_logged(arguments: list[str], path: Path) -> int:
    one_thread = os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    program = [sys.executable, "-c", "from genretrain.cli import main; main()"]
    with path.open("a") as log:
        return subprocess.run([*program, *arguments], stdout=log, stderr=log, env=one_thread, check=False).returncode


def reproduce(data: Path, device: str = "cpu", side_by_side: int = 2, run: Run = commands) -> None:
    """Run what has no results yet, and write the report.

    Raises
    ------
    BadInputError
        If `data` is not GTZAN.
    GenredError
        If a run failed; the others were run all the same.
    """
    log_mels = _log_mels(data)
    dataset.load(log_mels)
    left = {job.name: job.commands(str(log_mels), device) for job in jobs() if not _results(job).exists()}
    if not ABLATION.exists():
        if gtzan.audio_files(data):
            left["ablation"] = [["ablation", "--data", str(data)]]
        else:
            _tell_no_audio(data)
    RUNS.mkdir(exist_ok=True)
    failed = _run_all(left, side_by_side, run)
    report.write()
    if failed:
        raise GenredError(
            f"{len(failed)} of {len(left)} runs failed: {'; '.join(failed)}; the same command tries again"
        )


def _results(job: Job) -> Path:
    return judge.RESULTS / f"{job.name}.json"


def _log_mels(data: Path) -> Path:
    """Where the log-mels are: in `data`, or made from its audio."""
    if gtzan.archives(data) or not gtzan.audio_files(data):
        return data
    if len(gtzan.archives(PREPARED)) < len(gtzan.GENRES):
        dataset.prepare(data, PREPARED)
    print(f"{data} has audio only: its log-mels are in {PREPARED}")
    return PREPARED


def _tell_no_audio(data: Path) -> None:
    print(
        f"NOT RUN: the ablation of zero crossing rate and chroma, for there is no audio in {data}."
        " Run genretrain ablation --data GTZAN where there is.",
        file=sys.stderr,
    )


def _run_all(left: dict[str, list[list[str]]], side_by_side: int, run: Run) -> list[str]:
    """Run everything in `left`; returns what failed, each with its reason."""
    with ThreadPoolExecutor(side_by_side) as pool:
        running = {pool.submit(run, name, typed): name for name, typed in left.items()}
        try:
            _watch(running, side_by_side)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return [f"{name} ({future.result()})" for future, name in running.items() if future.result()]


def _watch(running: dict[Future[str], str], side_by_side: int) -> None:
    """Show how far all runs are, until the last has ended."""
    pending: set[Future[str]] = set(running)
    while pending:
        progress.draw(pace.line(jobs(), {running[future] for future in pending}, side_by_side))
        _, pending = wait(pending, timeout=SHOWN_EVERY_S, return_when=FIRST_COMPLETED)
    progress.end()
