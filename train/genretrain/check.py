"""Check: what there is of GTZAN in a folder, and what is wrong with it, in one table before anything is trained.

A fault is told, not fatal: `prepare` resamples, mixes to mono, pads, and leaves out what cannot be read. What a
training cannot do without is all ten genres.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from genred.errors import BadInputError

from . import dataset, gtzan, repeats
from .progress import Progress

WINDOW = 1000  # frames, the paper's
FAULTS = ("missing", "unreadable", "damaged", "other rate", "not mono", "too short")
NAMED = 8  # of more tracks with one fault, only the first are named

Faults = dict[str, tuple[str, ...]]  # by track; none for a track that is as it should be


def check(data: Path) -> None:
    """Print what GTZAN in `data` is like: its archives, its audio, and what the two sides of its splits share.

    Raises
    ------
    BadInputError
        After the table, if there are not all ten genres.
    """
    archives, files = gtzan.archives(data), gtzan.audio_files(data)
    if not archives and not files:
        gtzan.check_genres(set(), data)
    if archives:
        _show(f"log-mels in {data}", of_archives(archives))
    if files:
        _show(f"audio in {data}", of_audio(files))
    gtzan.check_genres(set(archives) or {gtzan.genre_of(name) for name in files}, data)
    names = list(dataset.load(data)) if archives else list(files)
    for kind in gtzan.SPLITS:
        _show_split(gtzan.split(kind, names, seed=0))


def of_archives(found: dict[str, Path]) -> Faults:
    """Faults of every track in log-mel archives; of an archive that cannot be read, its genre is named."""
    faults: Faults = {}
    for genre, path in found.items():
        try:
            tracks = dataset.read_archive(path)
        except BadInputError:
            faults[genre] = ("unreadable",)
            continue
        for name, track in tracks.items():
            good = dataset.is_archived(track)
            faults[name] = (*(() if good else ("damaged",)), *(("too short",) if good and len(track) < WINDOW else ()))
    return faults


def of_audio(files: dict[str, Path]) -> Faults:
    """Faults of every audio file, each decoded to its end."""
    return {name: _of_file(files[name]) for name in Progress(files, "check")}


def _of_file(path: Path) -> tuple[str, ...]:
    from genred.errors import SourceError  # PyAV and soxr: fit does without them
    from genred.sources.file import decode

    from .audio import channels

    damages: list[str] = []
    seconds, rates = 0.0, set()
    try:
        for piece in decode(path, lambda: damages.append("damaged")):
            seconds += len(piece.block) / piece.rate_hz
            rates.add(piece.rate_hz)
    except SourceError:
        return ("unreadable",)
    if not rates:
        return ("unreadable",)
    spec = dataset.ARCHIVED
    faults = {
        "damaged": bool(damages),
        "other rate": rates != {spec.sample_rate},
        "not mono": channels(path) != 1,
        "too short": seconds < spec.seconds(WINDOW),
    }
    return tuple(fault for fault, there in faults.items() if there)


def _missing(faults: Faults, genre: str) -> list[str]:
    return [name for i in range(gtzan.TRACKS_PER_GENRE) if (name := f"{genre}.{i:05}") not in faults]


def _show(title: str, faults: Faults) -> None:
    print(title)
    print(f"{'genre':10}{'tracks':>8}" + "".join(f"{fault:>12}" for fault in FAULTS))
    for genre in gtzan.GENRES:
        of_genre = [wrong for name, wrong in faults.items() if gtzan.genre_of(name) == genre and name != genre]
        counts = Counter(fault for wrong in of_genre for fault in wrong)
        counts["missing"] = len(_missing(faults, genre))
        counts["unreadable"] += genre in faults
        print(f"{genre:10}{len(of_genre):8}" + "".join(f"{counts[fault] or '-':>12}" for fault in FAULTS))
    named = {fault: [name for name, wrong in faults.items() if fault in wrong] for fault in FAULTS}
    named["missing"] = [name for genre in gtzan.GENRES for name in _missing(faults, genre)]
    for fault, names in named.items():
        if names:
            print(f"{fault}: {_named([_known(name) for name in names], ', ')}")
    print()


def _known(name: str) -> str:
    return f"{name} ({gtzan.DAMAGED[name]})" if name in gtzan.DAMAGED else name


def _show_split(split: gtzan.Split) -> None:
    """Sizes of a split, and who and what is on both sides of it."""
    print(f"split {split.name}: {len(split.train)} train, {len(split.valid)} valid, {len(split.test)} test tracks")
    pairs = repeats.read()
    for name, side in (("train", split.train), ("valid", split.valid)):
        artists = gtzan.shared_artists(side, split.test)
        repeated = len(repeats.shared(pairs, side, split.test))
        listed = f": {_named(artists, '; ')}" if artists else ""
        print(f"  {name} and test share {repeated} repeats, {len(artists)} artists{listed}")


def _named(names: list[str], separator: str) -> str:
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return separator.join(names[:NAMED]) + more
