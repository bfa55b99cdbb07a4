"""Judge: what runs and baselines answer to the held-out tracks, as raw results that a report is made of.

One JSON file a run, below ``train/results/runs``. It counts how often the test tracks were looked at: once for each
judging, and once for a curve that was recorded while training.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from genred.errors import BadInputError

from . import atomic, checkpoint, dataset, gtzan, horizons
from .recipe import Recipe

RESULTS = Path("train/results/runs")


@dataclass(frozen=True)
class Judged:
    """What one run answered to the tracks that were held out of it.

    Attributes
    ----------
    row : str
        What was trained: name of a recipe or of a baseline.
    split, seed : str, int
        What it was trained on.
    held_out : str
        Digest of the test part.
    settings : dict
        What was chosen on the validation part: epochs, hyperparameters.
    curve : list of dict
        Losses and accuracies by epoch; of a baseline, none.
    readings : dict
        By reading (``last``, ``best``), by track: the genre it was answered with.
    """

    row: str
    split: str
    seed: int
    held_out: str
    settings: dict[str, Any]
    readings: dict[str, dict[str, str]]
    curve: list[dict[str, float]] = field(default_factory=list)
    touches: int = 1


def run(folder: Path, data: Path, results: Path = RESULTS) -> None:
    """Judge both readings of the finished run in `folder`: its last epoch, as the paper, and its best by validation.

    Raises
    ------
    BadInputError
        If the run is not at its end, or `data` is not GTZAN.
    """
    plan, last, epochs = checkpoint.load_last(folder)
    _, best, record = checkpoint.load_best(folder)
    tracks = dataset.load(data)
    split = gtzan.split(plan.split, list(tracks), plan.seed)
    crops, truth = dataset.part(tracks, split.test, plan.spec, plan.gain, plan.window)
    name = folder.absolute().name
    heard = {
        reading: horizons.hear(horizons.of_network(network), crops, truth, plan.window)
        for reading, network in (("last", last), ("best", best))
    }
    judged = Judged(
        row=row_of(name, plan),
        split=plan.split,
        seed=plan.seed,
        held_out=split.held_out,
        settings={"epochs": epochs, "best_epoch": record["epoch"], "valid_accuracy": record["valid_accuracy"]},
        readings={reading: dict(zip(split.test, of.genres(), strict=True)) for reading, of in heard.items()},
        curve=[json.loads(line) for line in (folder / "epochs.jsonl").read_text().splitlines()],
        touches=2 if plan.record_test else 1,
    )
    save(judged, results / f"{name}.json")
    if plan.shortest:
        valid = dataset.part(tracks, split.valid, plan.spec, plan.gain, plan.window)
        study = horizons.study(horizons.of_network(best), valid, (crops, truth), plan.spec, plan.shortest)
        horizons.save(study, results.parent / "horizons" / f"{name}.json")


def row_of(run: str, plan: Recipe) -> str:
    """Name of the recipe in the name of a run: ``cnn`` of ``cnn-filtered-1``."""
    return run.removesuffix(f"-{plan.seed}").removesuffix(f"-{plan.split}")


def accuracy(genres: dict[str, str]) -> float:
    """Share of tracks that were answered with their own genre."""
    return float(np.mean([gtzan.genre_of(name) == genre for name, genre in genres.items()]))


def save(judged: Judged, path: Path) -> None:
    """Write `judged`, whole or not at all; looks at the test tracks add to those that `path` has counted."""
    before = load(path).touches if path.exists() else 0
    entries = asdict(judged) | {"touches": before + judged.touches}
    lines = ",\n".join(f"{json.dumps(key)}: {json.dumps(value)}" for key, value in entries.items())
    atomic.write(path, f"{{\n{lines}\n}}\n")
    for name, genres in judged.readings.items():
        print(f"{path.stem}, {name}: {100 * accuracy(genres):.1f} % of {len(genres)} held-out tracks")


def load(path: Path) -> Judged:
    """Read what `save` wrote.

    Raises
    ------
    BadInputError
        If it is not that.
    """
    try:
        return Judged(**json.loads(path.read_text()))
    except (ValueError, TypeError) as error:
        raise BadInputError(f"{path} is not a file of results; restore it, or remove it to judge again") from error
