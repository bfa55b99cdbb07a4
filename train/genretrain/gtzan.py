"""GTZAN: its tracks, its known faults, and how it is split.

Tzanetakis and Cook 2002: 1000 excerpts of 30 s, 100 of each of ten genres. Sturm 2013 (arXiv 1306.1461) lists its
faults. A track is named ``<genre>.000NN``.
"""

from __future__ import annotations

import csv
import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from genred.errors import BadInputError

GENRES = ("blues", "classical", "country", "disco", "hiphop", "jazz", "metal", "pop", "reggae", "rock")
TRACKS_PER_GENRE = 100
DAMAGED = {"jazz.00054": "unreadable in the public copies"}
TRACKS = [f"{g}.{i:05}" for g in GENRES for i in range(TRACKS_PER_GENRE) if f"{g}.{i:05}" not in DAMAGED]
AUDIO_SUFFIXES = (".wav", ".au", ".ogg", ".flac", ".mp3")
SPLITS = ("random", "filtered")  # of the comparison with the paper
KINDS = (*SPLITS, "fold")
FOLDS = 5
LISTS = Path(__file__).parents[1] / "splits"  # of the checkout


def genre_of(track: str) -> str:
    """Genre in a track's name: ``jazz`` of ``jazz.00054``."""
    return track.split(".")[0]


def audio_files(data: Path) -> dict[str, Path]:
    """Audio files by track name, from ``genres/<genre>/<track>.<suffix>`` or ``audio/<genre>/...`` below `data`."""
    found: dict[str, Path] = {}
    for folder in ("genres", "audio", "."):
        for genre in GENRES:
            for path in sorted((data / folder / genre).glob(f"{genre}.*")):
                if path.suffix in AUDIO_SUFFIXES:
                    found.setdefault(path.stem, path)
    return found


def archives(data: Path) -> dict[str, Path]:
    """Log-mel archives by genre: ``logmel/<genre>.npz`` below `data`, or in it."""
    found: dict[str, Path] = {}
    for genre in GENRES:
        for path in (data / "logmel" / f"{genre}.npz", data / f"{genre}.npz"):
            if path.is_file():
                found.setdefault(genre, path)
    return found


def check_genres(found: set[str], data: Path) -> None:
    """Refuse a folder that is not all of GTZAN's genres.

    Raises
    ------
    BadInputError
        Naming the genres that are missing.
    """
    missing = [genre for genre in GENRES if genre not in found]
    if len(missing) == len(GENRES):
        raise BadInputError(
            f"no GTZAN in {data}: expected genres/<genre>/<genre>.000NN.wav or logmel/<genre>.npz below it"
        )
    if missing:
        raise BadInputError(f"GTZAN in {data} is not complete: no tracks of {', '.join(missing)}")


@dataclass(frozen=True)
class Split:
    """Names of the tracks of each part; no track is in two of them."""

    name: str
    train: tuple[str, ...]
    valid: tuple[str, ...]
    test: tuple[str, ...]

    @property
    def held_out(self) -> str:
        """Short digest of the test part: two splits that agree in it hold out the same tracks."""
        return hashlib.sha256("\n".join(self.test).encode()).hexdigest()[:16]


def split(kind: str, tracks: list[str], seed: int) -> Split:
    """Split `tracks` as `kind` says, one of `KINDS`; of the folds, `seed` is the number."""
    kinds = {"random": random_split, "fold": fold_split}
    return kinds[kind](tracks, seed) if kind in kinds else filtered_split(tracks)


def random_split(tracks: list[str], seed: int) -> Split:
    """Split at random by track within each genre: 80 % to learn from, 20 % held out, as the paper.

    An eighth of the 80 % is the validation part, so the parts are 70:10:20. The same `seed` and tracks give the same
    split on every machine.
    """
    return _by_shares(f"random, seed {seed}", tracks, np.random.default_rng(seed), turn=0)


def fold_split(tracks: list[str], fold: int) -> Split:
    """Split `tracks` as the random split does, but so that the test parts of folds 0 to 4 hold every track once."""
    return _by_shares(f"fold {fold} of {FOLDS}", tracks, np.random.default_rng(FOLDS), turn=fold % FOLDS)


def _by_shares(name: str, tracks: list[str], rng: np.random.Generator, turn: int) -> Split:
    """Shuffle each genre, turn it by `turn` fifths, and cut it in 20 % test, 10 % validation and the rest."""
    parts: dict[str, list[str]] = {"train": [], "valid": [], "test": []}
    for genre in GENRES:
        names = sorted(t for t in tracks if genre_of(t) == genre)
        names = [names[i] for i in rng.permutation(len(names))]
        first, stop = (round(len(names) * fifth / FOLDS) for fifth in (turn, turn + 1))
        names = names[first:] + names[:first]
        test, valid = stop - first, round(len(names) * 0.1)
        parts["test"] += names[:test]
        parts["valid"] += names[test : test + valid]
        parts["train"] += names[test + valid :]
    return Split(name, *(tuple(sorted(parts[p])) for p in ("train", "valid", "test")))


def filtered_split(tracks: list[str]) -> Split:
    """Split by the published lists that leave Sturm's faults out and separate most artists; of what is in `tracks`.

    Kereliuk, Sturm and Larsen 2015, "Deep learning and music adversaries": 443, 197 and 290 tracks.
    """
    present = set(tracks)
    parts = ([t for t in listed(LISTS / f"filtered_{part}.txt") if t in present] for part in ("train", "valid", "test"))
    filtered = Split("filtered", *(tuple(sorted(part)) for part in parts))
    if not (filtered.train and filtered.valid and filtered.test):
        raise BadInputError(f"of {len(tracks)} tracks, none are in some part of the filtered split; is this GTZAN?")
    return filtered


def listed(path: Path) -> list[str]:
    """Lines of a text list, without its comments."""
    return [line for line in _text(path).splitlines() if line and not line.startswith("#")]


def artists() -> dict[str, str]:
    """Artists by track, as volunteers annotated them; a track whose artist is unknown is left out."""
    rows = csv.DictReader(_text(LISTS / "artists.csv").splitlines())
    return {row["track"]: row["artist"] for row in rows if row["artist"].lower() not in ("", "unknown artist")}


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise BadInputError(f"no {path}: the lists of splits are in the checkout of genred; run from there") from error


def shared_artists(one: tuple[str, ...], other: tuple[str, ...]) -> list[str]:
    """Known artists of whom there are tracks on both sides."""
    by_track = artists()
    sides = ({by_track[t] for t in side if t in by_track} for side in (one, other))
    return sorted(set.intersection(*sides))
