"""What the paper claims of its results, each claim beside the numbers of our own runs that speak for or against it."""

from __future__ import annotations

from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from . import bootstrap, gtzan, judge, markdown
from .figures import confusion
from .judge import Judged

Runs = dict[tuple[str, str], list[Judged]]  # by row and split
PAPERS = ("crnn-plain", "cnn", "dnn")  # the rows that are the paper's own
OURS = "crnn"  # the same network, trained by the recipe that we found best on validation parts
SETTLED = 50  # epoch, by the paper

Drawn = dict[str, list[Judged]]  # by row, the runs on the random split
Curves = dict[str, list[list[dict[str, float]]]]  # by row, the curves of its runs


def text(runs: Runs) -> str:
    """A paragraph for each claim, on the random split and the last epoch, as the paper; of the rows there are."""
    drawn = {row: runs[row, "random"] for row in (*PAPERS, OURS) if (row, "random") in runs}
    if not set(PAPERS) & set(drawn):
        return f"None of the paper's own rows ({', '.join(PAPERS)}) has results yet."
    curved = {
        row: curves
        for row, of in drawn.items()
        if (curves := [run.curve for run in of if run.curve and all("test_accuracy" in epoch for epoch in run.curve)])
    }
    paragraphs = [_ordering(drawn), _confusions(drawn), _excels(drawn), _alike(drawn)]
    if curved:
        paragraphs += [_stable(curved), _overfitting(curved)]
    head = (
        f"The paper's rows are {', '.join(PAPERS)}; `{OURS}` is the paper's CRNN trained by our own recipe. `random`,"
        " last epoch, all seeds together."
    )
    return "\n\n".join([head, *paragraphs])


def mean_accuracy(runs: list[Judged], reading: str) -> float:
    """Mean over `runs` of the share of tracks answered right."""
    return float(np.mean([judge.accuracy(run.readings[reading]) for run in runs]))


def _ordering(drawn: Drawn) -> str:
    ranked = sorted(drawn.items(), key=lambda entry: -mean_accuracy(entry[1], "last"))
    order = ", ".join(f"{row} {100 * mean_accuracy(of, 'last'):.1f} %" for row, of in ranked)
    lines = []
    for (one, of_one), (other, of_other) in combinations(ranked, 2):
        if apart := differences(of_one, of_other):
            low, high = bootstrap.paired(apart)
            mean = float(np.mean([run.mean() for run in apart]))
            lines.append(
                (f"{one} before {other}", markdown.points(mean, (low, high)), "yes" if low > 0 else "not clear")
            )
    head = (
        "**Ordering.** The paper has CRNN before DNN before CNN by its figures (72, 65 and 50 %), and CNN before DNN by"
        f" its section V.2. Ours, last epoch: {order}."
    )
    if not lines:
        return head
    columns = ("order", "difference on the same tracks, points (95 %)", "clear of 0")
    return f"{head}\n\n{markdown.table(columns, lines)}"


def differences(one: list[Judged], other: list[Judged]) -> list[NDArray[np.int64]]:
    """Of each seed that both have: by track 1 where only `one` is right, -1 where only `other`, else 0."""
    others = {run.seed: run.readings["last"] for run in other}
    return [
        np.array(
            [
                int(genre == (truth := gtzan.genre_of(name))) - int(others[run.seed][name] == truth)
                for name, genre in run.readings["last"].items()
            ]
        )
        for run in one
        if set(others.get(run.seed, ())) == set(run.readings["last"])
    ]


def _share(counts: NDArray[np.int64], one: str, other: str) -> str:
    """Tracks of two genres that were answered with the other one of them, of all of both."""
    i, j = gtzan.GENRES.index(one), gtzan.GENRES.index(other)
    return f"{counts[i, j] + counts[j, i]} of {counts[[i, j]].sum()}"


def _confusions(drawn: Drawn) -> str:
    lines = []
    for row, of in drawn.items():
        counts = confusion(of, "last")
        rock, metal = (gtzan.GENRES.index(genre) for genre in ("rock", "metal"))
        lines.append(
            (
                row,
                f"{counts[rock, metal]} of {counts[rock].sum()}",
                f"{counts[metal, rock]} of {counts[metal].sum()}",
                _share(counts, "classical", "hiphop"),
            )
        )
    head = ("row", "rock answered with metal", "metal answered with rock", "classical and hip-hop mixed up")
    return (
        "**Rock and metal, classical and hip-hop.** The paper's CRNN mixes up the first pair and tells the second"
        f" apart.\n\n{markdown.table(head, lines)}"
    )


def _excels(drawn: Drawn) -> str:
    pairs = (("classical", "jazz"), ("pop", "rock"))
    counts = {row: confusion(of, "last") for row, of in drawn.items()}
    lines = [(row, *(_share(of, *pair) for pair in pairs)) for row, of in counts.items()]
    head = ("row", *(f"{one} and {other} mixed up" for one, other in pairs))
    least = [f"{one} and {other} by {_least(counts, one, other)}" for one, other in pairs]
    return (
        "**Classical against jazz, pop against rock.** The abstract has the CRNN excel at these, which are complex"
        f" in time. If so, it mixes up fewer of their tracks than CNN and DNN do. Fewest are mixed up of"
        f" {', of '.join(least)}.\n\n{markdown.table(head, lines)}"
    )


def _least(counts: dict[str, NDArray[np.int64]], one: str, other: str) -> str:
    """Rows that mix up the fewest tracks of two genres."""
    i, j = gtzan.GENRES.index(one), gtzan.GENRES.index(other)
    mistakes = {row: of[i, j] + of[j, i] for row, of in counts.items()}
    return " and ".join(row for row, n in mistakes.items() if n == min(mistakes.values()))


def _alike(drawn: Drawn) -> str:
    lines = []
    for row, of in drawn.items():
        counts = confusion(of, "last")
        both = np.triu(counts + counts.T, 1)
        worst = [np.unravel_index(i, both.shape) for i in np.argsort(-both, axis=None, kind="stable")[:3]]
        lines.append((row, "; ".join(f"{gtzan.GENRES[i]} and {gtzan.GENRES[j]} {both[i, j]}" for i, j in worst)))
    return (
        "**The same mistakes by all.** By the paper, all three mix up genres that sound alike. The pairs mixed up most,"
        f" tracks in both directions:\n\n{markdown.table(('row', 'pairs'), lines)}"
    )


def _stable(curved: Curves) -> str:
    """Accuracy after epoch 50 against as many epochs before it."""
    lines = []
    for row, curves in curved.items():
        for key, name in (("valid_accuracy", "validation"), ("test_accuracy", "test")):
            values = [[100 * epoch[key] for epoch in curve] for curve in curves]
            after = [of[SETTLED:] for of in values]
            before = [of[SETTLED - len(late) : SETTLED] for of, late in zip(values, after, strict=True)]
            (early, _), (late, deviation) = (_mean_and_deviation(part) for part in (before, after))
            lines.append((row, name, f"{early:.1f}", f"{late:.1f}", f"{late - early:+.1f}", f"{deviation:.1f}"))
    head = ("row", "tracks", "mean before", "mean after", "change", "deviation from epoch to epoch, after")
    return (
        f"**Stable after epoch {SETTLED}.** The paper says so of its validation set. Accuracy over the epochs after"
        f" {SETTLED} and over as many before, in per cent; it is stable where the change is small beside the"
        f" deviation.\n\n{markdown.table(head, lines)}"
    )


def _mean_and_deviation(parts: list[list[float]]) -> tuple[float, float]:
    return float(np.mean([np.mean(part) for part in parts])), float(np.mean([np.std(part) for part in parts]))


def _overfitting(curved: Curves) -> str:
    lines, overfit = [], []
    for row, curves in curved.items():
        train, test, loss = (
            float(np.mean([curve[-1][key] for curve in curves]))
            for key in ("train_accuracy", "test_accuracy", "valid_loss")
        )
        lowest = float(np.mean([min(epoch["valid_loss"] for epoch in curve) for curve in curves]))
        at = float(np.median([1 + np.argmin([epoch["valid_loss"] for epoch in curve]) for curve in curves]))
        lines.append(
            (
                row,
                f"{100 * train:.1f}",
                f"{100 * test:.1f}",
                f"{100 * (train - test):+.1f}",
                f"{lowest:.2f} (epoch {at:.0f})",
                f"{loss:.2f}",
            )
        )
        if loss > 1.1 * lowest:
            overfit.append(row)
    said = (
        f"By the loss, which counts how sure a wrong answer is, {', '.join(overfit)} overfit: it ends more than a tenth"
        " above its lowest."
        if overfit
        else "By the loss, none of them overfits: it ends within a tenth of its lowest."
    )
    head = ("row", "training crops, %", "test tracks, %", "gap", "lowest validation loss", "last")
    return (
        "**No overfitting.** The paper ends at nearly 98 % on its training set and 72 % on its test set, and sees none."
        f" {said} A recipe with mixup counts mixed crops, so that its training accuracy is low.\n\n"
        f"{markdown.table(head, lines)}"
    )
