"""Calibration: whether what is said with 80 % is right four times out of five.

The expected calibration error (Naeini, Cooper and Hauskrecht 2015) sorts answers into bins by their confidence, and
takes the mean gap between confidence and share right, weighted by the bins' sizes. Of few answers it is never 0, of a
perfect model neither: `debiased` takes off what chance adds, and `of_a_perfect_model` says how much that is.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from . import figures, gtzan, horizons
from .horizons import Horizon
from .markdown import table

BINS = 15
DRAWS = 2000
PERFECT = 100  # draws of a perfect model
ROW = "genred-outliers"

Shares = NDArray[np.float64]  # [N]


def bins(confidence: Shares) -> NDArray[np.int64]:
    """Number of the bin of each confidence; bins of the same width over 0 to 1."""
    return np.minimum((confidence * BINS).astype(np.int64), BINS - 1)


def error(confidence: Shares, right: Shares) -> float:
    """Expected calibration error over 15 bins."""
    where = bins(confidence)
    gaps = np.abs(np.bincount(where, confidence - right, minlength=BINS))
    return float(gaps.sum() / len(confidence))


def debiased(confidence: Shares, right: Shares) -> float:
    """The same less the part that chance adds (Kumar, Liang and Ma 2019, section 5, for the absolute error).

    The share right in each bin is drawn anew around what was seen, with its binomial deviation; by as much as that
    raises the error, chance had raised it before. Not below 0.
    """
    where = bins(confidence)
    n = np.bincount(where, minlength=BINS)
    held = n > 0
    shares = np.bincount(where, right, minlength=BINS)[held] / n[held]
    means = np.bincount(where, confidence, minlength=BINS)[held] / n[held]
    deviation = np.sqrt(shares * (1 - shares) / n[held])
    drawn = np.random.default_rng(0).normal(shares, deviation, (DRAWS, len(shares)))
    weights = n[held] / n.sum()
    noisy = float((np.abs(drawn - means) @ weights).mean())
    plain = float(np.abs(shares - means) @ weights)
    return max(2 * plain - noisy, 0.0)


def of_a_perfect_model(confidence: Shares) -> float:
    """Mean of `debiased` if answers of these confidences were right exactly as often as they say."""
    rng = np.random.default_rng(0)
    drawn = [debiased(confidence, (rng.random(len(confidence)) < confidence).astype(float)) for _ in range(PERFECT)]
    return float(np.mean(drawn))


def pooled(folder: Path) -> list[list[Horizon]]:
    """By horizon, what each of the folds did; nothing if a fold is missing."""
    paths = [folder / f"{ROW}-fold-{fold}.json" for fold in range(gtzan.FOLDS)]
    if not all(path.exists() for path in paths):
        return []
    return [list(of) for of in zip(*(horizons.load(path) for path in paths), strict=True)]


def sample(of: list[Horizon], raw: bool = False) -> tuple[Shares, Shares]:
    """Confidence and correctness [N] of the middle window of every track of all folds."""
    confidence = np.concatenate([fold.raw_confidence if raw else fold.confidence for fold in of])
    return confidence, np.concatenate([fold.right for fold in of]).astype(float)


def text(pictures: Path, out: Path, folder: Path) -> str:
    """Set out the calibration of genred's own network over five folds, as Markdown, with its reliability diagram."""
    by_horizon = pooled(folder)
    if not by_horizon:
        return "Not measured yet: `genretrain evaluate runs/genred-outliers-fold-K --data GTZAN`, K from 0 to 4."
    lines = []
    for of in by_horizon:
        raw, calibrated = sample(of, raw=True), sample(of)
        lines.append(
            (
                f"{of[0].seconds:.1f}",
                len(calibrated[0]),
                f"{100 * calibrated[1].mean():.1f}",
                f"{debiased(*raw):.3f}",
                f"{debiased(*calibrated):.3f}",
                f"{of_a_perfect_model(calibrated[0]):.3f}",
                f"{error(*calibrated):.3f}",
                f"{np.mean([fold.loss for fold in of]):.3f}",
                f"{np.mean([fold.brier for fold in of]):.3f}",
                ", ".join(f"{fold.temperature:.2f}" for fold in of),
            )
        )
    head = (
        "horizon, s",
        "tracks",
        "right, %",
        "ECE before",
        "ECE",
        "ECE of a perfect model",
        "ECE, not debiased",
        "NLL",
        "Brier",
        "temperatures",
    )
    picture = pictures / f"{ROW}-reliability.png"
    figures.draw_reliability([(of[0].seconds, *sample(of)) for of in by_horizon], BINS, picture)
    return (
        "Five disjoint folds, each with a network of its own and temperatures fitted on its own validation tracks; one"
        " window of every held-out track, the middle one; 15 bins, debiased. NLL and Brier are of all windows.\n\n"
        + table(head, lines)
        + f"\n\n![reliability diagram]({figures.beside(picture, out)})"
    )
