"""Report: ``train/RESULTS.md`` from the raw results of the runs that there are. Every number in it is computed here."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from genred.classify import HOP_FRAMES

from . import (
    abstention,
    assumptions,
    atomic,
    bootstrap,
    calibration,
    claims,
    draws,
    figures,
    judge,
    ladder,
    markdown,
    own,
    robustness,
    rows,
    shipped,
    trials,
)
from .claims import Runs
from .judge import Judged

OUT = Path("train/RESULTS.md")
FIGURES = Path("train/results/figures")
PAPER = {  # per cent, on its random split; section V.1, and what the paper says elsewhere
    "crnn": (72.0, "about 72"),
    "crnn-plain": (72.0, "about 72"),
    "cnn": (50.0, "roughly 50; V.2: better than DNN"),
    "dnn": (65.0, "about 65; abstract: nearly 70; II.C: up to 60"),
}

_HEAD = """\
# The paper's comparison, repeated

Written by `genretrain reproduce` from `train/results/runs`; edits are lost. `make reproduce` runs everything.

GTZAN's log-mels, 999 tracks. `random`: 80:20 by track within each genre, a seed for each split and initialisation, the
same splits for every row; an eighth of the 80 % is the validation part. `filtered`: the published lists without GTZAN's
faults. Two readings of one run: `last`, the last epoch, as the paper reads; `best`, the epoch that was best by
validation. A track's answer is the mean over its windows, {hop} frames apart. The interval holds 95 % of {draws}
bootstrap draws over seeds and tracks. Accuracy in per cent of held-out tracks.

`looks` is how often the test tracks of a run were looked at: once for every judging, once for a curve recorded while it
was trained. {lost} had been judged once before, and the files were lost: a rule for ignored files
kept them out of the repository. They were trained and judged again, and the lost looks are counted.
"""


def write(results: Path = judge.RESULTS, out: Path = OUT, pictures: Path = FIGURES) -> None:
    """Write the report of the results below `results` to `out`, its figures to `pictures`."""
    runs, models = load(results), shipped.models()
    sections = {
        "Results": _table(runs),
        "Models": shipped.text(models),
        "Figures": _figures(runs, pictures, out),
        "What the paper claims, and what we saw": claims.text(runs),
        "Random beside filtered": draws.beside(runs),
        "The luck of the draw": draws.luck(runs),
        "What zero crossing rate and chroma add": _ablation(results.parent / "ablation.json"),
        "Assumptions": assumptions.text(runs),
        "genred's own network": own.text(results),
        "The ladder to it": ladder.text(results.parent / "ladder.json"),
        "What it leaves unanswered": abstention.text("genred", results.parent, "genred-plain"),
        "Its calibration": calibration.text(pictures, out, results.parent / "horizons"),
        "Robustness": robustness.text(
            {model.file.stem: results.parent / f"{model.file.stem}.json" for model in models}
        ),
    }
    lost = ", ".join(f"`{row}`" for row in rows.LOST_LOOKS)
    head = _HEAD.format(hop=HOP_FRAMES, draws=bootstrap.DRAWS, lost=lost)
    atomic.write(out, head + "".join(f"\n## {title}\n\n{text}\n" for title, text in sections.items()))
    print(f"{out}: {sum(len(of) for of in runs.values())} of {len(rows.jobs())} runs")


def _ablation(path: Path) -> str:
    return (
        trials.text(trials.load(path)) if path.exists() else "Not run: no audio yet. `genretrain ablation --data GTZAN`"
    )


def load(results: Path) -> Runs:
    """Results of all runs of the comparison that are there, by seed."""
    runs: Runs = {}
    for job in rows.jobs():
        path = results / f"{job.name}.json"
        if path.exists():
            runs.setdefault((job.row, job.split), []).append(judge.load(path))
    return runs


def _table(runs: Runs) -> str:
    head = (
        "row",
        "reading",
        "paper",
        "ours",
        "95 % interval",
        "spread",
        "difference",
        "seeds",
        "looks",
        "split",
        "command",
    )
    every = [(row, split) for split in rows.SEEDS for row in rows.ALL if (row, split) in runs]
    lines = [
        _line(row, split, runs[row, split], reading) for row, split in every for reading in runs[row, split][0].readings
    ]
    return markdown.table(head, lines) if runs else "No run has results yet."


def _line(row: str, split: str, runs: list[Judged], reading: str) -> tuple[str, ...]:
    shares = [judge.accuracy(run.readings[reading]) for run in runs]
    low, high = bootstrap.interval(shares, [len(run.readings[reading]) for run in runs])
    ours = 100 * float(np.mean(shares))
    paper, said = PAPER.get(row, (0.0, "")) if split == "random" else (0.0, "")
    return (
        row,
        reading,
        said,
        f"{ours:.1f}",
        f"{100 * low:.1f} to {100 * high:.1f}",
        f"{100 * min(shares):.1f} to {100 * max(shares):.1f}" if len(shares) > 1 else "",
        f"{ours - paper:+.1f}" if said else "",
        ", ".join(str(run.seed) for run in runs),
        ", ".join(str(run.touches + rows.LOST_LOOKS.get(row, 0)) for run in runs),
        split,
        f"`{_command(row, split, [run.seed for run in runs])}`",
    )


def _command(row: str, split: str, seeds: list[int]) -> str:
    """What one types for all `seeds` of a row."""
    several = len(seeds) > 1
    commands = rows.Job(row, split, "$seed" if several else seeds[0]).commands()
    typed = " && ".join(f"genretrain {' '.join(arguments)}" for arguments in commands)
    return f"for seed in {' '.join(map(str, seeds))}; do {typed}; done" if several else typed


def _figures(runs: Runs, pictures: Path, out: Path) -> str:
    """Accuracy by epoch of what has epochs, then confusion of every row; the paper's own rows first in each."""
    ordered = sorted(runs, key=lambda key: (key[1] != "random", rows.ALL.index(key[0])))
    own = {row: number for number, row in enumerate(claims.PAPERS)}  # as the paper counts: CRNN, CNN, DNN
    curves, matrices = [], []
    for row, split in sorted(ordered, key=lambda key: key[1] != "random" or key[0] not in own):
        of, name = runs[row, split], f"{row}-{split}"
        reading = next(iter(of[0].readings))
        numbered = row in own and split == "random"
        if of[0].curve:
            figures.draw_curves(of, f"{row}, {split}", pictures / f"{name}-curves.png")
            title = f"the paper's figure {3 + own[row]}: accuracy" if numbered else "accuracy"
            curves.append(_picture(f"{title} of {row}, {split}", pictures / f"{name}-curves.png", out))
        figures.draw_confusion(of, reading, f"{row}, {split}", pictures / f"{name}-confusion.png")
        title = f"the paper's figure {6 + own[row]}: confusion" if numbered else "confusion"
        matrices.append(_picture(f"{title} of {row}, {split}", pictures / f"{name}-confusion.png", out))
    return "\n\n".join([*curves, *matrices]) or "None yet."


def _picture(title: str, path: Path, out: Path) -> str:
    return f"{title[0].upper()}{title[1:]}\n\n![{title}]({figures.beside(path, out)})"
