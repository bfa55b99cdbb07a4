"""Assumptions: every setting of every recipe, beside what the paper says of it, which is little."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np

from genred.classify import HOP_FRAMES

from . import baselines, checkpoint, gtzan, recipe, rows
from .claims import Runs
from .loop import VALIDATION_HOP
from .markdown import table
from .recipe import Recipe

CONFIGS = Path(__file__).parents[1] / "configs"
SAID = {  # by the paper
    "network": "CRNN: IV.C; of CNN and DNN nothing",
    "split": "80:20; no validation part",
    "window": "fixed length of 1000",
    "epochs": "70",
    "spec": "MFCC; not how many, nor of what",
}
SHAPES = {
    "crnn": "3 x (convolution 3x3, ReLU, batch normalisation, halving; 64, 128, 256 filters), LSTM 256, LSTM 128,"
    " dense 64, dropout 0.5, 10",
    "cnn": "the same convolutions, mean over time, dense 64, dropout 0.5, 10",
    "dnn": "the window as one vector, dense 512, 256 and 64 with dropout 0.5, 10",
}

_HEAD = """\
The paper is silent on most of this. What is ours:

- **Normalisation**: each coefficient by its own mean and deviation over all frames of the training part (axis: frames
  and tracks), kept in the network. The level of a track is first set by the daemon's gain rule.
- **Crops**: an epoch takes one crop of every training track, at a place drawn anew.
- **Optimiser**: AdamW, which without decay is Adam; gradients clipped to a norm of 1.
- **Validation**: an eighth of the paper's 80 % is learnt by no row; it chooses epochs and hyperparameters.
- **Windows** of a track are {hop} frames apart for the results; {seen} apart in the curves and for validation."""


def text(runs: Runs) -> str:
    """Settings that all recipes share, those in which they differ, networks and their cost, the baselines' grids."""
    plans = {name: recipe.read(CONFIGS / f"{name}.toml") for name in rows.NETWORKS}
    return "\n\n".join(
        [_HEAD.format(seen=VALIDATION_HOP, hop=HOP_FRAMES), _settings(plans), _networks(plans, runs), _baselines()]
    )


def _settings(plans: dict[str, Recipe]) -> str:
    """Two tables: what is the same for all, by record of the recipe, and what is not, by setting."""
    nested = {name: dataclasses.asdict(plan) for name, plan in plans.items()}
    values = {key: [of[key] for of in nested.values()] for key in next(iter(nested.values())) if key != "seed"}
    same = {key: of[0] for key, of in values.items() if all(value == of[0] for value in of)}
    differing = {key: of for key, of in values.items() if key not in same}
    return "\n\n".join(
        [
            "The same for all networks:",
            table(("setting", "value", "the paper"), [(k, _shown(v), SAID.get(k, "")) for k, v in same.items()]),
            "Not the same:",
            table(("setting", *plans, "the paper"), [line for k, of in differing.items() for line in _lines(k, of)]),
        ]
    )


def _lines(key: str, values: list[Any]) -> list[tuple[str, ...]]:
    """One line, or of nested settings one for each that differs."""
    if not isinstance(values[0], dict):
        return [(key, *(_shown(value) for value in values), SAID.get(key, ""))]
    inner = {name: [of[name] for of in values] for name in values[0]}
    return [line for name, of in inner.items() if len({str(v) for v in of}) > 1 for line in _lines(f"{key}.{name}", of)]


def _shown(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {_shown(inner)}" for key, inner in value.items())
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)


def _networks(plans: dict[str, Recipe], runs: Runs) -> str:
    lines = []
    for name, plan in plans.items():
        parameters = sum(weights.numel() for weights in checkpoint.untrained(plan).parameters())
        lines.append((name, SHAPES[plan.network], f"{parameters:,}", *_cost(name, runs)))
    head = ("row", "network", "parameters", "tracks a second", "minutes a run")
    return f"Networks, and what a run on `random` cost, two side by side on one CPU:\n\n{table(head, lines)}"


def _cost(row: str, runs: Runs) -> tuple[str, str]:
    """Speed and time of training, median over the runs on `random`; epochs are as long as the tracks are many."""
    curves = [run.curve for run in runs.get((row, "random"), []) if all("tracks_per_second" in e for e in run.curve)]
    speeds = [float(np.median([epoch["tracks_per_second"] for epoch in curve])) for curve in curves if curve]
    if not speeds:
        return "", ""
    tracks = len(gtzan.random_split(gtzan.TRACKS, seed=0).train)
    epochs, speed = max(len(curve) for curve in curves), float(np.median(speeds))
    return f"{speed:.0f}", f"{epochs * tracks / speed / 60:.0f}"


def _baselines() -> str:
    grids = "; ".join(
        f"{name}: {', '.join(f'{key} {_listed(values)}' for key, values in grid.items())}"
        for name, grid in baselines.CHOICES.items()
    )
    return (
        "Baselines: mean and deviation of each coefficient and of its difference from frame to frame, by window;"
        f" standardised; settings chosen on the validation part among {grids}; a forest has {baselines.TREES} trees."
    )


def _listed(values: list[Any]) -> str:
    return " / ".join(map(str, values))
