"""Abstention: how sure an answer must be to be given, and how much of what is no music is answered all the same.

::

    validation tracks --> temperature --> calibrated confidence --+--> threshold, into the card's horizons
    sounds that are no music (choosing part) ---------------------+
    sounds that are no music (reporting part) --> the model with its thresholds --> share that is answered

A threshold trades music that is left unanswered for answers to what is no music: the risk-coverage curve (Geifman and
El-Yaniv 2017) is written down with the choice. It is the least threshold that leaves all but `ANSWERED` of the choosing
part unanswered, if that many of the validation windows are still answered as `COVERAGE` says.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from genred.card import Horizon
from genred.classifier import Classifier, Verdict

from . import atomic, card, dataset, gtzan, horizons, notmusic, shipped
from .horizons import Heard, Table
from .markdown import table
from .notmusic import Sound
from .progress import Progress

ANSWERED = 0.2  # greatest share of the choosing part that may be answered
COVERAGE = 0.7  # least share of the validation windows that must be
THRESHOLDS = np.round(np.arange(0.1, 1.0, 0.01), 2)


@dataclass(frozen=True)
class Choice:
    """What a threshold at one horizon does.

    Attributes
    ----------
    frames, temperature, unsure_below : int, float, float
        As they go into the card.
    coverage, accuracy : float
        Share of validation windows that are answered, and of those answered that are right.
    answered : float
        Share of the choosing part's windows that are answered.
    curve : list of (float, float, float, float)
        The same for other thresholds: threshold, coverage, accuracy, answered.
    """

    frames: int
    temperature: float
    unsure_below: float
    coverage: float
    accuracy: float
    answered: float
    curve: list[tuple[float, float, float, float]]


def calibrate(model: Path, data: Path, others: Path, results: Path = Path("train/results")) -> None:
    """Fit temperatures and thresholds of `model` on its validation tracks in `data` and on the sounds in `others`.

    They go into the model's card; the curves to ``calibration-<model>.json`` below `results`. Test tracks and the
    reporting part of the sounds are not touched.

    Raises
    ------
    BadInputError
        If `data` is not GTZAN, does not give the split of the model, or `others` has no sounds.
    """
    classifier = Classifier(model, "cpu")
    tracks = dataset.load(data)
    split = shipped.split_of(classifier.card, list(tracks), data)
    sounds = [s for s in notmusic.sounds(others, classifier.card.spec.sample_rate) if s.part == "choosing"]
    shortest = classifier.card.training.get("recipe", {}).get("shortest", 0)
    judged = horizons.frames_judged(classifier.card.window_frames, shortest)
    neutral = msgspec.structs.replace(classifier.card, horizons=tuple(Horizon(frames) for frames in judged))
    card.store(model, neutral)
    classifier = Classifier(model, "cpu")  # of probabilities as the network has them
    valid, truth = dataset.part(tracks, split.valid, neutral.spec, neutral.gain, neutral.window_frames)

    choices = []
    for frames in judged:
        music = horizons.hear(classifier.probabilities, valid, truth, frames)
        choices.append(choose(music, _of_sounds(classifier, sounds, frames), frames))
    fitted = tuple(Horizon(c.frames, c.temperature, c.unsure_below) for c in choices)
    card.store(model, calibrated := msgspec.structs.replace(neutral, horizons=fitted))
    card.set_out(model, calibrated)
    lines = ",\n".join(json.dumps(asdict(choice)) for choice in choices)
    atomic.write(results / f"calibration-{classifier.name}.json", f"[\n{lines}\n]\n")
    for c in choices:
        print(
            f"{c.frames:5} frames: temperature {c.temperature:.2f}, unsure below {c.unsure_below:.2f}; of validation"
            f" windows {100 * c.coverage:.0f} % answered, {100 * c.accuracy:.0f} % of them right; of what is no music"
            f" {100 * c.answered:.0f} % answered"
        )


def choose(music: Heard, others: Table, frames: int) -> Choice:
    """Fit the temperature on `music`, and the threshold on it and on the probabilities [N, K] of `others`."""
    temperature = round(horizons.fit_temperature(music), 3)
    calibrated = music.calibrated(temperature)
    sure, right = calibrated.probabilities.max(axis=1), calibrated.right
    unmusical = Heard(others, np.arange(len(others)), np.zeros(len(others), int)).calibrated(temperature)
    foreign = unmusical.probabilities.max(axis=1)
    curve = [(float(t), *_at(float(t), sure, right, foreign)) for t in THRESHOLDS]
    kept = [point for point in curve if point[1] >= COVERAGE]
    chosen = next((point for point in kept if point[3] <= ANSWERED), kept[-1])
    threshold, coverage, accuracy, answered = chosen
    return Choice(frames, temperature, threshold, coverage, accuracy, answered, curve)


def _at(
    threshold: float, sure: NDArray[np.float64], right: NDArray[np.bool_], foreign: NDArray[np.float64]
) -> tuple[float, float, float]:
    """Coverage and accuracy of music, and share of what is no music that is answered."""
    given = sure >= threshold
    accuracy = float(right[given].mean()) if given.any() else 1.0
    return round(float(given.mean()), 4), round(accuracy, 4), round(float((foreign >= threshold).mean()), 4)


def _of_sounds(classifier: Classifier, sounds: Sequence[Sound], frames: int) -> Table:
    """Probabilities [N, K] of all windows of `sounds` that are not silent."""
    windows = [
        window.mfcc
        for sound in sounds
        for window in notmusic.windows(sound, classifier.card, frames)
        if not window.silent
    ]
    return np.concatenate([classifier.probabilities(window[None]) for window in windows])


@dataclass(frozen=True)
class Answered:
    """How many windows of one class of sounds were answered with a genre, by horizon; the rest is unsure or silence."""

    sound: str
    frames: int
    windows: int
    answered: int
    labels: dict[str, int]


def report(classifier: Classifier, others: Path) -> list[Answered]:
    """Judge the reporting part of the sounds in `others` with the thresholds of the model's card."""
    sounds = [s for s in notmusic.sounds(others, classifier.card.spec.sample_rate) if s.part == "reporting"]
    return [
        _answered(classifier, sound, horizon.frames)
        for sound in Progress(sounds, "no music")
        for horizon in classifier.card.horizons
    ]


def _answered(classifier: Classifier, sound: Sound, frames: int) -> Answered:
    verdicts = classifier.judge(notmusic.windows(sound, classifier.card, frames))
    given = [v.label for v in verdicts if isinstance(v, Verdict) and v.label is not None]
    counts = {label: given.count(label) for label in gtzan.GENRES if label in given}
    return Answered(sound.name, frames, len(verdicts), len(given), counts)


def text(model: str, results: Path, before: str = "") -> str:
    """Set out what the thresholds of `model` do, from the files below `results`, as Markdown.

    If there is a file of the model `before`, the same network before it was shown outliers, show what its would do.
    """
    path = results / f"calibration-{model}.json"
    if not path.exists():
        return f"Not chosen yet: `genretrain calibrate models/{model}.onnx --data GTZAN --notmusic SOUNDS`."
    head = (
        f"`{model}.onnx`: temperatures and thresholds, chosen on validation tracks and on one half of the sounds that"
        f" are no music; the whole risk-coverage curve is in `results/{path.name}`."
    )
    parts = [head, _chosen(path)]
    if before and (earlier := results / f"calibration-{before}.json").exists():
        parts += ["By the same rule for the same network before it was shown outliers:", _chosen(earlier)]
    return "\n\n".join([*parts, _reported(results / f"{model}.json")])


def _chosen(path: Path) -> str:
    choices = [Choice(**entry) for entry in json.loads(path.read_text())]
    head = (
        "frames",
        "temperature",
        "unsure below",
        "validation windows answered, %",
        "of them right, %",
        "no music answered, %",
    )
    lines = [
        (
            c.frames,
            f"{c.temperature:.2f}",
            f"{c.unsure_below:.2f}",
            *(f"{100 * share:.0f}" for share in (c.coverage, c.accuracy, c.answered)),
        )
        for c in choices
    ]
    return table(head, lines)


def _reported(path: Path) -> str:
    entries = json.loads(path.read_text()).get("no music") if path.exists() else None
    if not entries:
        return "The other half has not been judged yet: `genretrain evaluate` with `--notmusic SOUNDS`."
    judged = [Answered(**entry) for entry in entries]
    frames = sorted({one.frames for one in judged})
    lines = []
    for sound in dict.fromkeys(one.sound for one in judged):
        of = {one.frames: one for one in judged if one.sound == sound}
        labels = [label for one in of.values() for label in one.labels]
        common = max(set(labels), key=labels.count) if labels else ""
        lines.append((sound, *(_share([of[n]]) for n in frames), common))
    lines.append(("all", *(_share([one for one in judged if one.frames == n]) for n in frames), ""))
    return "The other half: windows that were given a genre all the same, of how many.\n\n" + table(
        ("sound", *(f"{n} frames" for n in frames), "mostly"), lines
    )


def _share(judged: Sequence[Answered]) -> str:
    return f"{sum(one.answered for one in judged)} of {sum(one.windows for one in judged)}"
