"""From GTZAN to what a network is fed: log-mels on disk, MFCC crops in memory.

Log-mels are kept as uint8, ``dB = -30 + value / 2``: exact to 0.25 dB, a megabyte for seven tracks, and every effect
that is a gain in some band can be applied to them. One track is [T, n_mels], T about 1286.
"""

from __future__ import annotations

import math
import zlib
from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from genred.errors import BadInputError
from genred.features import Frames, GainRule, MfccSpec, dct_basis, gain_of_log_mel, mel_edges

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


@dataclass(frozen=True)
class Augmentation:
    """What is done to a training crop, on its log-mels, before the MFCC.

    Attributes
    ----------
    gain_db : float
        Gain drawn from +- this; ``max(L + g, floor)``, as a quieter or louder input would be.
    equaliser_db : float
        Standard deviation of a smooth gain over the bands: three cosines, the first the strongest.
    stretch, shift : float
        Tempo and pitch are changed by up to this share, each for itself; read off between frames and bands.
    time_masks, mask_frames : int
        Stretches set to the floor, and their greatest length (SpecAugment, Park et al. 2019).
    """

    gain_db: float = 0.0
    equaliser_db: float = 0.0
    stretch: float = 0.0
    shift: float = 0.0
    time_masks: int = 0
    mask_frames: int = 0


class Crops:
    """Windows of MFCC cut from tracks, with the gain rule of the daemon applied to every track from its start."""

    def __init__(self, tracks: list[NDArray[np.uint8]], spec: MfccSpec, rule: GainRule, window: int) -> None:
        self.window = window
        self._centres_hz = mel_edges(spec)[1:-1]  # [n_mels]
        self._basis = dct_basis(spec).astype(np.float32)  # [C, n_mels]
        self._tracks = [self._levelled(decode(t), spec, rule) for t in tracks]

    def __len__(self) -> int:
        return len(self._tracks)

    @staticmethod
    def _levelled(log_mel: LogMel, spec: MfccSpec, rule: GainRule) -> LogMel:
        gains = gain_of_log_mel(log_mel, spec, rule).astype(np.float32)
        levelled: LogMel = np.maximum(log_mel + gains[:, None], np.float32(FLOOR_DB))
        return levelled

    def statistics(self) -> tuple[Frames, Frames]:
        """Mean and standard deviation of each coefficient over all frames of all tracks; both [C]."""
        frames = np.concatenate([t @ self._basis.T for t in self._tracks])
        mean, deviation = frames.mean(axis=0, dtype=np.float64), frames.std(axis=0, dtype=np.float64)
        return mean.astype(np.float32), deviation.astype(np.float32)

    def random(self, index: int, rng: np.random.Generator, augment: Augmentation, length: int = 0) -> Frames:
        """One crop [T, C] of track `index`, at a random place, augmented; of `length` frames, or else the window."""
        crop = self._cut(self._tracks[index], length or self.window, rng, augment)
        bands = np.linspace(0.0, np.pi, crop.shape[1])
        change = rng.uniform(-augment.gain_db, augment.gain_db) + sum(
            rng.normal(0.0, augment.equaliser_db / k) * np.cos(k * bands) for k in (1, 2, 3)
        )
        crop = np.maximum(crop + np.asarray(change, np.float32), np.float32(FLOOR_DB))
        for _ in range(augment.time_masks):
            masked = int(rng.integers(min(augment.mask_frames, len(crop)) + 1))
            at = int(rng.integers(len(crop) - masked + 1))
            crop[at : at + masked] = FLOOR_DB
        return crop @ self._basis.T

    def _cut(self, track: LogMel, length: int, rng: np.random.Generator, augment: Augmentation) -> LogMel:
        """`length` frames from a random place of `track`, its tempo and pitch changed."""
        tempo = 1.0 + rng.uniform(-augment.stretch, augment.stretch) if augment.stretch else 1.0
        span = math.ceil((length - 1) * tempo) + 1
        start = int(rng.integers(max(len(track) - span, 0) + 1))
        crop = _padded(track[start : start + span], span)
        if augment.stretch:
            crop = _between(crop, np.arange(length) * tempo, axis=0)
        if augment.shift:
            pitch = 1.0 + rng.uniform(-augment.shift, augment.shift)
            bands = np.interp(self._centres_hz / pitch, self._centres_hz, np.arange(len(self._centres_hz)))
            crop = _between(crop, bands, axis=1)
        return crop

    def windows(self, index: int, hop: int) -> Frames:
        """Return all windows of track `index`, `hop` frames apart; shape [N, T, C]."""
        frames = _padded(self._tracks[index], self.window) @ self._basis.T
        starts = range(0, len(frames) - self.window + 1, hop)
        return np.stack([frames[s : s + self.window] for s in starts])


def _padded(track: LogMel, length: int) -> LogMel:
    """`track` with floor after its end, so that there are `length` frames at least."""
    missing = length - len(track)
    return np.pad(track, ((0, missing), (0, 0)), constant_values=FLOOR_DB) if missing > 0 else track


def _between(values: LogMel, at: NDArray[np.floating], axis: int) -> LogMel:
    """Values at the positions `at` along `axis`, linear between neighbours."""
    below = np.minimum(at.astype(int), values.shape[axis] - 1)
    above = np.minimum(below + 1, values.shape[axis] - 1)
    share = (at - below).astype(np.float32).reshape([-1 if i == axis else 1 for i in range(values.ndim)])
    low = values.take(below, axis)
    between: LogMel = low + share * (values.take(above, axis) - low)
    return between
