"""Pictures of the report: curves by epoch (the paper's figures 3 to 5), confusion matrices (6 to 8)."""

from __future__ import annotations

import io
import os
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from . import atomic, gtzan
from .judge import Judged

CURVES = {"train_accuracy": "training", "valid_accuracy": "validation", "test_accuracy": "test"}
COLOURS = ("tab:blue", "tab:orange", "tab:green")
READINGS = {"last": "last epoch", "best": "best by validation"}


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
    figure = Figure(figsize=(7.5, 6.5), layout="constrained")
    axes = figure.subplots()
    axes.imshow(percent, cmap="Blues", vmin=0, vmax=100)
    for (row, column), value in np.ndenumerate(percent):
        if counts[row, column]:
            colour = "white" if value > 50 else "black"
            weight = "bold" if row == column else "normal"
            axes.text(column, row, f"{value:.0f}", ha="center", va="center", color=colour, weight=weight, size=11)
    names = [f"{genre} ({n})" for genre, n in zip(gtzan.GENRES, counts.sum(axis=1), strict=True)]
    axes.set_xticks(range(len(gtzan.GENRES)), gtzan.GENRES, rotation=45, ha="right", rotation_mode="anchor")
    axes.set_yticks(range(len(gtzan.GENRES)), names)
    axes.set_xticks(np.arange(len(gtzan.GENRES) - 1) + 0.5, minor=True)
    axes.set_yticks(np.arange(len(gtzan.GENRES) - 1) + 0.5, minor=True)
    axes.grid(which="minor", color="lightgray", linewidth=0.5)
    axes.tick_params(which="both", length=0)
    right = 100 * counts.trace() / counts.sum()
    axes.set(xlabel="answer", ylabel="truth (tracks, all seeds)")
    axes.set_title(f"{title}, {READINGS[reading]}: {right:.1f} % right\nper cent of each genre's tracks", size=12)
    _save(figure, path)


def draw_curves(runs: list[Judged], title: str, path: Path) -> None:
    """Draw accuracy by epoch: the mean over `runs`, and from the lowest to the highest of them."""
    figure = Figure(figsize=(7.5, 4.5), layout="constrained")
    axes = figure.subplots()
    for (key, label), colour in zip(CURVES.items(), COLOURS, strict=True):
        rows = [[100 * epoch[key] for epoch in run.curve] for run in runs if all(key in epoch for epoch in run.curve)]
        if rows:
            shortest = min(len(row) for row in rows)
            values = np.array([row[:shortest] for row in rows])  # [runs, epochs]
            epochs = range(1, shortest + 1)
            axes.fill_between(epochs, values.min(axis=0), values.max(axis=0), color=colour, alpha=0.2, linewidth=0)
            axes.plot(
                epochs, values.mean(axis=0), color=colour, label=f"{label}, {values[:, -1].mean():.0f} % at the end"
            )
    seeds = f"mean and range of {len(runs)} seeds" if len(runs) > 1 else "one seed"
    axes.set(xlabel="epoch", ylabel="accuracy, %", ylim=(0, 100), yticks=range(0, 101, 10))
    axes.set_xlim(1, max(len(run.curve) for run in runs))
    axes.set_title(f"{title}: {seeds}", size=12)
    axes.grid(alpha=0.3)
    axes.legend(loc="lower right")
    _save(figure, path)


def draw_reliability(
    samples: list[tuple[float, NDArray[np.float64], NDArray[np.float64]]], bins: int, path: Path
) -> None:
    """Draw the share right against the confidence, in `bins`, of each of `samples`: seconds, confidence, right."""
    figure = Figure(figsize=(10, 3.2), layout="constrained")
    every = figure.subplots(1, len(samples), sharey=True, squeeze=False)[0]
    for axes, (seconds, confidence, right) in zip(every, samples, strict=True):
        where = np.minimum((confidence * bins).astype(int), bins - 1)
        n = np.bincount(where, minlength=bins)
        held = n > 0
        means = np.bincount(where, confidence, minlength=bins)[held] / n[held]
        shares = np.bincount(where, right, minlength=bins)[held] / n[held]
        axes.plot([0, 1], [0, 1], color="gray", linewidth=1)
        axes.errorbar(means, shares, np.sqrt(shares * (1 - shares) / n[held]), fmt=".", color="tab:blue")
        axes.bar((np.arange(bins) + 0.5) / bins, 0.3 * n / n.max(), 0.9 / bins, color="lightsteelblue")
        axes.set(title=f"{seconds:.0f} s", xlabel="confidence", xlim=(0, 1), ylim=(0, 1.02))
    every[0].set_ylabel("share right; bars: how many")
    _save(figure, path)


def beside(picture: Path, text: Path) -> str:
    """Path of `picture` as a link in `text`."""
    return os.path.relpath(picture, text.parent)


def _save(figure: Figure, path: Path) -> None:
    """Without the library's version, which would change every file with it."""
    picture = io.BytesIO()
    figure.savefig(picture, format="png", dpi=110, metadata={"Software": None})
    atomic.write(path, picture.getvalue())
