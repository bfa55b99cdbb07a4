"""Augment: training crops, cut from log-mels and changed as a room, a line or a listener's knob would change them.

A batch at a time, in torch, on the device that trains; the same seed draws the same crops there. The order is that of
sound: what was played, the room it was played in, noise beside it, the line that carried it, the level it arrived
with. Only then come the stretches that are hidden from the network.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from genred.features import MfccSpec, dct_basis, mel_edges

from .dataset import FLOOR_DB, Crops

Drawn = NDArray[np.floating]  # [B], one number a crop

REVERBERATION_S = (0.2, 1.0)  # time to fall by 60 dB: from a furnished room to a hall
REVERBERANT_DB = (-10.0, 6.0)  # of the reverberation against the direct sound: near the loudspeaker, far from it
NOISE_DB = (5.0, 35.0)  # of the music above the noise
NOISE_TILT_DB = 10.0  # standard deviation of the noise's smooth spectrum around white
LOW_CUT_HZ = (20.0, 400.0)
HIGH_CUT_HZ = (2500.0, 11000.0)
CUT_DB_PER_OCTAVE = (24.0, 96.0)


@dataclass(frozen=True)
class Augmentation:
    """What is done to training crops, on their log-mels, before the MFCC.

    Attributes
    ----------
    gain_db : float
        Gain drawn from +- this; ``max(L + g, floor)``, as a quieter or louder input would be.
    equaliser_db : float
        Standard deviation of a smooth gain over the bands: three cosines, the first the strongest.
    stretch, shift : float
        Tempo and pitch are changed by up to this share, each for itself; read off between frames and bands.
    room, noise, line : float
        Share of the crops that get reverberation, noise, or a line that cuts off low and high frequencies.
    time_masks, mask_frames : int
        Stretches set to the floor, and their greatest length (SpecAugment, Park et al. 2019).
    band_masks, mask_bands : int
        The same over mel bands.
    """

    gain_db: float = 0.0
    equaliser_db: float = 0.0
    stretch: float = 0.0
    shift: float = 0.0
    room: float = 0.0
    noise: float = 0.0
    line: float = 0.0
    time_masks: int = 0
    mask_frames: int = 0
    band_masks: int = 0
    mask_bands: int = 0


class Deck:
    """The tracks that are learned from, held on `device`, and the crops that are drawn from them."""

    def __init__(self, tracks: Crops, spec: MfccSpec, device: str = "cpu") -> None:
        self._frames = torch.from_numpy(tracks.frames).to(device)  # [all frames, M], dB
        self._starts, self._lengths = tracks.starts, tracks.lengths
        self._centres_hz = mel_edges(spec)[1:-1]  # [M]
        self._basis = torch.from_numpy(dct_basis(spec).astype(np.float32)).to(device)  # [C, M]
        self._frame_s = spec.hop_length / spec.sample_rate
        self._spread = torch.from_numpy(_noise_spread(spec)).to(device)  # [M]
        self._device = device

    def draw(self, tracks: NDArray[np.intp], rng: np.random.Generator, augment: Augmentation, length: int) -> Tensor:
        """MFCC [B, T, C] of one crop of `length` frames of each of `tracks` [B], at a random place, augmented."""
        crops = self._cut(tracks, rng, augment, length)  # [B, T, M], dB
        if augment.equaliser_db:
            crops = crops + self._smooth(len(tracks), augment.equaliser_db, rng)
        if augment.room:
            crops = self._in_rooms(crops, rng, augment.room)
        if augment.noise:
            crops = self._with_noise(crops, rng, augment.noise)
        if augment.line:
            crops = crops - self._lost_on_the_line(len(tracks), rng, augment.line)
        if augment.gain_db:
            crops = crops + self._column(rng.uniform(-augment.gain_db, augment.gain_db, len(tracks)))
        crops = crops.clamp(min=FLOOR_DB)
        for _ in range(augment.time_masks):
            crops = self._masked(crops, rng, augment.mask_frames, axis=1)
        for _ in range(augment.band_masks):
            crops = self._masked(crops, rng, augment.mask_bands, axis=2)
        return crops @ self._basis.T

    def _cut(self, tracks: NDArray[np.intp], rng: np.random.Generator, augment: Augmentation, length: int) -> Tensor:
        """Crops [B, T, M] from random places of `tracks`, tempo and pitch changed; floor after the end of a track."""
        tempo = 1.0 + rng.uniform(-augment.stretch, augment.stretch, len(tracks))
        spans = np.ceil((length - 1) * tempo).astype(int) + 1
        begin = rng.integers(np.maximum(self._lengths[tracks] - spans, 0) + 1)
        at = begin[:, None] + np.arange(length) * tempo[:, None]  # [B, T], frames of the track
        crops = self._read(tracks, at) if augment.stretch else self._frames_at(tracks, at.astype(int))
        if augment.shift:
            pitch = 1.0 + rng.uniform(-augment.shift, augment.shift, len(tracks))
            bands = [np.interp(self._centres_hz / p, self._centres_hz, np.arange(len(self._centres_hz))) for p in pitch]
            crops = _between(crops, self._tensor(np.stack(bands)))
        return crops

    def _read(self, tracks: NDArray[np.intp], at: NDArray[np.floating]) -> Tensor:
        """Frames at the places `at` [B, T], linear between neighbours."""
        below = at.astype(int)
        low, high = self._frames_at(tracks, below), self._frames_at(tracks, below + 1)
        return torch.lerp(low, high, self._tensor(at - below)[:, :, None])

    def _frames_at(self, tracks: NDArray[np.intp], at: NDArray[np.integer]) -> Tensor:
        """Frames `at` [B, T] of `tracks` [B]; the floor where a track has ended."""
        last = self._lengths[tracks][:, None] - 1
        places = torch.from_numpy(self._starts[tracks][:, None] + np.minimum(at, last)).to(self._device)
        ended = torch.from_numpy(at > last).to(self._device)
        return self._frames[places].masked_fill(ended[:, :, None], FLOOR_DB)

    def _smooth(self, n: int, deviation_db: float, rng: np.random.Generator) -> Tensor:
        """`n` smooth gains over the bands [B, 1, M], in dB: three cosines, the first the strongest."""
        bands = np.linspace(0.0, np.pi, len(self._centres_hz))
        cosines = np.stack([np.cos(k * bands) / k for k in (1, 2, 3)])  # [3, M]
        return self._tensor(rng.normal(0.0, deviation_db, (n, 3)) @ cosines)[:, None]

    def _in_rooms(self, crops: Tensor, rng: np.random.Generator, share: float) -> Tensor:
        """Reverberation after a share of the crops: power that decays exponentially, and is the past's.

        60 dB in the reverberation time; the sum over the past is doubled in length with every turn.
        """
        n = len(crops)
        chosen = rng.random(n) < share
        decay = 10.0 ** (-6.0 * self._frame_s / rng.uniform(*REVERBERATION_S, n))
        loudness = chosen * 10.0 ** (rng.uniform(*REVERBERANT_DB, n) / 10.0)
        power = _power(crops)
        tail, reach = torch.zeros_like(power), 1
        tail[:, 1:] = power[:, :-1]
        while reach < min(crops.shape[1], 64):
            longer = tail.clone()
            longer[:, reach:] += self._column(decay**reach) * tail[:, :-reach]
            tail, reach = longer, 2 * reach
        return _decibels(power + self._column(loudness * (1.0 - decay)) * tail)

    def _with_noise(self, crops: Tensor, rng: np.random.Generator, share: float) -> Tensor:
        """Steady noise of a random spectrum beside a share of the crops; its bands flutter as noise in them does."""
        n = len(crops)
        chosen = rng.random(n) < share
        below = 10.0 ** (-rng.uniform(*NOISE_DB, n) / 10.0)
        generator = torch.Generator(self._device).manual_seed(int(rng.integers(2**62)))
        flutter = torch.randn(crops.shape, generator=generator, device=self._device) * self._spread
        spectrum = _power(self._smooth(n, NOISE_TILT_DB, rng))  # [B, 1, M]
        power = _power(crops)
        level = self._column(chosen * below) * power.mean((1, 2), keepdim=True) / spectrum.mean(2, keepdim=True)
        return _decibels(power + level * spectrum * torch.exp(flutter - self._spread**2 / 2))

    def _lost_on_the_line(self, n: int, rng: np.random.Generator, share: float) -> Tensor:
        """Attenuation [B, 1, M] in dB of lines that cut off what is low and what is high, for a share of the crops."""
        chosen = rng.random(n) < share
        low, high = (_between_octaves(rng, *edge, n)[:, None] for edge in (LOW_CUT_HZ, HIGH_CUT_HZ))
        octaves = np.maximum(np.log2(low / self._centres_hz), np.log2(self._centres_hz / high)).clip(min=0.0)  # [B, M]
        steepness = rng.uniform(*CUT_DB_PER_OCTAVE, n)[:, None]
        return self._tensor(chosen[:, None] * steepness * octaves)[:, None]

    def _masked(self, crops: Tensor, rng: np.random.Generator, widest: int, axis: int) -> Tensor:
        """Each crop with one stretch along `axis` at the floor."""
        n, size = len(crops), crops.shape[axis]
        width = rng.integers(min(widest, size) + 1, size=n)
        begin = rng.integers(size - width + 1)
        places = np.arange(size)
        hidden = (places >= begin[:, None]) & (places < (begin + width)[:, None])  # [B, size]
        along = torch.from_numpy(hidden).to(self._device)
        return crops.masked_fill(along[:, :, None] if axis == 1 else along[:, None, :], FLOOR_DB)

    def _tensor(self, values: Drawn) -> Tensor:
        return torch.from_numpy(np.asarray(values, np.float32)).to(self._device)

    def _column(self, values: Drawn) -> Tensor:
        """`values` [B] as [B, 1, 1]."""
        return self._tensor(values)[:, None, None]


def _between(crops: Tensor, at: Tensor) -> Tensor:
    """`crops` [B, T, M] read at the bands `at` [B, M], linear between neighbours."""
    below = at.long()
    above = (below + 1).clamp(max=crops.shape[2] - 1)
    low, high = (crops.gather(2, i[:, None].expand_as(crops)) for i in (below, above))
    return torch.lerp(low, high, (at - below)[:, None])


def _between_octaves(rng: np.random.Generator, low: float, high: float, n: int) -> Drawn:
    """`n` frequencies from `low` to `high`, every octave as likely."""
    return np.exp(rng.uniform(math.log(low), math.log(high), n))


def _power(decibels: Tensor) -> Tensor:
    return torch.exp(decibels * (math.log(10.0) / 10.0))


def _decibels(power: Tensor) -> Tensor:
    return torch.log(power) * (10.0 / math.log(10.0))


def _noise_spread(spec: MfccSpec) -> NDArray[np.float32]:
    """Deviation [M] of the log-power of noise in each band: 1 / sqrt of the FFT bins that a triangle averages.

    The power of noise in one bin is exponential, with a deviation as great as its mean; n independent ones have a mean
    whose relative deviation is 1 / sqrt(n). A triangle over a width w counts as w / 2 bins, at least one.
    """
    edges = mel_edges(spec)
    bins = (edges[2:] - edges[:-2]) / 2.0 / (spec.sample_rate / spec.n_fft)
    spread: NDArray[np.float32] = (1.0 / np.sqrt(np.maximum(bins, 1.0))).astype(np.float32)
    return spread
