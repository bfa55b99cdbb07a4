"""Trials: what the ablation found, as a file, and what the report says of it."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from genred.errors import BadInputError

from . import atomic, bootstrap, gtzan, markdown

CLASSIFIERS = ("svm", "forest")
FOLDS, INNER_FOLDS = 5, 3
ALONE = "mfcc"
SETS = (ALONE, "mfcc + zcr", "mfcc + chroma", "mfcc + zcr + chroma")


@dataclass(frozen=True)
class Trial:
    """One cross-validation.

    Attributes
    ----------
    settings : list of dict
        Hyperparameters, as chosen within the training part of each fold.
    answers : list of str
        Genres, in the order of the tracks.
    """

    classifier: str
    features: str
    repeat: int
    settings: list[dict[str, Any]]
    answers: list[str]


@dataclass(frozen=True)
class Ablation:
    """Everything the report says of it is computed from this.

    Attributes
    ----------
    tracks : list of str
    groups : list of int
        By track; tracks of one group are in one fold.
    left_out : dict
        By genre, why its tracks were left out.
    crossings_per_s : list of float
        By track, the mean zero crossing rate.
    """

    tracks: list[str]
    groups: list[int]
    left_out: dict[str, str]
    crossings_per_s: list[float]
    trials: list[Trial]


def save(whole: Ablation, path: Path) -> None:
    """Write `whole` to `path`, one trial a line."""
    head = asdict(whole)
    trials = ",\n".join(json.dumps(trial) for trial in head.pop("trials"))
    lines = ",\n".join(f"{json.dumps(key)}: {json.dumps(value)}" for key, value in head.items())
    atomic.write(path, f'{{\n{lines},\n"trials": [\n{trials}\n]\n}}\n')


def load(path: Path) -> Ablation:
    """Read what `save` wrote.

    Raises
    ------
    BadInputError
        If it is not that.
    """
    try:
        entries = json.loads(path.read_text())
        return Ablation(**(entries | {"trials": [Trial(**trial) for trial in entries["trials"]]}))
    except (ValueError, TypeError, KeyError) as error:
        raise BadInputError(f"{path} is not a file of the ablation; restore it, or remove it to begin again") from error


def right(whole: Ablation, classifier: str, features: str) -> NDArray[np.float64]:
    """Share of the repeats in which each track was answered right, [tracks]."""
    genres = np.array([gtzan.genre_of(name) for name in whole.tracks])
    answers = [t.answers for t in whole.trials if (t.classifier, t.features) == (classifier, features)]
    return np.asarray((np.array(answers) == genres).mean(axis=0), np.float64)


def text(whole: Ablation) -> str:
    """What the added features changed, and the zero crossing rates of the genres, for the report."""
    of_genre = Counter(gtzan.genre_of(name) for name in whole.tracks)
    left_out = "; ".join(f"{genre} is left out ({why})" for genre, why in whole.left_out.items())
    repeats = len({trial.repeat for trial in whole.trials})
    head = (
        "The paper describes the zero crossing rate and chroma (II.A), and has no number with and without them. Both"
        f" need waveforms, of which there are some only: {len(whole.tracks)} tracks"
        f" ({', '.join(f'{genre} {n}' for genre, n in of_genre.items())}){'; ' + left_out if left_out else ''}. MFCC,"
        " zero crossing rate and chroma are all from that audio, summed up by window as the baselines' are."
        f" {FOLDS}-fold cross-validation, {repeats} times; tracks of one artist or one recording, as far as they are"
        f" known, are in one fold ({len(set(whole.groups))} groups); hyperparameters are chosen within each training"
        f" part by {INNER_FOLDS} folds of it. The interval is of the mean difference on the same tracks, by bootstrap"
        " over these groups. Accuracies here do not compare with those of the rows above: other tracks, fewer to learn"
        " from, artists kept apart. Command: `genretrain ablation --data GTZAN`; raw results:"
        " `train/results/ablation.json`."
    )
    return "\n\n".join([head, _changes(whole), _crossings(whole)])


def _changes(whole: Ablation) -> str:
    groups = np.unique(whole.groups, return_inverse=True)[1]
    lines, clear = [], []
    for classifier in CLASSIFIERS:
        alone = right(whole, classifier, ALONE)
        for features in SETS:
            added = right(whole, classifier, features) - alone
            interval = bootstrap.grouped(added, groups)
            changed = markdown.points(float(added.mean()), interval) if features != ALONE else ""
            lines.append((classifier, features, f"{100 * (alone + added).mean():.1f}", changed))
            if interval[0] > 0 or interval[1] < 0:
                clear.append(f"{classifier} with {features} ({changed})")
    head = ("classifier", "features", "accuracy, %", "difference to MFCC alone, points (95 %)")
    verdict = f"Clear of 0: {', '.join(clear)}." if clear else "No interval is clear of 0."
    return f"{markdown.table(head, lines)}\n\n{verdict}"


def _crossings(whole: Ablation) -> str:
    rates: dict[str, list[float]] = {}
    for name, rate in zip(whole.tracks, whole.crossings_per_s, strict=True):
        rates.setdefault(gtzan.genre_of(name), []).append(rate)
    ranked = sorted(((float(np.median(of)), genre) for genre, of in rates.items()), reverse=True)
    said = ", ".join(f"{genre} {rate:.0f}" for rate, genre in ranked)
    return (
        "The paper expects more zero crossings in rock and hip-hop than in classical music. Ours, a second, median over"
        f" a genre's tracks: {said}."
    )
