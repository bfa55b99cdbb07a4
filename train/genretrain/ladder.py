"""Ladder: what each step from a bare network to genred's own brought, on validation tracks only.

Each step is a recipe in ``train/configs``; a step has the one before in it, where it does not say what else it has. No
test track was looked at.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from genred.errors import BadInputError

from . import atomic
from .markdown import table

PARTS = (("random", 0), ("random", 1), ("filtered", 0))
STEPS = {
    "ladder-1-network": "the network alone, on whole windows",
    "ladder-2-crops": "+ crops of every length from 3 s on",
    "ladder-3-colour": "+ gain, equaliser, tempo, pitch",
    "ladder-4-masks": "+ two stretches of time and two of bands hidden",
    "ladder-5-mixup": "+ mixup 0.3, smooth labels",
    "ladder-6-rooms": "+ rooms, noise, lines",
    "ladder-7-longer": "the same for 180 epochs",
    "genred": "gentler masks, mixup 0.1, fewer rooms, 260 epochs: chosen",
    "ladder-9-dry": "the chosen one without masks, rooms, noise, lines",
    "genred-outliers": "the chosen one, 30 epochs on beside sounds that are no music: shipped",
    "ladder-crnn": "beside it: the paper's network, 20 coefficients, in the recipe of step 6",
}
RESULTS = Path("train/results/ladder.json")
CUT = "valid_accuracy_"  # and the frames that windows were cut to, in the log of a run
LAST_EPOCHS = 10  # whose mean is told: one epoch swings by a point or two


@dataclass(frozen=True)
class Rung:
    """Validation accuracy of one run, in the mean over its last epochs: whole windows, and their first 3 and 5 s."""

    step: str
    split: str
    seed: int
    epochs: int
    whole: float
    after_3_s: float | None
    after_5_s: float | None


def collect(runs: Path, out: Path = RESULTS) -> None:
    """Write the rungs of the finished runs below `runs` to `out`.

    Raises
    ------
    BadInputError
        If a run is missing.
    """
    rungs = [_rung(runs, step, split, seed) for step in STEPS for split, seed in PARTS]
    lines = ",\n".join(json.dumps(rung.__dict__) for rung in rungs)
    atomic.write(out, f"[\n{lines}\n]\n")
    print(f"{out}: {len(rungs)} runs")


def _rung(runs: Path, step: str, split: str, seed: int) -> Rung:
    path = runs / f"{step}-{split}-{seed}" / "epochs.jsonl"
    if not path.exists():
        raise BadInputError(f"no {path}: run genretrain fit train/configs/{step}.toml --split {split} --seed {seed}")
    rows = [json.loads(line) for line in path.read_text().splitlines()]

    def mean(key: str) -> float:
        return round(float(np.mean([row[key] for row in rows[-LAST_EPOCHS:]])), 4)

    cut = sorted((key for key in rows[-1] if key.startswith(CUT)), key=lambda key: int(key.removeprefix(CUT)))
    after_3_s, after_5_s = [mean(key) for key in cut[:2]] if cut else (None, None)
    return Rung(step, split, seed, len(rows), mean("valid_accuracy"), after_3_s, after_5_s)


def text(path: Path) -> str:
    """Set the ladder out as Markdown."""
    if not path.exists():
        return "Not measured yet: `genretrain ladder --runs runs`."
    rungs = [Rung(**entry) for entry in json.loads(path.read_text())]
    lines = []
    for step, what in STEPS.items():
        of = [rung for rung in rungs if rung.step == step]
        lines.append(
            (
                what,
                f"`{step}.toml`",
                of[0].epochs,
                *(f"{100 * rung.whole:.1f}" for rung in of),
                f"{100 * np.mean([rung.whole for rung in of]):.1f}",
                *(_mean([getattr(rung, key) for rung in of]) for key in ("after_3_s", "after_5_s")),
            )
        )
    head = ("step", "recipe", "epochs", *(f"{split}, seed {seed}" for split, seed in PARTS), "mean", "3 s", "5 s")
    return (
        "Validation accuracy in per cent, whole windows, mean over the last ten epochs; and of windows cut to their"
        " first 3 and 5 s, mean over the three parts. A hundred tracks of `random` are one point each; the validation"
        f" part of `filtered` has 197.\n\n{table(head, lines)}"
    )


def _mean(shares: list[float | None]) -> str:
    known = [share for share in shares if share is not None]
    return f"{100 * np.mean(known):.1f}" if known else ""
