"""Robustness: what it costs when music comes by telephone, MP3, a room, too quiet, too loud or too fast; or as audio.

::

    a file --decode--> degradation --> the daemon's own path --> one answer --+
                                                              the same track's other answer --> cost, 95 % interval

A cost is the share of tracks that were answered right before, less that after: of the same tracks. An answer without
a label counts as wrong.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import partial
from itertools import groupby
from operator import attrgetter
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from genred.classifier import Classifier, Verdict
from genred.classify import HOP_FRAMES, listen_to
from genred.errors import SourceError
from genred.sources.frames import Piece

from . import gtzan, intervals
from .degradations import DEGRADATIONS, Change
from .markdown import points, table
from .progress import Progress

Answers = dict[str, Verdict]  # by track


@dataclass(frozen=True)
class Cost:
    """What a change cost, on the tracks that were answered before and after it.

    Attributes
    ----------
    change : str
    tracks : int
    before, after : float
        Share of them answered right.
    unanswered : int
        Tracks without a label after it.
    low, high : float
        95 % interval of before - after (Newcombe 1998).
    """

    change: str
    tracks: int
    before: float
    after: float
    unanswered: int
    low: float
    high: float


@dataclass(frozen=True)
class Agreement:
    """How far probabilities from audio are from those from log-mels, on the tracks that have both.

    Attributes
    ----------
    tracks : int
    moved : float
        Mean share of the probability that is with other genres: half the sum of the absolute differences.
    to_truth : float
        Mean change of the true genre's probability.
    """

    tracks: int
    moved: float
    to_truth: float


def listen(classifier: Classifier, files: dict[str, Path]) -> dict[str, Answers]:
    """Answers to `files` after each of DEGRADATIONS; a track that one cannot be done to is left out there, and said."""
    return {name: degraded(name, one.change, classifier, files) for name, one in DEGRADATIONS.items()}


def degraded(name: str, change: Change, classifier: Classifier, files: dict[str, Path]) -> Answers:
    """Answers to `files` after `change`, called `name`."""
    answers = {}
    for track in Progress(files, name):
        through = partial(_through, change, track)
        try:
            answers[track] = listen_to(files[track], classifier, HOP_FRAMES, through=through).overall
        except SourceError as error:
            print(f"left out: {track}, {name} ({error})")
    return answers


def _through(change: Change, track: str, pieces: Iterator[Piece]) -> Iterator[Piece]:
    """Change all sound of one rate as a whole; chance is the track's: it is in the same room at every change."""
    for rate_hz, group in groupby(pieces, attrgetter("rate_hz")):
        samples = np.concatenate([piece.block[:, 0] for piece in group])
        chance = np.random.default_rng(zlib.crc32(track.encode()))
        changed = change(samples, rate_hz, chance)[:, None]
        yield Piece(rate_hz, changed)


def cost(change: str, before: Answers, after: Answers) -> Cost:
    """Compare two answers to each track that has both."""
    tracks = [track for track in before if track in after]
    one, other = _right(before, tracks), _right(after, tracks)
    low, high = intervals.newcombe(one, other)
    unanswered = sum(after[track].label is None for track in tracks)
    return Cost(change, len(tracks), float(one.mean()), float(other.mean()), unanswered, low, high)


def _right(answers: Answers, tracks: list[str]) -> NDArray[np.bool_]:
    return np.array([answers[track].likeliest == gtzan.genre_of(track) for track in tracks], bool)


def agreement(log_mel: Answers, audio: Answers) -> Agreement | None:
    """Compare the probabilities of each track that has both; None if there is none."""
    pairs = [
        (gtzan.genre_of(track), log_mel[track].probabilities, audio[track].probabilities)
        for track in audio
        if track in log_mel
    ]
    changes = [(truth, {genre: b[genre] - a[genre] for genre in a}) for truth, a, b in pairs if a and b]
    if not changes:
        return None
    moved = float(np.mean([sum(map(abs, change.values())) / 2 for _, change in changes]))
    return Agreement(len(changes), moved, float(np.mean([change[truth] for truth, change in changes])))


def report(log_mel: Answers, audio: Answers, degraded: dict[str, Answers]) -> dict[str, Any]:
    """What the results file says: costs of the change to audio and of each degradation of it."""
    if not audio:
        return {}
    alike = agreement(log_mel, audio)
    return {
        "audio_cost": asdict(cost("audio", log_mel, audio)),
        "audio_agreement": asdict(alike) if alike else None,
        "robustness": [asdict(cost(name, audio, answers)) for name, answers in degraded.items() if answers],
    }


def labels(track: str, degraded: dict[str, Answers]) -> dict[str, str | None]:
    """Label of `track` after each degradation that could be done to it."""
    return {name: answers[track].likeliest for name, answers in degraded.items() if track in answers}


def lines(entries: dict[str, Any]) -> list[str]:
    """What `report` found, a line each, for the terminal."""
    if not entries:
        return []
    every = [Cost(**cost) for cost in (entries["audio_cost"], *entries["robustness"])]
    said = [f"{c.change:12}{c.tracks:5} tracks  costs {_points(c)}, {c.unanswered} without an answer" for c in every]
    return [*said, _agreement(entries["audio_agreement"])]


_HEAD = """\
Held-out tracks that have audio. A cost is the share of them that was answered right before the change, less that after
it, in points; the interval holds 95 % (Newcombe 1998, paired). An answer without a label, as `silence` or `unsure`,
counts as wrong. All sound goes through the daemon's own path. Written by `genretrain evaluate`."""


def text(reports: dict[str, Path]) -> str:
    """Section of the report on the results file of each model, by name."""
    return "\n\n".join([_HEAD, _what(), *(_of_model(name, path) for name, path in reports.items())])


def _what() -> str:
    return table(("change", "what is done"), [(name, one.what) for name, one in DEGRADATIONS.items()])


def _of_model(name: str, path: Path) -> str:
    entries = json.loads(path.read_text()) if path.exists() else {}
    if "robustness" not in entries:
        return f"{name}: not measured yet. `genretrain evaluate models/{name}.onnx --data GTZAN`"
    audio = Cost(**entries["audio_cost"])
    against = (
        f"From audio instead of log-mels, {audio.tracks} tracks: {_percent(audio.before)} before,"
        f" {_percent(audio.after)} after, cost {_points(audio)}. {_agreement(entries['audio_agreement'])}"
    )
    rows = [
        (c.change, c.tracks, _percent(c.before), _percent(c.after), c.unanswered, _points(c))
        for c in (Cost(**cost) for cost in entries["robustness"])
    ]
    head = ("change", "tracks", "unchanged audio", "changed", "without an answer", "cost, points (95 %)")
    return f"### {name}\n\n{entries['split']}. {against}\n\n{table(head, rows)}"


def _agreement(entry: dict[str, Any] | None) -> str:
    if entry is None:
        return "No track has probabilities from both log-mels and audio."
    alike = Agreement(**entry)
    return (
        f"From log-mels to audio {_percent(alike.moved)} of the probability moves to other genres, mean of"
        f" {alike.tracks} tracks; the true genre's changes by {100 * alike.to_truth:+.1f} points."
    )


def _points(cost: Cost) -> str:
    return points(cost.before - cost.after, (cost.low, cost.high))


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"
