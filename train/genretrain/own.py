"""Own: how genred's network does on the splits of the paper's rows, at the full window and after a few seconds."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import numpy as np

from . import bootstrap, horizons, judge
from .horizons import Horizon
from .judge import Judged
from .markdown import table

ROWS = ("genred", "genred-outliers")
PARTS = {"random": (0, 1, 2), "filtered": (0,)}


def text(results: Path) -> str:
    """Tables of accuracy of the runs that have results below `results`, as Markdown."""
    whole: list[tuple[str, ...]] = []
    early: list[tuple[str, ...]] = []
    for row, (split, seeds) in product(ROWS, PARTS.items()):
        names = [f"{row}-{split}-{seed}" for seed in seeds if (results / f"{row}-{split}-{seed}.json").exists()]
        if not names:
            continue
        seed = "$seed" if len(seeds) > 1 else seeds[0]
        command = f"`genretrain evaluate runs/{row}-{split}-{seed} --data GTZAN`"
        runs = [judge.load(results / f"{name}.json") for name in names]
        whole += [(row, split, reading, *_accuracy(runs, reading), command) for reading in ("last", "best")]
        by_horizon = zip(*(horizons.load(results.parent / "horizons" / f"{name}.json") for name in names), strict=True)
        early += [(row, split, *_at(list(of))) for of in by_horizon]
    if not whole:
        return "Not judged yet."
    return "\n\n".join(
        [
            "The same tracks, splits, windows and readings as in the table above; seeds of `random` 0, 1, 2. The recipe"
            " `genred-outliers` goes on from the best epoch of `genred`; of it the last epoch counts.",
            table(("recipe", "split", "reading", "accuracy, %", "95 % interval", "by seed", "looks", "command"), whole),
            "By what was heard before the answer, best by validation, calibrated: single windows of that length, and"
            " tracks by the mean over theirs; mean over seeds.",
            table(("recipe", "split", "seconds", "windows right, %", "tracks right, %", "NLL of windows"), early),
        ]
    )


def _accuracy(runs: list[Judged], reading: str) -> tuple[str, ...]:
    """Mean accuracy of one reading of some runs, its interval, that of each, and looks."""
    shares = [judge.accuracy(run.readings[reading]) for run in runs]
    low, high = bootstrap.interval(shares, [len(run.readings[reading]) for run in runs])
    return (
        f"{100 * np.mean(shares):.1f}",
        f"{100 * low:.1f} to {100 * high:.1f}",
        ", ".join(f"{100 * share:.1f}" for share in shares),
        ", ".join(str(run.touches) for run in runs),
    )


def _at(of: list[Horizon]) -> tuple[str, ...]:
    """Means over runs at one horizon."""
    return (
        f"{of[0].seconds:.1f}",
        f"{100 * np.mean([run.windows_right for run in of]):.1f}",
        f"{100 * np.mean([run.tracks_right for run in of]):.1f}",
        f"{np.mean([run.loss for run in of]):.3f}",
    )
