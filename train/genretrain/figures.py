"""Pictures of the report: curves by epoch (the paper's figures 3 to 5), confusion matrices (6 to 8)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from . import gtzan
from .judge import Judged

CURVES = {"train_accuracy": "training", "valid_accuracy": "validation", "test_accuracy": "test"}
COLOURS = ("tab:blue", "tab:orange", "tab:green")


def confusion(runs: list[Judged], reading: str) -> NDArray[np.int64]:
    """Counts [K, K] over all `runs`: truth down, answer across."""
    counts = np.zeros((len(gtzan.GENRES), len(gtzan.GENRES)), np.int64)
    for run in runs:
        for name, genre in run.readings[reading].items():
            counts[gtzan.GENRES.index(gtzan.genre_of(name)), gtzan.GENRES.index(genre)] += 1
    return counts


def draw_confusion(runs: list[Judged], reading: str, title: str, path: Path) -> None:
    """Draw the share of each genre's tracks by answer, in per cent, over all `runs`."""
    counts = confusion(runs, reading)
    percent = 100 * counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    figure = Figure(figsize=(7, 6), layout="constrained")
    axes = figure.subplots()
    axes.imshow(percent, cmap="Blues", vmin=0, vmax=100)
    for (row, column), value in np.ndenumerate(percent):
        if counts[row, column]:
            colour = "white" if value > 50 else "black"
            axes.text(column, row, f"{value:.0f}", ha="center", va="center", color=colour)
    axes.set_xticks(range(len(gtzan.GENRES)), gtzan.GENRES, rotation=45, ha="right")
    axes.set_yticks(range(len(gtzan.GENRES)), gtzan.GENRES)
    axes.set(title=f"{title}, % of each genre's tracks", xlabel="answer", ylabel="truth")
    figure.savefig(path, dpi=100)


def draw_curves(runs: list[Judged], title: str, path: Path) -> None:
    """Draw accuracy by epoch: each run thin, their mean thick."""
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    for (key, label), colour in zip(CURVES.items(), COLOURS, strict=True):
        rows = [[100 * epoch[key] for epoch in run.curve] for run in runs if all(key in epoch for epoch in run.curve)]
        for row in rows:
            axes.plot(range(1, len(row) + 1), row, color=colour, linewidth=0.5, alpha=0.5)
        if rows:
            shortest = min(len(row) for row in rows)
            mean = np.mean([row[:shortest] for row in rows], axis=0)
            axes.plot(range(1, shortest + 1), mean, color=colour, label=label)
    axes.set(title=title, xlabel="epoch", ylabel="accuracy, %", ylim=(0, 100))
    axes.grid(alpha=0.3)
    axes.legend(loc="lower right")
    figure.savefig(path, dpi=100)
