"""Draws: what the choice of test tracks does to the numbers: `random` beside `filtered`, and seed beside seed."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from . import gtzan, judge, kin, repeats, rows
from .claims import Runs, mean_accuracy
from .gtzan import Split
from .judge import Judged
from .markdown import table

KNOWN = ("a repeat in training", "the artist in training", "artist not in training", "artist unknown")


def beside(runs: Runs) -> str:
    """`random` beside `filtered`: sizes, what both sides share, accuracies, and accuracies by what was shared."""
    parts = [
        "A network may know a test track, its singer or its studio from training: `random` says how well it knows"
        " GTZAN, `filtered` is nearer to how well it knows genres. The filtered training part is smaller, too, and its"
        " test part has other tracks.",
        _sizes(),
    ]
    both = [row for row in rows.ALL if all((row, kind) in runs for kind in gtzan.SPLITS)]
    if both:
        means = {row: [100 * mean_accuracy(runs[row, kind], "best") for kind in gtzan.SPLITS] for row in both}
        lines = [(row, f"{one:.1f}", f"{two:.1f}", f"{two - one:+.1f}") for row, (one, two) in means.items()]
        parts.append(table(("row, best by validation", "random", "filtered", "difference"), lines))
    if by_kin := _by_what_is_known(runs):
        parts.append(by_kin)
    return "\n\n".join(parts)


def _sizes() -> str:
    pairs, lines = repeats.read(), []
    for kind in gtzan.SPLITS:
        split = gtzan.split(kind, gtzan.TRACKS, seed=0)
        sizes = ", ".join(str(len(part)) for part in (split.train, split.valid, split.test))
        artists = gtzan.shared_artists(split.train, split.test)
        named = f" ({'; '.join(artists)})" if kind == "filtered" else ""
        repeated = len(repeats.shared(pairs, split.train, split.test))
        lines.append((split.name, sizes, f"{repeated} of {len(pairs)}", f"{len(artists)}{named}"))
    head = ("split", "tracks: train, valid, test", "repeats in train and test", "known artists in train and test")
    return table(head, lines)


def _by_what_is_known(runs: Runs) -> str:
    """Accuracy on `random` by what the training part has of a test track; of the runs on GTZAN as it is here."""
    lines, counts = [], [0] * len(KNOWN)
    for row in rows.ALL:
        groups: dict[str, list[bool]] = {known: [] for known in KNOWN}
        for run in runs.get((row, "random"), []):
            split = gtzan.random_split(gtzan.TRACKS, run.seed)
            if split.held_out == run.held_out:
                for track, known in known_from_training(split).items():
                    groups[known].append(run.readings["best"][track] == gtzan.genre_of(track))
        if all(groups.values()):
            lines.append((row, *(f"{100 * np.mean(right):.1f}" for right in groups.values())))
            counts = [max(n, len(right)) for n, right in zip(counts, groups.values(), strict=True)]
    if not lines:
        return ""
    head = ("row, best by validation", *(f"{known}, {n} tracks" for known, n in zip(KNOWN, counts, strict=True)))
    return (
        "The same on `random` by what the training part has of a test track, in per cent right, all seeds together."
        " Genres are spread unevenly over the columns, so they say where the difference may come from, not how much"
        f" of it.\n\n{table(head, lines)}"
    )


def known_from_training(split: Split) -> dict[str, str]:
    """By test track of `split`, which of `KNOWN` it is."""
    artists = gtzan.artists()
    singing = {person for track in split.train for person in kin.people(artists.get(track, ""))}
    repeated = {t for r in repeats.shared(repeats.read(), split.train, split.test) for t in (r.first, r.second)}

    def known(track: str) -> str:
        if track in repeated:
            return KNOWN[0]
        if track not in artists:
            return KNOWN[3]
        return KNOWN[1] if kin.people(artists[track]) & singing else KNOWN[2]

    return {track: known(track) for track in split.test}


def luck(runs: Runs) -> str:
    """How much seeds differ for every row alike, and how validation parts compare with test parts."""
    seeds = rows.SEEDS["random"]
    whole = {row: runs[row, "random"] for row in rows.ALL if len(runs.get((row, "random"), [])) == len(seeds)}
    if not whole:
        return "No row has all its seeds yet."
    shares = np.array([[_last(run) for run in of] for of in whole.values()])  # [rows, seeds]
    means = 100 * shares.mean(axis=0)
    lines = [(f"{seed}", *(f"{100 * s:.1f}" for s in shares[:, i]), f"{means[i]:.1f}") for i, seed in enumerate(seeds)]
    tracks = len(next(iter(next(iter(whole.values()))[0].readings.values())))
    one = 100 * float(np.sqrt(shares.mean() * (1 - shares.mean()) / tracks))
    head = (
        "A seed draws its own test part, the same for every row. Accuracy of the last epoch, of baselines that of their"
        f" one model. In the mean over the rows the test parts lie between {means.min():.1f} and {means.max():.1f} %,"
        f" {np.ptp(means):.1f} points apart: that much is the draw of {tracks} tracks and of the initialisation, and no"
        f" merit of a model. Chance alone gives one such part a standard deviation of {one:.1f} points."
        f" {_alike(whole, shares)} Rows are therefore compared on the same seeds, never on the best."
    )
    parts = [head, table(("seed", *whole, "mean"), lines)]
    if validated := _validation(whole):
        parts.append(validated)
    return "\n\n".join(parts)


def _alike(whole: dict[str, list[Judged]], shares: NDArray[np.float64]) -> str:
    """Whether the same test part is the easiest for all rows."""
    easiest = shares.argmax(axis=1)
    common = int(np.bincount(easiest).argmax())
    seed = rows.SEEDS["random"][common]
    return f"Seed {seed} is the easiest for {int((easiest == common).sum())} of {len(whole)} rows."


def _last(run: Judged) -> float:
    return judge.accuracy(run.readings.get("last", run.readings["best"]))


def _validation(whole: dict[str, list[Judged]]) -> str:
    """Validation against test in the last epoch, of which nothing was chosen, and in the epoch that was chosen."""
    curved = {row: of for row, of in whole.items() if all(run.curve and "test_accuracy" in run.curve[-1] for run in of)}
    if not curved:
        return ""
    last = np.array(
        [[[run.curve[-1][k] for k in ("valid_accuracy", "test_accuracy")] for run in of] for of in curved.values()]
    )
    by_seed = 100 * last.mean(axis=0)  # [seeds, 2]
    lines = [
        (seed, f"{v:.1f}", f"{t:.1f}", f"{v - t:+.1f}")
        for seed, (v, t) in zip(rows.SEEDS["random"], by_seed, strict=True)
    ]
    apart = float((by_seed[:, 0] - by_seed[:, 1]).mean())
    best = [
        (max(e["valid_accuracy"] for e in run.curve), judge.accuracy(run.readings["best"]))
        for of in curved.values()
        for run in of
    ]
    claimed, kept = (100 * float(np.mean(values)) for values in zip(*best, strict=True))
    gained = 100 * float(
        np.mean([judge.accuracy(run.readings["best"]) - _last(run) for of in curved.values() for run in of])
    )
    easier = "easier" if apart > 0 else "harder"
    return (
        f"The validation parts of these seeds are {easier} than the test parts: in the last epoch, of which nothing was"
        f" chosen, networks answer {abs(apart):.1f} points {'more' if apart > 0 else 'less'} of them. The best epoch"
        f" by validation promises {claimed:.1f} % in the mean and keeps {kept:.1f} % on test tracks: of 100 tracks one"
        f" is a point, and the best of {len(next(iter(curved.values()))[0].curve)} draws is a lucky one. Against the"
        f" last epoch it gains {gained:+.1f} points.\n\n"
        f"{table(('seed', 'validation, last epoch', 'test, last epoch', 'difference'), lines)}"
    )
