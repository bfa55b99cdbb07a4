"""Epoch: an unbroken stretch of one station, from samples to windows that are due.

::

    mono samples, native rate --soxr--> sample_rate --AutoGain--> FrameStream --> the last frames --> a Window every hop

The first windows begin with the epoch and grow, so that the first answer need not wait for a full one; full ones move::

    window 0    [========]                    the fewest frames
    window 1    [=============]               a hop before window 2; the first hop may be shorter
    window 2    [==================]          a full one
    window 3         [==================]     a hop on

A station may have a phase: then all of them begin so many frames later, and many stations' windows do not fall due at
the same time.

Time is counted in samples at the model's rate since the epoch began; soxr's output sample n is the input at
n * native / sample_rate, its delay already taken out. Nothing in here knows threads or clocks: ``classify`` and the
daemon's worker run the same code.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

import numpy as np
import soxr
from numpy.typing import NDArray

from .config import THRESHOLDS, Thresholds
from .features import AutoGain, Frames, FrameStream, GainRule, GainStream, Mfcc, Samples
from .levels import HopLevels, Peak

QUALITY = "HQ"  # soxr's 20-bit recipe: images below -120 dB
SANE = 1e12  # beyond it a sample is noise in a wrong format, and powers would soon be infinite


@dataclass(frozen=True)
class Geometry:
    """What is judged: windows of `window_frames`, one every `hop_frames`; before there are so many, shorter ones.

    Attributes
    ----------
    window_frames, hop_frames : int
    fewest_frames : int
        Of the first window; 0 if there are none but full ones.
    phase_frames : int
        First frame of the first window.
    """

    window_frames: int
    hop_frames: int
    fewest_frames: int = 0
    phase_frames: int = 0

    @property
    def first_frames(self) -> int:
        """Length of the first window."""
        return self.fewest_frames or self.window_frames

    def place(self, number: int) -> tuple[int, int]:
        """First frame of window `number`, and the first after it, both counted in the epoch."""
        growing = -(-(self.window_frames - self.first_frames) // self.hop_frames)  # windows before the first full one
        moved = (number - growing) * self.hop_frames  # frames from the first full one, before it negative
        first, after = max(moved, 0), max(self.window_frames + moved, self.first_frames)
        return self.phase_frames + first, self.phase_frames + after


@dataclass(eq=False)
class Past:
    """What a rolling engine keeps of an epoch between its windows.

    Two windows of an epoch may be answered at the same time. `kept` is replaced as a whole, and whichever there is
    serves any window: steps that it lacks are made anew.

    Attributes
    ----------
    kept : tuple or None
        Number of the first step, counted from the epoch's beginning; the steps from it on [S, F], float32.
    """

    kept: tuple[int, NDArray[np.float32]] | None = None


@dataclass(frozen=True)
class Window:
    """One window that is due.

    Attributes
    ----------
    number : int
        Counts from 0 in its epoch.
    first_frame : int
        Of its epoch.
    first_sample, last_sample : int
        At the model's rate, both included.
    mfcc : Frames
        [T, C], float32.
    level_dbfs : float
        RMS of the newest hop, before the gain.
    lost_ms : float
        How much of the window was lost on the way and is zeros.
    silent : bool
        What sounds at its end is silence.
    past : Past
        Of its epoch.
    """

    number: int
    first_frame: int
    first_sample: int
    last_sample: int
    mfcc: Frames
    level_dbfs: float
    gain_db: float
    lost_ms: float
    silent: bool
    past: Past = field(default_factory=Past, repr=False, compare=False)

    @property
    def samples(self) -> int:
        """Length, also where the frames have been left out."""
        return self.last_sample + 1 - self.first_sample


class Epoch:
    """See the module.

    Parameters
    ----------
    mfcc : Mfcc
        Shared by all epochs: it holds no state.
    geometry : Geometry
    rule : GainRule
    rate_hz : int
        The source's own rate.
    gain_db : float, optional
        Fixes the gain.
    thresholds : Thresholds
        Say what silence is.
    """

    def __init__(
        self,
        mfcc: Mfcc,
        geometry: Geometry,
        rule: GainRule,
        rate_hz: int,
        gain_db: float | None = None,
        thresholds: Thresholds = THRESHOLDS,
    ) -> None:
        self.spec, self.geometry, self.rate_hz = mfcc.spec, geometry, rate_hz
        self.gain = AutoGain(rule, gain_db)
        self.levels = HopLevels(
            self.spec.hop_length, self.spec.sample_rate, geometry.first_frames, geometry.hop_frames, thresholds
        )
        self.peak = Peak()
        self.pushed = 0  # native samples taken, lost ones included
        self.lost = 0  # native samples that were zeros in their place
        self.nonfinite = 0  # samples that were not numbers, or beyond SANE, now 0
        self.frames = 0
        self.due = 0  # windows
        self._resampler = (
            None
            if rate_hz == self.spec.sample_rate
            else soxr.ResampleStream(rate_hz, self.spec.sample_rate, 1, dtype="float32", quality=QUALITY)
        )
        self._gain_stream = GainStream(self.gain, self.spec.hop_length)
        self._frame_stream = FrameStream(mfcc)
        self._recent: Frames = np.empty((0, self.spec.n_mfcc), np.float32)
        self._losses: deque[tuple[int, int]] = deque()  # native positions [from, to)
        self._taken = 0  # samples at the model's rate
        self._past = Past()

    @property
    def narrow_band(self) -> bool:
        """Whether the source's rate cannot carry the band that the features look at."""
        return self.rate_hz < self.spec.sample_rate

    @property
    def unframed(self) -> int:
        """Native samples taken that are in no frame yet: in the resampler, or in a partial frame."""
        framed = round(self.spec.samples(self.frames) * self.rate_hz / self.spec.sample_rate)
        return max(self.pushed - framed, 0)

    @property
    def progress(self) -> float:
        """How much of the first window is there, 0 to 1."""
        return min(self.frames / self.geometry.place(0)[1], 1.0)

    @property
    def until_due_s(self) -> float:
        """Seconds of audio missing to the next window."""
        return (self._end(self.due) - self._taken) / self.spec.sample_rate

    @property
    def hop_s(self) -> float:
        """Seconds between two windows."""
        return self.geometry.hop_frames * self.spec.hop_length / self.spec.sample_rate

    def _end(self, number: int) -> int:
        """Samples, from the epoch's beginning, that complete window `number`."""
        return self.spec.samples(self.geometry.place(number)[1])

    def native_position(self, sample: int) -> int:
        """Where `sample`, counted at the model's rate, is in the source's own samples."""
        return round(sample * self.rate_hz / self.spec.sample_rate)

    def forget(self) -> None:
        """Let nothing be kept from one window to the next: another model judges from now on."""
        self._past = Past()

    def feed(self, samples: Samples) -> list[Window]:
        """Take mono `samples` [N] at the native rate; return the windows they complete."""
        sane = np.abs(samples) < SANE  # false for what is no number
        if not sane.all():
            self.nonfinite += int(np.count_nonzero(~sane))
            samples = np.where(sane, samples, np.float32(0))
        self.peak.push(samples)
        self.pushed += len(samples)
        return self._advance(self._resampled(samples, last=False))

    def lose(self, n: int) -> list[Window]:
        """Put zeros in the place of `n` native samples that were lost."""
        self._losses.append((self.pushed, self.pushed + n))
        self.lost += n
        self.pushed += n
        return self._advance(self._resampled(np.zeros(n, np.float32), last=False))

    def finish(self) -> list[Window]:
        """Take what the resampler still holds; the stream has ended."""
        return self._advance(self._resampled(np.empty(0, np.float32), last=True))

    def _resampled(self, samples: Samples, *, last: bool) -> Samples:
        if self._resampler is None:
            return samples
        resampled: Samples = self._resampler.resample_chunk(samples, last=last)
        return resampled

    def _advance(self, samples: Samples) -> list[Window]:
        """Go from window end to window end, so that each sees the level and gain of its own end in any chunking."""
        windows = []
        while len(samples):
            end = self._end(self.due)
            piece, samples = samples[: end - self._taken], samples[end - self._taken :]
            self._take(piece)
            if self._taken == end:
                windows.append(self._window(self.due))
                self.due += 1
        return windows

    def _take(self, samples: Samples) -> None:
        self._taken += len(samples)
        self.levels.push(samples)
        frames = self._frame_stream.push(self._gain_stream.push(samples))
        self.frames += len(frames)
        self._recent = np.concatenate([self._recent, frames])[-self.geometry.window_frames :]

    def _window(self, number: int) -> Window:
        first_frame, after = self.geometry.place(number)
        first, last = first_frame * self.spec.hop_length, self._end(number) - 1
        return Window(
            number=number,
            first_frame=first_frame,
            first_sample=first,
            last_sample=last,
            mfcc=self._recent[first_frame - after :],
            level_dbfs=self.levels.dbfs(self.geometry.hop_frames),
            gain_db=self.gain.gain_db,
            lost_ms=self._lost_ms(first, last),
            silent=self.levels.window_silent,
            past=self._past,
        )

    def _lost_ms(self, first: int, last: int) -> float:
        begin, end = self.native_position(first), self.native_position(last + 1)
        while self._losses and self._losses[0][1] <= begin:
            self._losses.popleft()
        overlap = sum(max(min(to, end) - max(at, begin), 0) for at, to in self._losses)
        return 1000.0 * overlap / self.rate_hz
