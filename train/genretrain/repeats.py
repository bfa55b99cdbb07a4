"""Repeats: pairs of tracks that hold the same stretch of the same recording, found from their log-mels alone.

Two tracks are laid over each other at every offset, and correlated where they overlap. First all pairs coarsely, 16
bands and every second frame, through the Fourier transform; then the few that stand out, finely and around the offset
that was found. What is correlated is the fine structure, the log-mel less its own mean over a second, so that two
tracks of one genre or one loudness are not alike yet.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from . import dataset, gtzan
from .progress import Progress

COARSE_BANDS, COARSE_STEP = 16, 2
FINE_BANDS = 64
MEAN_FRAMES = 43  # a second
OVERLAP_FRAMES = 431  # ten seconds; over shorter stretches, music of one tempo is alike by chance
CANDIDATE = 0.45  # coarse correlation from which a pair is looked at finely
THRESHOLD = 0.55
EXACT = 0.75  # nearly the whole track, and at least this correlation: the same excerpt once more

_HEAD = """\
# Pairs of GTZAN tracks that hold the same stretch of the same recording: first, second, offset, correlation.
# Frame t of the first is frame t + offset of the second; a frame is 512 samples at 22050 Hz.
# Made by: {command}
# A pair is listed from a correlation of {threshold} over an overlap of at least {overlap} frames (ten seconds).
# Why {threshold}: two tracks of different genres are alike by chance, but for metal.00058 and rock.00016, which are one
# recording. The others reach {chance:.3f}, the highest pair that is not listed has {highest:.3f} (one genre, one loop
# or sample in both), and the lowest that is listed has {lowest:.3f}.
# {n} pairs of {tracks} tracks: {exact} of the same excerpt (at most two seconds apart, correlation from {from_}),
# {other} of the same recording further apart or through other processing.
# Sturm 2013 (arXiv 1306.1461) lists 50 exact repeats and 22 excerpts of the same recording. Excerpts that do not
# overlap cannot be found by correlation, and versions of one piece are other recordings.
"""

Structure = NDArray[np.float32]  # [T, bands]


@dataclass(frozen=True, order=True)
class Repeat:
    """Frame t of track `first` is frame t + `offset` of track `second`."""

    first: str
    second: str
    offset: int
    correlation: float


def command(data: Path, out: Path) -> None:
    """Find the repeats in `data`, write them to `out`, and say how many there are."""
    tracks = dataset.load(data)
    near = find(tracks)
    repeats = [pair for pair in near if pair.correlation >= THRESHOLD]
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(_text(repeats, near, len(tracks), "genretrain repeats --data GTZAN"))
    print(f"{out}: {len(repeats)} pairs")


def read(path: Path = gtzan.LISTS / "repeats.txt") -> list[Repeat]:
    """Repeats as `command` wrote them."""
    rows = (line.split() for line in gtzan.listed(path))
    return [Repeat(first, second, int(offset), float(value)) for first, second, offset, value in rows]


def shared(repeats: list[Repeat], one: tuple[str, ...], other: tuple[str, ...]) -> list[Repeat]:
    """Those of `repeats` that have a track on each side."""
    sides = set(one), set(other)
    return [r for r in repeats if any(r.first in a and r.second in b for a, b in (sides, sides[::-1]))]


def find(tracks: dict[str, NDArray[np.uint8]]) -> list[Repeat]:
    """Pairs that stand out coarsely, with their fine correlation and offset, by name."""
    names = list(tracks)
    found = []
    for i, j, offset in _candidates(list(tracks.values())):
        one, other = (_structure(tracks[names[k]], FINE_BANDS, 1) for k in (i, j))
        around = range(offset - 2 * COARSE_STEP, offset + 2 * COARSE_STEP + 1)
        correlation, best = max((_correlation(one, other, at), at) for at in around)
        found.append(Repeat(names[i], names[j], best, round(correlation, 3)))
    return sorted(found)


def _structure(track: NDArray[np.uint8], bands: int, step: int) -> Structure:
    """Mean over neighbouring bands and frames, less the mean over a second around each frame; [T / step, bands]."""
    n = len(track) // step
    means = track[: n * step].reshape(n, step, bands, -1).mean(axis=(1, 3), dtype=np.float32)  # [T / step, bands]
    width = MEAN_FRAMES // step // 2 * 2 + 1
    sums = np.cumsum(np.pad(means, ((width // 2 + 1, width // 2), (0, 0)), mode="edge"), axis=0, dtype=np.float64)
    structure: Structure = (means - (sums[width:] - sums[:-width]) / width).astype(np.float32)
    return structure


def _correlation(one: Structure, other: Structure, offset: int) -> float:
    start, end = max(0, -offset), min(len(one), len(other) - offset)
    a, b = one[start:end].ravel(), other[start + offset : end + offset].ravel()
    return float(a @ b / np.sqrt(max(float((a @ a) * (b @ b)), 1e-12)))


def _candidates(tracks: list[NDArray[np.uint8]]) -> Iterator[tuple[int, int, int]]:
    """Pairs whose coarse correlation is at least `CANDIDATE` at some offset, and that offset in frames."""
    coarse = [_structure(track, COARSE_BANDS, COARSE_STEP) for track in tracks]
    lengths = np.array([len(c) for c in coarse])
    size = 2 ** int(np.ceil(np.log2(2 * lengths.max())))  # of the transform: nothing wraps round
    spectra = np.stack([np.fft.rfft(c, size, axis=0) for c in coarse], axis=1)  # [F, tracks, bands]
    energy = np.stack(
        [np.pad(np.cumsum((c**2).sum(axis=1, dtype=np.float64)), (1, size - len(c)), mode="constant") for c in coarse]
    )
    for row, length in zip(energy, lengths, strict=True):
        row[length + 1 :] = row[length]  # [tracks, size + 1]: energy before each frame
    reach = lengths.max() - OVERLAP_FRAMES // COARSE_STEP
    offsets = np.arange(-reach, reach + 1)
    for i in Progress(range(len(tracks) - 1), "repeats"):
        cross = np.matmul(spectra[:, i + 1 :], spectra[:, i, :, None].conj())[..., 0]  # [F, others]
        products = np.fft.irfft(cross, size, axis=0)[offsets % size].T  # [others, offsets]
        start = np.maximum(0, -offsets)
        end = np.maximum(np.minimum(lengths[i], lengths[i + 1 :, None] - offsets), start)  # [others, offsets]
        others = np.arange(i + 1, len(tracks))[:, None]
        of_one = energy[i][end] - energy[i][start]
        of_other = energy[others, end + offsets] - energy[others, start + offsets]
        enough = end - start >= OVERLAP_FRAMES // COARSE_STEP
        correlation = np.where(enough, products / np.sqrt(np.maximum(of_one * of_other, 1e-6)), 0.0)
        best = correlation.argmax(axis=1)
        for j in np.flatnonzero(correlation.max(axis=1) >= CANDIDATE):
            yield i, i + 1 + int(j), int(offsets[best[j]]) * COARSE_STEP


def _text(repeats: list[Repeat], near: list[Repeat], tracks: int, command: str) -> str:
    exact = [r for r in repeats if r.correlation >= EXACT and abs(r.offset) <= 2 * MEAN_FRAMES]
    rejected = [r for r in near if r.correlation < THRESHOLD]
    chance = [r.correlation for r in rejected if gtzan.genre_of(r.first) != gtzan.genre_of(r.second)]
    head = _HEAD.format(
        command=command,
        threshold=THRESHOLD,
        overlap=OVERLAP_FRAMES,
        chance=max(chance, default=0.0),
        highest=max((r.correlation for r in rejected), default=0.0),
        lowest=min((r.correlation for r in repeats), default=1.0),
        n=len(repeats),
        tracks=tracks,
        exact=len(exact),
        from_=EXACT,
        other=len(repeats) - len(exact),
    )
    return head + "".join(f"{r.first} {r.second} {r.offset:5} {r.correlation:.3f}\n" for r in repeats)
