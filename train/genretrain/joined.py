"""Joined: how steady the answers are where one genre follows another, on tracks that are joined in memory.

::

    validation tracks --> passages of a genre --> the daemon's own path --> its segments' settings, the best of a grid
    test tracks       --> the same                                      --> train/results/joined-<name>.json

Passages are 1 to MOST tracks of one genre; a programme has every track once. Between the tracks of a passage the song
changes but the genre does not: a change that is told there is spurious. The programmes differ in what is joined with
what; they are the same tracks, so more of them make the figures smoother, not surer.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from genred.classifier import Classifier
from genred.classify import HOP_FRAMES, listen_to
from genred.errors import BadInputError
from genred.segments import Settings
from genred.sources.frames import Piece

from . import atomic, audio, card, dataset, gtzan
from .boundaries import TOLERANCE_S, Hearing, Method, Score, arg_max, score, segmented, smoothed
from .evaluate import touches_of
from .progress import Progress
from .shipped import split_of

PROGRAMMES = 6
MOST = 4  # tracks in a passage: 30 s to 2 min
SMOOTHINGS_S = (0.0, 1.0, 2.0, 3.0, 4.0, 6.0, 8.0)
MARGINS = (0.0, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5)
EVIDENCE = (0.1, 0.2, 0.3, 0.5, 0.7, 1.0, 1.3, 1.6, 2.0, 2.5)
AS_GOOD = 0.01  # of F: two settings this close are the same to so few boundaries


@dataclass(frozen=True)
class Passage:
    """Tracks of one genre, one after the other."""

    genre: str
    tracks: tuple[str, ...]


def joined(model: Path, data: Path, results: Path = Path("train/results")) -> None:
    """Choose settings on the validation tracks of `data` that have audio, and score them on the test tracks.

    Raises
    ------
    BadInputError
        If `data` is not GTZAN with audio, or does not give the split that `model` was trained on.
    """
    classifier = Classifier(model, "cpu")
    report = results / f"joined-{classifier.name}.json"
    touches = touches_of(report) + 1
    split, files = split_of(classifier.card, list(dataset.load(data)), data), gtzan.audio_files(data)
    parts = {part: [name for name in getattr(split, part) if name in files] for part in ("valid", "test")}
    for part, names in parts.items():
        if len({gtzan.genre_of(name) for name in names}) < 2:
            raise BadInputError(f"{data} has audio of {len(names)} {part} tracks, not of two genres: nothing to join")
    hearings = {part: _listen(classifier, names, files, part) for part, names in parts.items()}
    settings = choose(hearings["valid"])
    scores = {part: _scores(heard, settings) for part, heard in hearings.items()}
    content = {
        "model": classifier.name,
        "fingerprint": card.fingerprint(model),
        "split": split.name,
        "touches": touches,
        "tracks": {part: len(names) for part, names in parts.items()},
        "programmes": PROGRAMMES,
        "minutes": {part: round(sum(one.truth[-1][0] for one in heard) / 60, 1) for part, heard in hearings.items()},
        "most_tracks_a_passage": MOST,
        "hop_frames": HOP_FRAMES,
        "tolerance_s": TOLERANCE_S,
        "settings": asdict(settings),
        **scores,
    }
    lines = ",\n".join(f"{json.dumps(key)}: {json.dumps(value)}" for key, value in content.items())
    atomic.write(report, f"{{\n{lines}\n}}\n")
    _show(content)


def programme(names: Iterable[str], seed: int) -> list[Passage]:
    """All of `names` in passages, drawn by `seed`; no two in a row are of the same genre, as far as that can be."""
    rng = np.random.default_rng(seed)
    passages: list[Passage] = []
    by_genre = {genre: [name for name in sorted(names) if gtzan.genre_of(name) == genre] for genre in gtzan.GENRES}
    for genre, tracks in by_genre.items():
        left = [tracks[i] for i in rng.permutation(len(tracks))]
        while left:
            n = int(rng.integers(1, MOST + 1))
            passages.append(Passage(genre, tuple(left[:n])))
            left = left[n:]
    return _in_order([passages[i] for i in rng.permutation(len(passages))], rng)


def _in_order(passages: list[Passage], rng: np.random.Generator) -> list[Passage]:
    """Draw one after the other; the genre with half of what is left must come now, or it would follow itself."""
    ordered: list[Passage] = []
    while passages:
        counts = Counter(one.genre for one in passages)
        before = ordered[-1].genre if ordered else ""
        must = [genre for genre, n in counts.items() if 2 * n > len(passages) and genre != before]
        may = must or [genre for genre in counts if genre != before] or list(counts)
        genre = may[int(rng.integers(len(may)))]
        ordered.append(next(one for one in passages if one.genre == genre))
        passages = [one for one in passages if one is not ordered[-1]]
    return ordered


def choose(hearings: Sequence[Hearing]) -> Settings:
    """Return the settings that agree best with the truth; of those that are AS_GOOD, those that tell soonest."""
    grid = [Settings(smoothing_s=s, margin=m) for s in SMOOTHINGS_S for m in MARGINS]
    smooth = _best({one: score(hearings, smoothed(one)) for one in grid})
    found = _best({one: score(hearings, segmented(one)) for one in (replace(smooth, evidence=e) for e in EVIDENCE)})
    return replace(smooth, evidence=found.evidence)


def _best(scores: dict[Settings, Score]) -> Settings:
    most = max(one.f for one in scores.values())
    good = [settings for settings, one in scores.items() if one.f >= most - AS_GOOD]
    return min(good, key=lambda settings: scores[settings].delay_s)


def _listen(classifier: Classifier, names: list[str], files: dict[str, Path], title: str) -> list[Hearing]:
    return [hear(classifier, programme(names, seed), files) for seed in Progress(range(PROGRAMMES), title)]


def hear(classifier: Classifier, passages: Sequence[Passage], files: dict[str, Path]) -> Hearing:
    """Let the daemon's own path hear `passages`, joined without a gap."""
    rate, tracks = classifier.card.spec.sample_rate, [name for passage in passages for name in passage.tracks]
    lengths: list[float] = []

    def sound(_: Iterator[Piece]) -> Iterator[Piece]:
        for name in tracks:
            samples = audio.read(files[name], rate)
            lengths.append(len(samples) / rate)
            yield Piece(rate, samples[:, None])

    timeline = listen_to(files[tracks[0]], classifier, HOP_FRAMES, through=sound)
    ends = np.cumsum(lengths)[np.cumsum([len(passage.tracks) for passage in passages]) - 1]
    return Hearing(
        truth=tuple((float(end_s), passage.genre) for end_s, passage in zip(ends, passages, strict=True)),
        heard=tuple(answer.verdict.heard(answer.window, rate) for answer in timeline.answers),
    )


def _scores(hearings: Sequence[Hearing], settings: Settings) -> dict[str, dict[str, float]]:
    methods: dict[str, Method] = {
        "arg-max": arg_max,
        "smoothed": smoothed(settings),
        "segments": segmented(settings),
    }
    return {
        name: {key: round(value, 3) for key, value in asdict(score(hearings, method)).items()}
        for name, method in methods.items()
    }


def _show(content: dict[str, Any]) -> None:
    print(f"{content['model']} on joined tracks of the split {content['split']}; settings {content['settings']}")
    for part in ("valid", "test"):
        print(f"{part}: {content['tracks'][part]} tracks, {content['minutes'][part]} min")
        for method, one in content[part].items():
            print(
                f"  {method:9} error {one['error_s']:5.2f} s (90 %: {one['error_90_s']:5.2f}),"
                f" {one['missed']:3} of {one['boundaries']} missed, {one['spurious_a_minute']:.2f} spurious a minute,"
                f" told after {one['delay_s']:.1f} s ({one['delay_90_s']:.1f}),"
                f" right {one['right']:.1%}, afterwards {one['right_afterwards']:.1%}"
            )
    print(f"test tracks judged {content['touches']} time(s) with a model of this name")
