"""Pace: how far all runs of the comparison are, and how long the rest takes, by the notes of each."""

from __future__ import annotations

import json
from pathlib import Path

from . import gtzan, progress, recipe
from .rows import BASELINES, RUNS, Job

CONFIGS = Path(__file__).parents[1] / "configs"


def line(jobs: list[Job], left: set[str], side_by_side: int) -> str:
    """How far `jobs` are, of which those called as in `left` have not ended; `side_by_side` run at a time."""
    trained = [job for job in jobs if job.row not in BASELINES]
    epochs = {job.name: _epochs(job) for job in trained}
    ran = {job.name: len(_noted(job)) if job.name in left else epochs[job.name] for job in trained}
    ended = sum(job.name not in left for job in jobs)
    share = (sum(ran.values()) + ended) / max(sum(epochs.values()) + len(jobs), 1)
    return (
        f"reproduce {progress.bar(share)} {ended} of {len(jobs)} runs, {sum(ran.values())} of {sum(epochs.values())}"
        f" epochs, {_left([job for job in trained if job.name in left], side_by_side)}"
    )


def _left(jobs: list[Job], side_by_side: int) -> str:
    """Time that the epochs left of `jobs` take; of a row that has none yet, as long as the slowest takes."""
    paces = {job.row: pace for job in jobs if (pace := _seconds_a_track(job))}
    if not jobs:
        return "the quick ones left"
    if not paces:
        return "time left unknown before the first epoch"
    each = [(_epochs(job) - len(_noted(job))) * _tracks(job) * paces.get(job.row, max(paces.values())) for job in jobs]
    return f"{progress.clock(max(sum(each) / side_by_side, *each))} left"


def _epochs(job: Job) -> int:
    return recipe.read(CONFIGS / f"{job.row}.toml").epochs


def _tracks(job: Job) -> int:
    """Tracks of an epoch."""
    return len(gtzan.split(job.split, gtzan.TRACKS, 0).train)


def _seconds_a_track(job: Job) -> float:
    """Mean over the epochs of the run; 0 before the first of them."""
    speeds = [epoch["tracks_per_second"] for epoch in _noted(job)]
    return sum(1 / speed for speed in speeds) / len(speeds) if speeds else 0.0


def _noted(job: Job) -> list[dict[str, float]]:
    """Epochs as the run has noted them; the last line may be half written."""
    path = RUNS / job.name / "epochs.jsonl"
    lines = path.read_text().splitlines(keepends=True) if path.exists() else []
    return [json.loads(line) for line in lines if line.endswith("\n")]
