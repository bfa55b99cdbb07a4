"""Ablation: what the zero crossing rate and chroma add to MFCC, on the tracks that have audio.

::

    audio --+--> genred's MFCC --------------+--> windows --> statistics --> SVM, forest --> one answer a track
            +--> librosa's ZCR and chroma ---+

Both need a waveform, so this is apart from the comparison, whose log-mels have none. Cross-validation, repeated with
other folds; hyperparameters are chosen within each training part by another one. Folds keep the tracks of one artist
or one recording together, as far as they are known: otherwise chroma could tell a record by its tuning. Every set of
features has the same folds, so that their differences are of the same tracks.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import librosa
import numpy as np
from sklearn.model_selection import StratifiedGroupKFold

from genred.classify import HOP_FRAMES
from genred.errors import BadInputError, SourceError
from genred.features import Frames, Mfcc, Samples

from . import baselines, dataset, gtzan, judge, kin, trials
from .audio import read
from .baselines import Summary
from .progress import Progress
from .recipe import Recipe
from .trials import Ablation, Trial

REPEATS = 3
TREES = 100  # of a forest that only ranks hyperparameters; the one that answers has those of the comparison

Described = dict[str, dict[str, list[Summary]]]  # by track and feature, the summaries of its windows


def ablation(
    data: Path,
    results: Path,
    kept: Path,
    repeats: int = REPEATS,
    classifiers: tuple[str, ...] = trials.CLASSIFIERS,
) -> None:
    """Cross-validate on the audio in `data`; write ``ablation.json`` to the folder `results`.

    What is done is in the file `kept` after every trial, and is not done again.

    Raises
    ------
    BadInputError
        If `data` has no audio, or not enough of it.
    """
    described, crossings = _described(_files(data))
    names, left_out = enough(list(described))
    groups, rates = kin.groups_of(names), [round(crossings[name], 1) for name in names]
    wanted = list(product(range(repeats), classifiers, trials.SETS))
    before = {place: trial for trial in _kept(kept, names, groups) if (place := _place(trial)) in wanted}
    whole = Ablation(names, groups, left_out, rates, list(before.values()))
    left = [place for place in wanted if place not in before]
    for repeat, classifier, features in Progress(left, "ablation", done=len(before)):
        whole.trials.append(cross_validated(classifier, features, repeat, described, whole))
        trials.save(whole, kept)
    trials.save(whole, results / "ablation.json")
    print(f"{results / 'ablation.json'}: {len(whole.trials)} cross-validations of {len(names)} tracks")


def _place(trial: Trial) -> tuple[int, str, str]:
    return trial.repeat, trial.classifier, trial.features


def _kept(kept: Path, names: list[str], groups: list[int]) -> list[Trial]:
    if not kept.exists():
        return []
    before = trials.load(kept)
    if (before.tracks, before.groups) != (names, groups):
        raise BadInputError(f"{kept} was begun on other tracks; remove it to begin again on these")
    return before.trials


def _files(data: Path) -> dict[str, Path]:
    files = gtzan.audio_files(data)
    if not files:
        raise BadInputError(
            f"no audio in {data}, which the zero crossing rate and chroma need: expected"
            " genres/<genre>/<genre>.000NN.wav below it"
        )
    return files


def _described(files: dict[str, Path]) -> tuple[Described, dict[str, float]]:
    """Summaries of every track's windows by feature, and its zero crossings a second; what is unreadable is told."""
    described: Described = {}
    crossings = {}
    for name in Progress(files, "features"):
        try:
            samples = read(files[name], dataset.ARCHIVED.sample_rate)
        except SourceError as error:
            print(f"left out: {name} ({gtzan.DAMAGED.get(name, error)})")
            continue
        described[name], crossings[name] = describe(name, samples)
    return described, crossings


def describe(name: str, samples: Samples) -> tuple[dict[str, list[Summary]], float]:
    """Summaries of the windows of one track by feature, and its zero crossings a second."""
    spec = dataset.ARCHIVED
    samples = np.pad(samples, (0, max(spec.n_fft - len(samples), 0)))
    n_fft, hop_length = spec.n_fft, spec.hop_length
    zcr = librosa.feature.zero_crossing_rate(
        samples, frame_length=n_fft, hop_length=hop_length, center=False
    ).T  # [T, 1]
    chroma = librosa.feature.chroma_stft(
        y=samples, sr=spec.sample_rate, n_fft=n_fft, hop_length=hop_length, center=False
    ).T  # [T, 12]
    archived = dataset.encode(Mfcc(spec).log_mel(samples))  # as prepare does: the MFCC are those of the comparison
    summaries = {
        "mfcc": baselines.summaries({name: archived}, (name,))[name],
        "zcr": [baselines.summary(window) for window in _windows(zcr)],
        "chroma": [baselines.summary(window) for window in _windows(chroma)],
    }
    return summaries, float(zcr.mean()) * spec.sample_rate


def _windows(frames: Frames) -> Iterator[Frames]:
    """The same windows as `dataset.Crops` cuts."""
    window = Recipe().window
    frames = np.pad(frames, ((0, max(window - len(frames), 0)), (0, 0)))
    return (frames[start : start + window] for start in range(0, len(frames) - window + 1, HOP_FRAMES))


def enough(names: list[str]) -> tuple[list[str], dict[str, str]]:
    """Tracks of the genres that can be in every fold, and why the other genres cannot.

    Raises
    ------
    BadInputError
        If that leaves less than two genres.
    """
    groups = dict(zip(names, kin.groups_of(names), strict=True))
    tracks = Counter(gtzan.genre_of(name) for name in names)
    apart = {genre: len({groups[name] for name in names if gtzan.genre_of(name) == genre}) for genre in gtzan.GENRES}
    left_out = {
        genre: f"{tracks[genre]} tracks by {n} artists, too few for {trials.FOLDS} folds"
        for genre, n in apart.items()
        if n < trials.FOLDS
    }
    if len(gtzan.GENRES) - len(left_out) < 2:
        raise BadInputError(
            f"not enough audio: cross-validation needs tracks of {trials.FOLDS} artists of two genres at least,"
            f" but there are {', '.join(f'{n} of {genre}' for genre, n in apart.items())}"
        )
    return [name for name in names if gtzan.genre_of(name) not in left_out], left_out


def cross_validated(classifier: str, features: str, repeat: int, described: Described, whole: Ablation) -> Trial:
    """Answer every track by a model that was fitted, and whose settings were chosen, without its fold."""
    tracks = {name: _joined(described[name], features.split(" + ")) for name in whole.tracks}
    groups = dict(zip(whole.tracks, whole.groups, strict=True))
    answers: dict[str, str] = {}
    chosen = []
    for train, test in folds(whole.tracks, groups, trials.FOLDS, repeat):
        settings = _chosen(classifier, {name: tracks[name] for name in train}, groups, repeat)
        model = baselines.fitted(classifier, settings, {name: tracks[name] for name in train}, seed=repeat)
        answers |= baselines.answers(model, {name: tracks[name] for name in test})
        chosen.append(settings)
    return Trial(classifier, features, repeat, chosen, [answers[name] for name in whole.tracks])


def folds(names: list[str], groups: dict[str, int], n: int, seed: int) -> Iterator[tuple[list[str], list[str]]]:
    """`n` times a training part and the fold that it lacks; genres are spread as evenly as whole groups allow."""
    splitter = StratifiedGroupKFold(n, shuffle=True, random_state=seed)
    genres = [gtzan.genre_of(name) for name in names]
    for train, test in splitter.split(names, genres, [groups[name] for name in names]):
        yield [names[i] for i in train], [names[i] for i in test]


def _chosen(classifier: str, tracks: dict[str, list[Summary]], groups: dict[str, int], repeat: int) -> dict[str, Any]:
    """Settings that answer most of `tracks` right, by a cross-validation among them."""
    parts = list(folds(list(tracks), groups, trials.INNER_FOLDS, repeat))

    def right(settings: dict[str, Any]) -> float:
        answers: dict[str, str] = {}
        for train, test in parts:
            known = {name: tracks[name] for name in train}
            model = baselines.fitted(classifier, settings, known, seed=repeat, trees=TREES)
            answers |= baselines.answers(model, {name: tracks[name] for name in test})
        return judge.accuracy(answers)

    return max(baselines.choices(classifier), key=right)


def _joined(of: dict[str, list[Summary]], features: list[str]) -> list[Summary]:
    """Summaries of one track's windows by all `features`."""
    return [np.concatenate(parts) for parts in zip(*(of[feature] for feature in features), strict=True)]
