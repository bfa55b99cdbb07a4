"""GTZAN: its tracks, its known faults, and how it is split.

Tzanetakis and Cook 2002: 1000 excerpts of 30 s, 100 of each of ten genres. Sturm 2013 (arXiv 1306.1461) lists its
faults. A track is named ``<genre>.000NN``.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from genred.errors import BadInputError

GENRES = ("blues", "classical", "country", "disco", "hiphop", "jazz", "metal", "pop", "reggae", "rock")
TRACKS_PER_GENRE = 100
DAMAGED = {"jazz.00054": "unreadable in the public copies"}
AUDIO_SUFFIXES = (".wav", ".au", ".ogg", ".flac", ".mp3")


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


def random_split(tracks: list[str], seed: int) -> Split:
    """Split at random by track within each genre: 80 % to learn from, 20 % held out, as the paper.

    An eighth of the 80 % is the validation part, so the parts are 70:10:20. The same `seed` and tracks give the same
    split on every machine.
    """
    parts: dict[str, list[str]] = {"train": [], "valid": [], "test": []}
    rng = np.random.default_rng(seed)
    for genre in GENRES:
        names = sorted(t for t in tracks if genre_of(t) == genre)
        names = [names[i] for i in rng.permutation(len(names))]
        test, valid = round(len(names) * 0.2), round(len(names) * 0.1)
        parts["test"] += names[:test]
        parts["valid"] += names[test : test + valid]
        parts["train"] += names[test + valid :]
    return Split(f"random, seed {seed}", *(tuple(sorted(parts[p])) for p in ("train", "valid", "test")))
