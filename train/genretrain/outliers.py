"""Outliers: sounds that are no music, made by chance, for a network to learn to be undecided about.

Outlier exposure (Hendrycks, Mazeika and Dietterich 2019): beside tracks with their genres a network is shown sounds
of none, and is to answer that every genre is as likely. Each sound is of one kind or of two, at any level from that of
music down to that of an empty room, as a log-mel like a track's.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from genred.features import Doubles, Mfcc, amplitude

from .dataset import ARCHIVED, encode
from .progress import Progress

SECONDS = 25.0  # a window of 1000 frames, and room to begin it
LEVEL_DBFS = (-75.0, -10.0)
PARTIALS = 24  # of a voice
FORMANTS_HZ = ((250.0, 850.0), (850.0, 2400.0), (2300.0, 3100.0))  # of vowels: Peterson and Barney 1952
FORMANT_WIDTH_HZ = 120.0
SYLLABLES = (3.0, 6.0)  # a second

Chance = np.random.Generator


def made(count: int, seed: int) -> list[NDArray[np.uint8]]:
    """`count` sounds as archived log-mels, each [T, n_mels]; the same for the same `seed`."""
    rng, mfcc = np.random.default_rng(seed), Mfcc(ARCHIVED)
    at = np.arange(round(SECONDS * ARCHIVED.sample_rate)) / ARCHIVED.sample_rate  # [N], s
    return [encode(mfcc.log_mel(_sound(at, rng).astype(np.float32))) for _ in Progress(range(count), "no music")]


def _sound(at: Doubles, rng: Chance) -> Doubles:
    """One sound [N], of one kind, or a second one up to 30 dB below it."""
    first, second = rng.choice(len(KINDS), 2, replace=False)
    sound = _unit(KINDS[first](at, rng))
    if rng.random() < 0.5:
        sound = _unit(sound + amplitude(rng.uniform(-30.0, 0.0)) * _unit(KINDS[second](at, rng)))
    return sound * amplitude(rng.uniform(*LEVEL_DBFS))


def _unit(sound: Doubles) -> Doubles:
    """`sound` at an RMS of 1."""
    unit: Doubles = sound / max(float(np.sqrt(np.mean(sound**2))), 1e-9)
    return unit


def noise(at: Doubles, rng: Chance) -> Doubles:
    """Steady noise of any colour: its power falls by 0 to 9 dB an octave, often with a resonance."""
    spectrum = np.fft.rfft(rng.normal(size=len(at)))
    hz = np.fft.rfftfreq(len(at), at[1])
    shape = np.maximum(hz, 20.0) ** -rng.uniform(0.0, 1.5)
    if rng.random() < 0.5:
        centre_hz = np.exp(rng.uniform(np.log(100.0), np.log(8000.0)))
        shape *= 1.0 + rng.uniform(0.0, 10.0) * np.exp(-((np.log2(np.maximum(hz, 20.0) / centre_hz) / 0.5) ** 2))
    steady: Doubles = np.fft.irfft(spectrum * shape, len(at))
    return steady


def weather(at: Doubles, rng: Chance) -> Doubles:
    """Noise that swells and falls, as waves, wind and traffic do."""
    swells = np.exp(rng.uniform(0.3, 1.5) * _wander(at, rng.uniform(0.1, 2.0), rng))
    return noise(at, rng) * swells


def hum(at: Doubles, rng: Chance) -> Doubles:
    """Harmonics of the mains or of a machine, each weaker, that stay as they are."""
    hz = float(rng.choice([50.0, 60.0, 100.0, 120.0, rng.uniform(25.0, 400.0)]))
    fall = rng.uniform(0.3, 2.0)
    return np.asarray(sum(np.sin(2 * np.pi * hz * k * at + k) / k**fall for k in range(1, rng.integers(3, 16))))


def tone(at: Doubles, rng: Chance) -> Doubles:
    """One to three sines; steady, sweeping, or on and off as signals are."""
    sines = np.zeros(len(at))
    for _ in range(rng.integers(1, 4)):
        hz = np.exp(rng.uniform(np.log(80.0), np.log(8000.0)))
        swept = hz * 2.0 ** (
            rng.choice([0.0, rng.uniform(0.05, 1.0)]) * np.sin(2 * np.pi * rng.uniform(0.05, 3.0) * at)
        )
        sines += rng.uniform(0.2, 1.0) * np.sin(2 * np.pi * np.cumsum(swept) * at[1])
    if rng.random() < 0.5:
        sines *= (at * rng.uniform(0.3, 4.0)) % 1.0 < rng.uniform(0.1, 0.9)
    return sines


def clicks(at: Doubles, rng: Chance) -> Doubles:
    """Clicks, knocks, drops: short sounds of one kind in a beat, or without one."""
    beat_s = 60.0 / rng.uniform(30.0, 300.0)
    jitter = rng.choice([0.0, rng.uniform(0.0, 0.5)])
    begins = np.arange(rng.uniform(0.0, beat_s), at[-1], beat_s)
    begins = begins + jitter * beat_s * rng.uniform(-1.0, 1.0, len(begins))
    return _strokes(at, begins, rng.uniform(0.001, 0.05), rng)


def bursts(at: Doubles, rng: Chance) -> Doubles:
    """Barks, slams, coughs: a few longer strokes, now and then."""
    begins = rng.uniform(0.0, at[-1], rng.integers(5, 40))
    return _strokes(at, begins, rng.uniform(0.05, 0.3), rng)


def _strokes(at: Doubles, begins: Doubles, decay_s: float, rng: Chance) -> Doubles:
    """A decaying stroke, part tone and part noise, at each of `begins`."""
    length = min(round(8 * decay_s / at[1]), len(at))
    hz, tonal = np.exp(rng.uniform(np.log(150.0), np.log(6000.0))), rng.random()
    pitch = np.sin(2 * np.pi * hz * at[:length])
    sound = np.zeros(len(at) + length)
    for begin in np.clip(begins / at[1], 0, len(at) - 1).astype(int):
        stroke = tonal * pitch + (1 - tonal) * rng.normal(size=length)
        sound[begin : begin + length] += rng.uniform(0.5, 1.0) * stroke * np.exp(-at[:length] / decay_s)
    return sound[: len(at)]


def voice(at: Doubles, rng: Chance) -> Doubles:
    """Something like speech: harmonics of a wandering pitch under moving formants, in syllables, words and pauses."""
    pitch_hz = rng.uniform(80.0, 260.0) * 2.0 ** (0.25 * _wander(at, 1.5, rng))
    formants_hz = [np.interp(_wander(at, 4.0, rng), (-2.0, 2.0), (low, high)) for low, high in FORMANTS_HZ]
    syllables = np.clip(_wander(at, rng.uniform(*SYLLABLES), rng) + rng.uniform(-0.5, 0.8), 0.0, None)
    words = _wander(at, 0.6, rng) > -rng.uniform(0.3, 1.5)
    phase = 2 * np.pi * np.cumsum(pitch_hz) * at[1]
    voiced = np.zeros(len(at))
    for k in range(1, PARTIALS + 1):
        strength = sum(
            np.exp(-np.abs(k * pitch_hz - hz) / FORMANT_WIDTH_HZ) / (i + 1) for i, hz in enumerate(formants_hz)
        )
        voiced += (strength + 0.02) * np.sin(k * phase) / k**0.3
    hiss = np.diff(rng.normal(size=len(at)), prepend=0.0) * (_wander(at, 5.0, rng) > 1.0)
    spoken: Doubles = (syllables * voiced + rng.uniform(0.02, 0.2) * hiss) * words
    return spoken


def _wander(at: Doubles, hz: float, rng: Chance) -> Doubles:
    """Smooth chance [N] of mean 0 and deviation 1 that takes about 1 / `hz` to change."""
    knots = np.arange(0.0, at[-1] + 2.0 / hz, 0.5 / hz)
    wander: Doubles = np.interp(at, knots, rng.normal(size=len(knots)))
    return wander


def nothing(at: Doubles, _rng: Chance) -> Doubles:
    """A line that carries nothing, or nothing that is above the floor of a log-mel."""
    return np.zeros(len(at))


KINDS: tuple[Callable[[Doubles, Chance], Doubles], ...] = (
    noise, weather, hum, tone, clicks, bursts, voice, nothing,
)  # fmt: skip
