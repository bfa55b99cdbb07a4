"""Reproduce: every run of the comparison with the paper, some side by side, each as the command one would type.

A run that has its results is done, and one that was cut off goes on from its last epoch: the same command again does
what is left. What a run prints is in ``<run>.log`` beside its folder.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from genred.errors import GenredError

from . import dataset, judge, report
from .progress import Progress
from .rows import RUNS, Job, jobs

Run = Callable[[Job, Path, str], str]  # runs a job; answers why it failed, or nothing


def commands(job: Job, data: Path, device: str) -> str:
    """Run the commands of `job`; returns the last line of its log if one failed, else nothing."""
    path = RUNS / f"{job.name}.log"
    one_thread = os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    for arguments in job.commands(str(data), device):
        with path.open("a") as log:
            done = subprocess.run(
                [sys.executable, "-c", "from genretrain.cli import main; main()", *arguments],
                stdout=log,
                stderr=log,
                env=one_thread,
                check=False,
            )
        if done.returncode:
            return path.read_text().strip().rpartition("\n")[2] or f"exit code {done.returncode}"
    return ""


def reproduce(data: Path, device: str = "cpu", side_by_side: int = 2, run: Run = commands) -> None:
    """Run what has no results yet, and write the report.

    Raises
    ------
    BadInputError
        If `data` is not GTZAN.
    GenredError
        If a run failed; the others were run all the same.
    """
    dataset.load(data)
    every = jobs()
    left = [job for job in every if not (judge.RESULTS / f"{job.name}.json").exists()]
    RUNS.mkdir(exist_ok=True)
    failed = []
    with ThreadPoolExecutor(side_by_side) as pool:
        running = [(job, pool.submit(run, job, data, device)) for job in left]
        try:
            for job, done in Progress(running, "reproduce", done=len(every) - len(left)):
                if reason := done.result():
                    failed.append(f"{job.name} ({reason})")
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    report.write()
    if failed:
        raise GenredError(
            f"{len(failed)} of {len(every)} runs failed: {'; '.join(failed)}; the same command tries again"
        )
