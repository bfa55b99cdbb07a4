"""What section V of the paper claims, each beside the numbers of our own runs that speak for or against it."""

from __future__ import annotations

import numpy as np

from . import gtzan, judge
from .figures import confusion
from .judge import Judged

Runs = dict[tuple[str, str], list[Judged]]  # by row and split
PAPERS = ("crnn-plain", "cnn", "dnn")  # the rows that are the paper's own


def text(runs: Runs) -> str:
    """A paragraph for each claim, on the random split and the last epoch, as the paper; of the rows there are."""
    drawn = {row: runs[row, "random"] for row in PAPERS if (row, "random") in runs}
    if not drawn:
        return f"None of the paper's own rows ({', '.join(PAPERS)}) has results yet."
    paragraphs = [_ordering(drawn)]
    for row, of in drawn.items():
        curves = [run.curve for run in of if run.curve and all("test_accuracy" in epoch for epoch in run.curve)]
        paragraphs += [_confusions(row, of)] + ([_stable(row, curves), _overfitting(row, of)] if curves else [])
    return "\n\n".join(paragraphs)


def mean_accuracy(runs: list[Judged], reading: str) -> float:
    """Mean over `runs` of the share of tracks answered right."""
    return float(np.mean([judge.accuracy(run.readings[reading]) for run in runs]))


def _ordering(drawn: dict[str, list[Judged]]) -> str:
    ranked = sorted(drawn.items(), key=lambda entry: -mean_accuracy(entry[1], "last"))
    order = ", ".join(f"{row} {100 * mean_accuracy(of, 'last'):.1f} %" for row, of in ranked)
    return (
        "**Ordering.** The paper has CRNN before DNN before CNN by its figures (72, 65 and 50 %), and CNN before DNN by"
        f" its section V.2. Ours, last epoch: {order}."
    )


def _confusions(row: str, of: list[Judged]) -> str:
    counts = confusion(of, "last")
    rock, metal, classical, hiphop = (gtzan.GENRES.index(g) for g in ("rock", "metal", "classical", "hiphop"))
    both = counts + counts.T
    np.fill_diagonal(both, 0)
    first, second = np.unravel_index(both.argmax(), both.shape)
    return (
        f"**Rock and metal, classical and hip-hop ({row}).** The paper mixes up the first pair and not the second. Of"
        f" {counts[rock].sum()} rock tracks {counts[rock, metal]} were answered with metal, of"
        f" {counts[metal].sum()} metal tracks {counts[metal, rock]} with rock; between classical and hip-hop there were"
        f" {both[classical, hiphop]} mistakes. The pair mixed up most is"
        f" {gtzan.GENRES[first]} and {gtzan.GENRES[second]}: {both[first, second]}."
    )


def _stable(row: str, curves: list[list[dict[str, float]]]) -> str:
    """Accuracy on test tracks in the last 20 epochs against the 20 before them."""
    test = [[100 * epoch["test_accuracy"] for epoch in curve] for curve in curves]
    before, after = (np.array([run[-start:][:20] for run in test]) for start in (40, 20))  # [runs, 20]
    return (
        f"**Stable after epoch 50 ({row}).** Test accuracy over the last 20 epochs is {after.mean():.1f} % in the mean,"
        f" and {before.mean():.1f} % over the 20 before; from epoch to epoch it deviates by"
        f" {after.std(axis=1).mean():.1f} and {before.std(axis=1).mean():.1f} points."
    )


def _overfitting(row: str, of: list[Judged]) -> str:
    last = [run.curve[-1] for run in of]
    train, loss, lowest = (
        float(np.mean(values))
        for values in (
            [epoch["train_accuracy"] for epoch in last],
            [epoch["valid_loss"] for epoch in last],
            [min(epoch["valid_loss"] for epoch in run.curve) for run in of],
        )
    )
    return (
        f"**No overfitting ({row}).** The paper ends at nearly 98 % on its training set and sees none. Ours ends at"
        f" {100 * train:.1f} % of the training crops and {100 * mean_accuracy(of, 'last'):.1f} % of the test tracks;"
        f" the validation loss ends at {loss:.2f}, its lowest was {lowest:.2f}."
    )
