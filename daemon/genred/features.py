"""MFCC: one definition for training, files and streams.

::

    samples --AutoGain--> samples --FrameStream--> frames --Mfcc--> [T, n_mfcc] float32

A frame depends on its ``n_fft`` samples and on nothing else: no padding (``center=False``), no ``top_db``, a fixed
floor (``amin``). So a frame computed in a stream, in a window or in a whole file is the same number, bit for bit:
every step works on one frame at a time with the same operations in the same order, in float64, and is rounded to
float32 once.

Needs numpy only, so that training machines need nothing else.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.float32]  # [N], mono, full scale is 1.0
Frames = NDArray[np.float32]  # [T, C]
Doubles = NDArray[np.float64]

_BLOCK_FRAMES = 20  # computed at once: products of 300 KB stay in the cache and the heap; changes no number


@dataclass(frozen=True)
class MfccSpec:
    """Everything that fixes the features. Names and meanings are librosa's.

    Parameters
    ----------
    sample_rate : int
        Hz.
    n_fft, hop_length : int
        Samples in a frame; samples between the starts of two frames.
    n_mels, n_mfcc : int
        Mel bands (Slaney scale and norm); coefficients kept, from the zeroth.
    fmin, fmax : float
        Edges of the lowest and highest mel band, Hz. ``fmax`` 0 means half the sample rate.
    amin : float
        Floor of the mel power before the logarithm; 1e-3 is -30 dB.

    Raises
    ------
    ValueError
        For settings that no MFCC can have.
    """

    sample_rate: int = 22050
    n_fft: int = 2048
    hop_length: int = 512
    n_mels: int = 128
    n_mfcc: int = 20
    fmin: float = 0.0
    fmax: float = 0.0
    amin: float = 1e-3

    def __post_init__(self) -> None:
        for field in fields(self):
            if field.name not in ("fmin", "fmax") and not getattr(self, field.name) > 0:
                raise ValueError(f"{field.name} is {getattr(self, field.name)}, but must be positive")
        if self.hop_length > self.n_fft:
            raise ValueError(f"hop_length is {self.hop_length}, but frames of {self.n_fft} (n_fft) must leave no gaps")
        if self.n_mfcc > self.n_mels:
            raise ValueError(f"n_mfcc is {self.n_mfcc}, but there are only {self.n_mels} mel bands (n_mels)")
        if not 0 <= self.fmin < self.top_hz <= self.sample_rate / 2:
            raise ValueError(f"the mel bands must lie within 0 and {self.sample_rate / 2} Hz (fmin, fmax)")

    @property
    def top_hz(self) -> float:
        """Upper edge of the highest mel band, Hz."""
        return self.fmax or self.sample_rate / 2

    def samples(self, frames: int) -> int:
        """Samples that `frames` consecutive frames span."""
        return 0 if frames <= 0 else (frames - 1) * self.hop_length + self.n_fft

    def seconds(self, frames: int) -> float:
        """Seconds that `frames` consecutive frames span."""
        return self.samples(frames) / self.sample_rate


def mel_edges(spec: MfccSpec) -> Doubles:
    """Corner frequencies of the mel bands, Hz, shape [n_mels + 2].

    Slaney's scale (Auditory Toolbox, Technical Report 1998-010): linear below 1 kHz with 3 mel in 200 Hz, above it
    logarithmic with 27 steps to the factor 6.4.
    """
    hz_per_mel = 200.0 / 3.0
    break_hz, break_mel = 1000.0, 15.0
    log_step = np.log(6.4) / 27.0

    def to_mel(hz: float) -> float:
        return hz / hz_per_mel if hz < break_hz else break_mel + float(np.log(hz / break_hz)) / log_step

    mels = np.linspace(to_mel(spec.fmin), to_mel(spec.top_hz), spec.n_mels + 2)
    return np.where(mels < break_mel, mels * hz_per_mel, break_hz * np.exp(log_step * (mels - break_mel)))


def mel_filters(spec: MfccSpec) -> Doubles:
    """Triangular mel filters of unit area (Slaney's norm), shape [n_mels, n_fft // 2 + 1]."""
    edges = mel_edges(spec)[:, None]  # [n_mels + 2, 1]
    bins = np.fft.rfftfreq(spec.n_fft, 1.0 / spec.sample_rate)[None, :]
    rising = (bins - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - bins) / (edges[2:] - edges[1:-1])
    return np.maximum(0.0, np.minimum(rising, falling)) * 2.0 / (edges[2:] - edges[:-2])


def dct_basis(spec: MfccSpec) -> Doubles:
    """Orthonormal DCT-II (Ahmed, Natarajan and Rao 1974), shape [n_mfcc, n_mels]."""
    k = np.arange(spec.n_mfcc)[:, None]
    n = np.arange(spec.n_mels)[None, :]
    basis = np.cos(np.pi * k * (2 * n + 1) / (2 * spec.n_mels)) * np.sqrt(2.0 / spec.n_mels)
    basis[0] /= np.sqrt(2.0)
    return np.ascontiguousarray(basis)


class Mfcc:
    """Samples to MFCC frames.

    The filters are kept sparse, as the list of all bins that have a weight, band after band: that is faster than
    a matrix product and, unlike one, gives a frame the same bits however many frames are computed with it.
    """

    def __init__(self, spec: MfccSpec) -> None:
        self.spec = spec
        n = np.arange(spec.n_fft)
        self._taper = 0.5 - 0.5 * np.cos(2.0 * np.pi * n / spec.n_fft)  # periodic Hann
        self._basis = dct_basis(spec)
        filters = mel_filters(spec)
        used = filters > 0
        used[~used.any(axis=1), 0] = True  # a band between two bins keeps one entry, of weight 0
        band, self._bins = np.nonzero(used)
        self._weights = filters[band, self._bins]
        self._starts = np.searchsorted(band, np.arange(spec.n_mels))

    def __call__(self, samples: Samples) -> Frames:
        """MFCC of all whole frames in `samples` [N]; shape [T, n_mfcc], T = 0 if N < n_fft."""
        return self.from_log_mel(self.log_mel(samples))

    def log_mel(self, samples: Samples) -> Doubles:
        """Mel power in dB of all whole frames in `samples` [N]; shape [T, n_mels], at least 10*log10(amin)."""
        spec = self.spec
        if len(samples) < spec.n_fft:
            return np.empty((0, spec.n_mels))
        slices = _slices(samples, spec.n_fft, spec.hop_length)
        parts = [self._mel(slices[i : i + _BLOCK_FRAMES]) for i in range(0, len(slices), _BLOCK_FRAMES)]
        return 10.0 * np.log10(np.maximum(np.concatenate(parts), spec.amin))

    def _mel(self, slices: Samples) -> Doubles:
        spectrum = np.fft.rfft(slices * self._taper)  # [T, F]
        power = spectrum.real**2
        power += spectrum.imag**2  # in place, here and below: a new array costs as much as the sum
        weighted = power.take(self._bins, axis=1)
        weighted *= self._weights
        return np.add.reduceat(weighted, self._starts, axis=1)

    def from_log_mel(self, log_mel: NDArray[np.floating]) -> Frames:
        """MFCC [T, n_mfcc] of log-mel frames [T, n_mels] in dB."""
        columns = np.asarray(log_mel, np.float64)[:, :, None]
        product: Doubles = np.matmul(self._basis, columns)[:, :, 0]  # one product a frame: see the class
        return product.astype(np.float32)


def _slices(samples: Samples, length: int, hop: int) -> Samples:
    """Whole pieces [T, length] of `samples`, one every `hop`; no copy, and in a tenth of sliding_window_view's time."""
    samples = np.ascontiguousarray(samples)
    step = samples.itemsize
    shape = (len(samples) - length) // hop + 1, length
    return np.ndarray(shape, samples.dtype, samples.data, strides=(hop * step, step))


class FrameStream:
    """Mfcc over a stream that arrives in pieces: each frame once, as soon as its last sample is there."""

    def __init__(self, mfcc: Mfcc) -> None:
        self._mfcc = mfcc
        self._tail: Samples = np.empty(0, np.float32)

    @property
    def waiting(self) -> int:
        """Samples held that no frame has begun with yet."""
        return len(self._tail)

    def push(self, samples: Samples) -> Frames:
        """Take `samples` [N]; return the frames [T, n_mfcc] they complete."""
        spec = self._mfcc.spec
        self._tail = np.concatenate([self._tail, samples])
        frames = self._mfcc(self._tail)
        self._tail = self._tail[len(frames) * spec.hop_length :]
        return frames


@dataclass(frozen=True)
class GainRule:
    """The level a network expects, and how a station gets there from its own past.

    Music as it is mastered lies between `low_dbfs` and `high_dbfs` (RMS) and is left alone. What lies below, as a
    microphone does, is raised towards `target_dbfs` in whole steps. A step is decided at the end of an interval, from
    that interval and those before it, and holds for the whole next one. Intervals under `gate_dbfs` are silence
    and decide nothing. The figures are genred's own choice, part of every model's card.

    Raises
    ------
    ValueError
        For an interval, a history or a step of nothing.
    """

    interval_frames: int = 40
    history: int = 12  # intervals
    target_dbfs: float = -20.0
    low_dbfs: float = -40.0
    high_dbfs: float = -8.0
    gate_dbfs: float = -75.0
    step_db: float = 6.0
    max_db: float = 60.0

    def __post_init__(self) -> None:
        for name in ("interval_frames", "history", "step_db"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} is {getattr(self, name)}, but must be positive")


class AutoGain:
    """The gain of a GainRule as it moves, one `update` an interval."""

    def __init__(self, rule: GainRule, fixed_db: float | None = None) -> None:
        self.rule = rule
        self.gain_db = 0.0 if fixed_db is None else fixed_db
        self._fixed = fixed_db is not None
        self._past: deque[float] = deque(maxlen=rule.history)

    def update(self, power: float) -> None:
        """Take the mean square of the interval that ended; `gain_db` is then the next interval's."""
        rule = self.rule
        if self._fixed or decibels(power) < rule.gate_dbfs:
            return
        self._past.append(power)
        level = decibels(sum(self._past) / len(self._past))
        if level + self.gain_db < rule.low_dbfs or (self.gain_db > 0 and level + self.gain_db > rule.high_dbfs):
            steps = round((rule.target_dbfs - level) / rule.step_db)
            self.gain_db = min(max(steps * rule.step_db, 0.0), rule.max_db)


class GainStream:
    """AutoGain over samples that arrive in pieces; any chunking gives the same samples."""

    def __init__(self, auto: AutoGain, hop_length: int) -> None:
        self.auto = auto
        self._interval = auto.rule.interval_frames * hop_length
        self._pieces: list[Samples] = []
        self._missing = self._interval  # samples until the interval ends

    def push(self, samples: Samples) -> Samples:
        """Scale `samples` [N]; same shape."""
        scaled = []
        while len(samples):
            piece, samples = samples[: self._missing], samples[self._missing :]
            scaled.append(piece * np.float32(amplitude(self.auto.gain_db)))
            self._pieces.append(piece)
            self._missing -= len(piece)
            if self._missing == 0:
                self._finish_interval()
        return np.concatenate(scaled) if scaled else samples

    def _finish_interval(self) -> None:
        self.auto.update(mean_square(np.concatenate(self._pieces)))
        self._pieces.clear()
        self._missing = self._interval


def gain_of_log_mel(log_mel: NDArray[np.floating], spec: MfccSpec, rule: GainRule) -> Doubles:
    """Gain in dB, shape [T], that `rule` gives a track of which only the log-mel frames [T, n_mels] are known.

    The power of an interval is recovered from the mel bands by Parseval: the triangles add up to one, so
    sum(mel / norm) is the power under the spectrum, and a Hann taper keeps 3/8 of it.
    """
    edges = mel_edges(spec)
    half_width = (edges[2:] - edges[:-2]) / 2.0
    power = 10.0 ** (np.asarray(log_mel) / 10.0) @ half_width * 2.0 / (spec.n_fft**2 * 3.0 / 8.0)  # [T]
    auto = AutoGain(rule)
    gains = np.empty(len(power))
    for start in range(0, len(power), rule.interval_frames):
        stop = start + rule.interval_frames
        gains[start:stop] = auto.gain_db
        auto.update(float(power[start:stop].mean()))
    return gains


def mean_square(samples: Samples) -> float:
    """Mean square of `samples` [N], summed in float64; 0 for none."""
    return float(np.mean(np.square(samples, dtype=np.float64))) if len(samples) else 0.0


def decibels(power: float) -> float:
    """10*log10 of a power, clamped at -120 dB, so that silence stays a number."""
    return 10.0 * float(np.log10(max(power, 1e-12)))


def amplitude(gain_db: float) -> float:
    """Factor on the samples for a gain in dB."""
    return float(10.0 ** (gain_db / 20.0))
