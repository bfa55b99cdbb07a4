"""Report: ``train/RESULTS.md`` from the raw results of the runs that there are. Every number in it is computed here."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from typing import Any

import numpy as np

from genred.classify import HOP_FRAMES

from . import claims, figures, gtzan, judge, recipe, repeats, rows
from .claims import Runs
from .judge import Judged

OUT = Path("train/RESULTS.md")
FIGURES = Path("train/results/figures")
CONFIGS = Path(__file__).parents[1] / "configs"
PAPER = {  # per cent, on its random split; section V.1, and what the paper says elsewhere
    "crnn": (72.0, "about 72"),
    "crnn-plain": (72.0, "about 72"),
    "cnn": (50.0, "roughly 50; V.2: better than DNN"),
    "dnn": (65.0, "about 65; abstract: nearly 70; II.C: up to 60"),
}
DRAWS = 10_000  # of the bootstrap

_HEAD = """\
# The paper's comparison, repeated

Written by `genretrain reproduce` from `train/results/runs`; edits are lost. `make reproduce` runs everything.

GTZAN's log-mels, 999 tracks. `random`: 80:20 by track within each genre, a seed for each split and initialisation, the
same splits for every row; an eighth of the 80 % is the validation part. `filtered`: the published lists without GTZAN's
faults. Two readings of one run: `last`, the last epoch, as the paper reads; `best`, the epoch that was best by
validation. A track's answer is the mean over its windows, {hop} frames apart. The interval holds 95 % of {draws}
bootstrap draws over seeds and tracks. Accuracy in per cent of held-out tracks.
"""


def write(results: Path = judge.RESULTS, out: Path = OUT, pictures: Path = FIGURES) -> None:
    """Write the report of the results below `results` to `out`, its figures to `pictures`."""
    runs = load(results)
    pictures.mkdir(parents=True, exist_ok=True)
    sections = {
        "Results": _table(runs),
        "Figures": _figures(runs, pictures, out),
        "What the paper claims, and what we saw": claims.text(runs),
        "Random beside filtered": _splits(runs),
        "Assumptions": _assumptions(),
    }
    head = _HEAD.format(hop=HOP_FRAMES, draws=DRAWS)
    out.write_text(head + "".join(f"\n## {title}\n\n{text}\n" for title, text in sections.items()))
    print(f"{out}: {sum(len(of) for of in runs.values())} of {len(rows.jobs())} runs")


def load(results: Path) -> Runs:
    """Results of all runs of the comparison that are there, by seed."""
    runs: Runs = {}
    for job in rows.jobs():
        path = results / f"{job.name}.json"
        if path.exists():
            runs.setdefault((job.row, job.split), []).append(judge.load(path))
    return runs


def interval(shares: list[float], tracks: list[int]) -> tuple[float, float]:
    """95 % of the mean of `shares` of right answers, by bootstrap over runs and over each run's `tracks` (Efron 1979).

    Drawing n tracks with replacement, each right with probability p, is one draw of a binomial distribution.
    """
    rng = np.random.default_rng(0)
    drawn = rng.integers(len(shares), size=(DRAWS, len(shares)))  # which runs
    n, p = np.asarray(tracks)[drawn], np.asarray(shares)[drawn]
    low, high = np.quantile((rng.binomial(n, p) / n).mean(axis=1), (0.025, 0.975))
    return float(low), float(high)


def _table(runs: Runs) -> str:
    lines = [
        "| row | reading | paper | ours | 95 % interval | spread | difference | seeds | split | command |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for (row, split), of in sorted(runs.items(), key=lambda entry: (entry[0][1] != "random", entry[0][0])):
        lines += [_line(row, split, of, reading) for reading in of[0].readings]
    return "\n".join(lines) if runs else "No run has results yet."


def _line(row: str, split: str, runs: list[Judged], reading: str) -> str:
    shares = [judge.accuracy(run.readings[reading]) for run in runs]
    low, high = interval(shares, [len(run.readings[reading]) for run in runs])
    ours = 100 * float(np.mean(shares))
    spread = f"{100 * min(shares):.1f} to {100 * max(shares):.1f}" if len(shares) > 1 else ""
    paper, said = PAPER.get(row, (0.0, "")) if split == "random" else (0.0, "")
    seeds = [run.seed for run in runs]
    commands = rows.Job(row, split, seeds[0]).commands()
    typed = "; ".join(f"`genretrain {' '.join(arguments)}`" for arguments in commands)
    cells = (
        row,
        reading,
        said,
        f"{ours:.1f}",
        f"{100 * low:.1f} to {100 * high:.1f}",
        spread,
        f"{ours - paper:+.1f}" if said else "",
        ", ".join(map(str, seeds)),
        split,
        typed,
    )
    return f"| {' | '.join(cells)} |"


def _figures(runs: Runs, pictures: Path, out: Path) -> str:
    shown = os.path.relpath(pictures, out.parent)
    lines = []
    for (row, split), of in runs.items():
        reading = next(iter(of[0].readings))
        name = f"{row}-{split}"
        if of[0].curve:
            figures.draw_curves(of, f"{row}, {split}", pictures / f"{name}-curves.png")
            lines.append(f"![curves of {row}, {split}]({shown}/{name}-curves.png)")
        figures.draw_confusion(of, reading, f"{row}, {split}, {reading}", pictures / f"{name}-confusion.png")
        lines.append(f"![confusion of {row}, {split}]({shown}/{name}-confusion.png)")
    return "\n\n".join(lines) or "None yet."


def _splits(runs: Runs) -> str:
    names = [f"{g}.{i:05}" for g in gtzan.GENRES for i in range(gtzan.TRACKS_PER_GENRE)]
    names = [name for name in names if name not in gtzan.DAMAGED]
    splits = {kind: gtzan.split(kind, names, seed=0) for kind in gtzan.SPLITS}
    pairs = repeats.read()
    lines = [
        "A network may know a test track, its singer or its studio from training: `random` says how well it knows"
        " GTZAN, `filtered` is nearer to how well it knows genres. The filtered training part is smaller, too.\n",
        "| split | tracks: train, valid, test | repeats in train and test | known artists in train and test |",
        "| --- | --- | --- | --- |",
    ]
    for kind, split in splits.items():
        sizes = ", ".join(str(len(part)) for part in (split.train, split.valid, split.test))
        artists = gtzan.shared_artists(split.train, split.test)
        named = f" ({'; '.join(artists)})" if kind == "filtered" else ""
        repeated = len(repeats.shared(pairs, split.train, split.test))
        lines.append(f"| {split.name} | {sizes} | {repeated} of {len(pairs)} | {len(artists)}{named} |")
    both = [row for row in dict.fromkeys(row for row, _ in runs) if all((row, kind) in runs for kind in gtzan.SPLITS)]
    if both:
        lines += ["", "| row, best by validation | random | filtered |", "| --- | --- | --- |"]
    for row in both:
        means = [claims.mean_accuracy(runs[row, kind], "best") for kind in gtzan.SPLITS]
        lines.append(f"| {row} | {' | '.join(f'{100 * mean:.1f}' for mean in means)} |")
    return "\n".join(lines)


def _assumptions() -> str:
    """Every setting of every recipe: most are ours, for the paper says little."""
    plans = {name: recipe.read(CONFIGS / f"{name}.toml") for name in rows.NETWORKS}
    settings = {name: _flat(dataclasses.asdict(plan)) for name, plan in plans.items()}
    lines = [f"| setting | {' | '.join(settings)} |", "| --- " * (len(settings) + 1) + "|"]
    for key in next(iter(settings.values())):
        lines.append(f"| {key} | {' | '.join(str(of[key]) for of in settings.values())} |")
    head = (
        "Each coefficient is standardised by its mean and deviation over all frames of the training part. Crops are"
        " drawn anew in every epoch. The optimiser is AdamW, which without decay is Adam. Networks and baselines are"
        " fitted without the validation part.\n\n"
    )
    return head + "\n".join(lines)


def _flat(values: dict[str, Any], place: str = "") -> dict[str, Any]:
    """Nested settings with dotted names."""
    flat: dict[str, Any] = {}
    for key, value in values.items():
        flat |= _flat(value, f"{place}{key}.") if isinstance(value, dict) else {place + key: value}
    return flat
