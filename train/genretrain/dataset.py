"""From GTZAN to what a network is fed: log-mels on disk, MFCC crops in memory.

Log-mels are kept as uint8, ``dB = -30 + value / 2``: exact to 0.25 dB, a megabyte for seven tracks, and every effect
that is a gain in some band can be applied to them. One track is [T, n_mels], T about 1286.
"""

from __future__ import annotations

import zlib
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from genred.errors import BadInputError
from genred.features import Frames, GainRule, MfccSpec, dct_basis, gain_of_log_mel

from . import gtzan
from .progress import Progress

FLOOR_DB = -30.0  # 10 * log10(amin)
DB_PER_STEP = 0.5
ARCHIVED = MfccSpec()  # what the archives hold; of an archive, only n_mfcc can still be chosen

LogMel = NDArray[np.float32]  # [T, n_mels], dB


def encode(log_mel: NDArray[np.floating]) -> NDArray[np.uint8]:
    """Archive steps of decibels."""
    return np.clip(np.round((log_mel - FLOOR_DB) / DB_PER_STEP), 0, 255).astype(np.uint8)


def decode(archived: NDArray[np.uint8]) -> LogMel:
    """Decibels of archive steps."""
    return (FLOOR_DB + archived * np.float32(DB_PER_STEP)).astype(np.float32)


def load(data: Path) -> dict[str, NDArray[np.uint8]]:
    """All archived tracks below `data`, by name.

    Raises
    ------
    BadInputError
        If a genre is missing or an archive cannot be read.
    """
    found = gtzan.archives(data)
    if not found and gtzan.audio_files(data):
        raise BadInputError(f"{data} has audio but no log-mels: run genretrain prepare --data {data} first")
    gtzan.check_genres(set(found), data)
    tracks: dict[str, NDArray[np.uint8]] = {}
    for path in found.values():
        tracks |= read_archive(path)
    gtzan.check_genres({gtzan.genre_of(name) for name in tracks}, data)
    for name, track in tracks.items():
        if gtzan.genre_of(name) not in gtzan.GENRES or not is_archived(track):
            raise BadInputError(f"{name} in {data} is not a log-mel of a GTZAN track; prepare it again")
    return {name: tracks[name] for name in sorted(tracks)}


def read_archive(path: Path) -> dict[str, NDArray[np.uint8]]:
    """Arrays in the archive `path`, by name, whatever they are; BadInputError if it cannot be read."""
    try:
        with path.open("rb") as file, np.load(file) as archive:
            return {name: archive[name] for name in archive.files}
    except (OSError, ValueError, TypeError, EOFError, zlib.error, BadZipFile) as error:
        raise BadInputError(f"cannot read {path}: {error}; prepare it again") from error


def is_archived(track: NDArray[np.uint8]) -> bool:
    """Whether `track` is a log-mel as archives hold them."""
    return track.dtype == np.uint8 and track.ndim == 2 and len(track) > 0 and track.shape[1] == ARCHIVED.n_mels


def prepare(data: Path, out: Path) -> None:
    """Write ``logmel/<genre>.npz`` below `out` from GTZAN in `data`: from its archives if it has them, else its audio.

    The two are never mixed: which tracks have audio may depend on the genre, and a network would learn that.
    """
    target = out / "logmel"
    target.mkdir(parents=True, exist_ok=True)
    tracks = load(data) if gtzan.archives(data) else _from_audio(gtzan.audio_files(data), data)
    for genre in gtzan.GENRES:
        of_genre = {name: array for name, array in tracks.items() if gtzan.genre_of(name) == genre}
        partial = target / f"{genre}.partial.npz"
        np.savez_compressed(partial, **of_genre)  # type: ignore[arg-type]  # numpy's stub: **kwds against allow_pickle
        partial.rename(target / f"{genre}.npz")
        print(f"{genre:10} {len(of_genre):4} tracks")


def _from_audio(files: dict[str, Path], data: Path) -> dict[str, NDArray[np.uint8]]:
    from genred.errors import SourceError  # PyAV and soxr: fit does without them
    from genred.features import Mfcc

    from .audio import read

    gtzan.check_genres({gtzan.genre_of(name) for name in files}, data)
    mfcc, tracks = Mfcc(ARCHIVED), {}
    for name in Progress(files, "prepare"):
        try:
            samples = read(files[name], ARCHIVED.sample_rate)
            if len(samples) < ARCHIVED.n_fft:
                raise SourceError(f"{files[name]} is shorter than one frame")
            tracks[name] = encode(mfcc.log_mel(samples))
        except SourceError as error:
            print(f"left out: {name} ({gtzan.DAMAGED.get(name, error)})")
    gtzan.check_genres({gtzan.genre_of(name) for name in tracks}, data)
    return tracks


class Crops:
    """Windows of MFCC cut from tracks, with the gain rule of the daemon applied to every track from its start.

    Attributes
    ----------
    frames : LogMel
        Levelled log-mels of all tracks, one after the other; [all frames, n_mels].
    starts, lengths : NDArray
        First frame of each track in `frames`, and how many it has; [tracks].
    """

    def __init__(self, tracks: list[NDArray[np.uint8]], spec: MfccSpec, rule: GainRule, window: int) -> None:
        self.window = window
        self.lengths = np.array([len(track) for track in tracks])
        self.starts = np.cumsum(self.lengths) - self.lengths
        self.frames: LogMel = np.concatenate([self._levelled(decode(t), spec, rule) for t in tracks])
        self._basis = dct_basis(spec).astype(np.float32)  # [C, n_mels]

    def __len__(self) -> int:
        return len(self.lengths)

    @staticmethod
    def _levelled(log_mel: LogMel, spec: MfccSpec, rule: GainRule) -> LogMel:
        gains = gain_of_log_mel(log_mel, spec, rule).astype(np.float32)
        levelled: LogMel = np.maximum(log_mel + gains[:, None], np.float32(FLOOR_DB))
        return levelled

    def statistics(self) -> tuple[Frames, Frames]:
        """Mean and standard deviation of each coefficient over all frames of all tracks; both [C]."""
        frames = self.frames @ self._basis.T
        mean, deviation = frames.mean(axis=0, dtype=np.float64), frames.std(axis=0, dtype=np.float64)
        return mean.astype(np.float32), deviation.astype(np.float32)

    def windows(self, index: int, hop: int) -> Frames:
        """Return all windows of track `index`, `hop` frames apart; shape [N, T, C]."""
        track = self.frames[self.starts[index] :][: self.lengths[index]]
        frames = _padded(track, self.window) @ self._basis.T
        starts = range(0, len(frames) - self.window + 1, hop)
        return np.stack([frames[s : s + self.window] for s in starts])


def part(
    tracks: dict[str, NDArray[np.uint8]], names: tuple[str, ...], spec: MfccSpec, rule: GainRule, window: int
) -> tuple[Crops, NDArray[np.int64]]:
    """Crops and genre numbers of the tracks `names`."""
    crops = Crops([tracks[name] for name in names], spec, rule, window)
    return crops, np.array([gtzan.GENRES.index(gtzan.genre_of(name)) for name in names])


def _padded(track: LogMel, length: int) -> LogMel:
    """`track` with floor after its end, so that there are `length` frames at least."""
    missing = length - len(track)
    return np.pad(track, ((0, missing), (0, 0)), constant_values=FLOOR_DB) if missing > 0 else track
