"""The older way: a support vector machine, nearest neighbours, a random forest, on statistics of the same MFCC.

A window is summed up by the mean and the deviation of each coefficient and of its difference from frame to frame
(Tzanetakis and Cook 2002 did much the same). Training and answers are by window, as the networks'; a track's answer is
the genre with the greatest mean score over its windows. Hyperparameters are chosen on the validation part.
"""

from __future__ import annotations

import json
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import ClassifierMixin
from sklearn.ensemble import RandomForestClassifier
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from genred.classify import HOP_FRAMES
from genred.features import Frames

from . import dataset, gtzan, judge
from .recipe import Recipe

TREES = 500  # of the forest
EVERY = 4  # of the windows, this many to one are learnt from: neighbours say little that is new
CHOICES: dict[str, dict[str, list[Any]]] = {
    "svm": {"C": [1.0, 3.0, 10.0, 30.0], "gamma": [0.003, 0.01, 0.03]},
    "knn": {"n_neighbors": [1, 3, 5, 9, 15, 25], "weights": ["uniform", "distance"]},
    "forest": {"max_features": ["sqrt", 0.3], "min_samples_leaf": [1, 3]},
}

Summary = NDArray[np.float64]  # [4 * C]


def fit(name: str, data: Path, split: str, seed: int, results: Path = judge.RESULTS) -> None:
    """Choose the baseline called `name` on the validation part, and judge the held-out tracks with it.

    Raises
    ------
    BadInputError
        If `data` is not GTZAN.
    """
    tracks = dataset.load(data)
    parts = gtzan.split(split, list(tracks), seed)
    windows = {part: summaries(tracks, names) for part, names in (("train", parts.train), ("valid", parts.valid))}
    model, chosen = choose(name, windows["train"], windows["valid"], seed)
    judged = judge.Judged(
        row=name,
        split=split,
        seed=seed,
        held_out=parts.held_out,
        settings=chosen,
        readings={"best": answers(model, summaries(tracks, parts.test))},
    )
    judge.save(judged, results / f"{name}-{split}-{seed}.json")


def summaries(tracks: dict[str, NDArray[np.uint8]], names: tuple[str, ...]) -> dict[str, list[Summary]]:
    """By track, the summaries of its windows at the hop of the protocol."""
    plan = Recipe()  # features, gain and window as the networks'
    crops = dataset.Crops([tracks[name] for name in names], plan.spec, plan.gain, plan.window)
    return {name: [summary(w) for w in crops.windows(i, HOP_FRAMES)] for i, name in enumerate(names)}


def summary(window: Frames) -> Summary:
    """Mean and deviation over time, of the frames and of their differences: [T, C] -> [4 * C]."""
    frames = window.astype(np.float64)
    return np.concatenate([part for x in (frames, np.diff(frames, axis=0)) for part in (x.mean(0), x.std(0))])


def choose(
    name: str, train: dict[str, list[Summary]], valid: dict[str, list[Summary]], seed: int
) -> tuple[Pipeline, dict[str, Any]]:
    """Model fitted on `train` with the settings that answer most of `valid` right, and those settings."""
    models = [(settings, fitted(name, settings, train, seed)) for settings in choices(name)]
    shares = [judge.accuracy(answers(model, valid)) for _, model in models]
    best = int(np.argmax(shares))
    settings, model = models[best]
    print(f"{name}: {100 * shares[best]:.1f} % of {len(valid)} validation tracks with {json.dumps(settings)}")
    return model, {**settings, "valid_accuracy": round(shares[best], 4)}


def choices(name: str) -> list[dict[str, Any]]:
    """All settings that the baseline called `name` may get."""
    return [dict(zip(CHOICES[name], values, strict=True)) for values in product(*CHOICES[name].values())]


def fitted(
    name: str, settings: dict[str, Any], train: dict[str, list[Summary]], seed: int, trees: int = TREES
) -> Pipeline:
    """The baseline called `name` with `settings`, fitted on every fourth window of the tracks in `train`."""
    chosen = {track: windows[::EVERY] for track, windows in train.items()}
    x = np.concatenate([np.stack(windows) for windows in chosen.values()])  # [N, 4 * C]
    y = [gtzan.genre_of(track) for track, windows in chosen.items() for _ in windows]
    return make_pipeline(StandardScaler(), _classifier(name, settings, seed, trees)).fit(x, y)


def _classifier(name: str, settings: dict[str, Any], seed: int, trees: int) -> ClassifierMixin:
    if name == "svm":
        return SVC(decision_function_shape="ovr", **settings)
    if name == "knn":
        return KNeighborsClassifier(**settings)
    return RandomForestClassifier(trees, random_state=seed, **settings)


def answers(model: Pipeline, tracks: dict[str, list[Summary]]) -> dict[str, str]:
    """Genre by track: the greatest mean score, which is a probability but for the support vector machine."""
    score = getattr(model, "predict_proba", None) or model.decision_function
    return {
        name: str(model.classes_[score(np.stack(windows)).mean(axis=0).argmax()]) for name, windows in tracks.items()
    }
