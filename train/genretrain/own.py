"""Own: how genred's network does on the splits of the paper's rows, at the full window and after a few seconds."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from . import bootstrap, horizons, judge
from .calibration import ROW
from .markdown import table

PARTS = {"random": (0, 1, 2), "filtered": (0,)}


def text(results: Path) -> str:
    """Tables of accuracy of the runs that have results below `results`, as Markdown."""
    whole, early = [], []
    for split, seeds in PARTS.items():
        names = [f"{ROW}-{split}-{seed}" for seed in seeds if (results / f"{ROW}-{split}-{seed}.json").exists()]
        if not names:
            continue
        runs = [judge.load(results / f"{name}.json") for name in names]
        for reading in ("last", "best"):
            shares = [judge.accuracy(run.readings[reading]) for run in runs]
            low, high = bootstrap.interval(shares, [len(run.readings[reading]) for run in runs])
            whole.append(
                (
                    split,
                    reading,
                    f"{100 * np.mean(shares):.1f}",
                    f"{100 * low:.1f} to {100 * high:.1f}",
                    ", ".join(f"{100 * share:.1f}" for share in shares),
                    ", ".join(str(run.touches) for run in runs),
                    f"`genretrain evaluate runs/{ROW}-{split}-{'$seed' if len(seeds) > 1 else seeds[0]} --data GTZAN`",
                )
            )
        by_horizon = zip(*(horizons.load(results.parent / "horizons" / f"{name}.json") for name in names), strict=True)
        early += [
            (
                split,
                f"{of[0].seconds:.1f}",
                f"{100 * np.mean([run.windows_right for run in of]):.1f}",
                f"{100 * np.mean([run.tracks_right for run in of]):.1f}",
                f"{np.mean([run.loss for run in of]):.3f}",
            )
            for of in by_horizon
        ]
    if not whole:
        return "Not judged yet."
    return "\n\n".join(
        [
            "The same tracks, splits, windows and readings as in the table above; `train/configs/genred.toml`, seeds"
            " of `random` 0, 1, 2.",
            table(("split", "reading", "accuracy, %", "95 % interval", "by seed", "looks", "command"), whole),
            "By what was heard before the answer, best by validation, calibrated: single windows of that length, and"
            " tracks by the mean over theirs; mean over seeds.",
            table(("split", "seconds", "windows right, %", "tracks right, %", "NLL of windows"), early),
        ]
    )
