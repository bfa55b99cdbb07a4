"""The music of the demo station: a tiny band, synthesised, that changes its style every 30 seconds.

::

    Style: tempo, chords, Parts -> sounds of a bar (cached) -> bar + tail -> room -> limiter -> samples

The styles are caricatures of GTZAN's genres: enough to see the daemon work, no measure of a model.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import cycle

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.float32]  # [N], mono, full scale is 1.0
Doubles = NDArray[np.float64]

SAMPLE_RATE_HZ = 22050
STYLE_SECONDS = 30.0

_STYLE_SAMPLES = round(STYLE_SECONDS * SAMPLE_RATE_HZ)
_TAIL = 2 * SAMPLE_RATE_HZ  # what rings past a bar: a cymbal's 1.0 s or a release, and the room's 0.7 s
_PERIOD = 4096  # samples in the table of one period; a power of two, for the mask
_VIBRATO_HZ = 5.5
_FALL_S = 0.03  # how fast a drum's tone falls
_CHANCE = "01234.."  # what a ? may turn into
_NOTE = re.compile(r"[^.-]-*")
_VELOCITY = {"X": 1.0, "x": 0.8, "o": 0.4}


@dataclass(frozen=True)
class Timbre:
    """Harmonic h has the amplitude h**-tilt; a decaying note grows darker."""

    tilt: float
    attack_s: float
    decay_s: float
    release_s: float
    vibrato: float = 0.0  # of the frequency
    drive: float = 0.0  # above 0: distorted, a chord as a whole
    formants_hz: tuple[float, ...] = ()  # a singer's vowel


@dataclass(frozen=True)
class Part:
    """One player's bar, a symbol a step: 8 steps are eighths, 16 are sixteenths.

    ``.`` rest, ``-`` hold, ``X x o`` hit or whole chord (accented, plain, soft), ``0``-``9`` that tone of the
    chord, ``?`` a random tone of it or a rest.
    """

    instrument: str
    gain: float
    steps: str
    low: int = 0  # MIDI note: roots lie in the octave above it
    every: int = 1  # plays in the last of so many bars: fills


@dataclass(frozen=True)
class Style:
    """One chord a bar of four beats; the tempo is a multiple of 8, so that STYLE_SECONDS are whole bars."""

    name: str
    tempo_bpm: int
    swing: float  # odd steps come late by this part of a step
    volume: float
    room: float  # level of the reflections
    progression: str
    parts: tuple[Part, ...]


# fmt: off
_TONES = {"": (0, 4, 7), "m": (0, 3, 7), "7": (0, 4, 7, 10), "m7": (0, 3, 7, 10), "5": (0, 7)}  # semitones
_ROOM_S = {0.023: 0.8, 0.041: -0.7, 0.067: 0.6, 0.109: -0.5, 0.173: 0.4, 0.281: -0.3}  # delay: gain; in series
_DRUMS = {  # tone Hz, its fall Hz, its decay s, noise, its decay s, times it is differenced (a high-pass)
    "kick":   ( 48.0, 130.0, 0.14, 0.1, 0.01, 1),
    "snare":  (185.0,  80.0, 0.07, 0.9, 0.10, 1),
    "rim":    (430.0, 300.0, 0.02, 0.3, 0.01, 1),
    "hat":    (  0.0,   0.0, 0.01, 1.0, 0.03, 2),
    "cymbal": (  0.0,   0.0, 0.01, 1.0, 0.16, 2),
}
_TIMBRES = {  #       tilt attack decay release
    "bass":    Timbre(1.2, 0.004, 0.7, 0.06),
    "piano":   Timbre(1.4, 0.003, 0.9, 0.20),
    "organ":   Timbre(1.3, 0.010, 9.0, 0.06, vibrato=0.004),
    "guitar":  Timbre(0.8, 0.002, 0.5, 0.12),
    "fuzz":    Timbre(0.5, 0.003, 2.0, 0.04, drive=3.0),
    "solo":    Timbre(0.7, 0.005, 2.0, 0.12, vibrato=0.006, drive=1.5),
    "strings": Timbre(1.4, 0.120, 9.0, 0.40, vibrato=0.003),
    "voice":   Timbre(0.4, 0.040, 9.0, 0.10, vibrato=0.007, formants_hz=(700.0, 1200.0, 2700.0, 3700.0)),
}
STYLES = (  # name, tempo, swing, volume, room, chords; drums on the left, tones on the right
    Style("blues", 96, 1 / 3, 0.9, 0.2, "A7 D7 A7 A7 D7 D7 A7 A7 E7 D7 A7 E7", (
        Part("kick",    0.30, "x...x..o"), Part("bass",    0.30, "0.1.2.32", 33),
        Part("snare",   0.25, "..x...x?"), Part("guitar",  0.12, "..x...xo", 52),
        Part("hat",     0.10, "xoxoxoxo"), Part("solo",    0.25, "?-??3-?-", 57))),
    Style("classical", 64, 0.0, 0.7, 0.5, "C G Am Em F C F G", (
        Part("strings", 0.12, "x---------------", 50), Part("piano",   0.20, "0123432101234321", 50),
        Part("strings", 0.20, "0-------2-------", 38), Part("strings", 0.20, "4---?---3---?-?-", 62))),
    Style("country", 192, 0.0, 0.9, 0.15, "C C F C C G C G", (
        Part("kick",    0.40, "x...x..."),          Part("bass",    0.40, "0---2---", 36),
        Part("hat",     0.20, "ooxoooxo"),          Part("guitar",  0.20, "..x...xo", 52),
        Part("snare",   0.30, "....o?xx", every=4), Part("guitar",  0.30, "4.??3.?.", 64),
                                                    Part("voice",   0.20, "?---?-?-", 55))),
    Style("disco", 120, 0.0, 0.8, 0.15, "Am Dm G C", (
        Part("kick",    0.70, "X...X...X...X..."), Part("bass",    0.35, "0.3.0.3.0.3.0.33", 33),
        Part("snare",   0.40, "....X.......X..."), Part("guitar",  0.20, "..x..x....x..x.x", 57),
        Part("cymbal",  0.25, "o.xoo.xoo.xoo.xo"), Part("strings", 0.15, "x---------4-3-2-", 60))),
    Style("hiphop", 88, 0.25, 0.7, 0.1, "Em7 Em7 C Am7", (
        Part("kick",    0.80, "X..x...x..Xx...."), Part("bass",    0.40, "0--0......0-0--.", 28),
        Part("snare",   0.70, "....X.......X..?"), Part("organ",   0.10, "x-----....x---..", 55),
        Part("hat",     0.30, "x.xox.xxx.xoxxx?"), Part("voice",   0.40, "00?0.?0?00.0?2?.", 48))),
    Style("metal", 160, 0.0, 0.45, 0.1, "E5 E5 G5 A5 E5 E5 C5 D5", (
        Part("kick",    0.50, "x.xxx.xxx.xxx.xx"), Part("fuzz",    0.35, "X-xxX-xx", 40),
        Part("snare",   0.90, "....X.......X..."), Part("fuzz",    0.25, "X-xxX-xx", 28),
        Part("cymbal",  0.50, "x...x...x...x..."), Part("fuzz",    0.15, "????4-?-", 64),
        Part("snare",   0.80, "........x?xxx?xX", every=4))),
    Style("pop", 112, 0.0, 0.7, 0.2, "C G Am F", (
        Part("kick",    0.70, "X..x..x.X..x..x."),          Part("bass",    0.35, "0..0..0.0..0..2.", 36),
        Part("snare",   0.60, "....X.......X..."),          Part("organ",   0.10, "x-------o-------", 60),
        Part("hat",     0.30, "x.xox.xox.xox.xo"),          Part("piano",   0.20, "4.3.2.4.3.2.4.?.", 60),
        Part("snare",   0.50, "............?xxX", every=4), Part("voice",   0.30, "2-?-1-?---0---..", 60))),
    Style("reggae", 72, 0.15, 0.75, 0.3, "Dm Dm Gm Am", (
        Part("kick",    0.70, "....X.......X..."), Part("bass",    0.45, "0--.2-3...0.1-2-", 33),
        Part("rim",     0.50, "....X.......X..?"), Part("guitar",  0.25, "..X...X...X...X.", 60),
        Part("hat",     0.25, "x.xox.xox.xox.xo"), Part("organ",   0.10, "..xo..xo..xo..xo", 57),
                                                   Part("voice",   0.25, "....2---?-?-....", 57))),
)
# fmt: on


def _pitches(symbol: str, chord: str, low: int) -> tuple[int, ...]:
    """MIDI notes of one symbol: the whole chord in close position from `low`, or one tone of it."""
    tones = _TONES[chord[1:]]
    root = low + ("C D EF G A B".index(chord[0]) - low) % 12
    if symbol in _VELOCITY:
        span = 12 if len(tones) > 2 else 24  # a fifth must not be turned into a fourth
        return tuple(low + (root + tone - low) % span for tone in tones)
    octave, tone = divmod(int(symbol), len(tones))
    return (root + 12 * octave + tones[tone],)


@lru_cache(256)
def _period(timbre: Timbre, hz: float, tilt: float) -> Doubles:
    harmonic = np.arange(1.0, 0.45 * SAMPLE_RATE_HZ / hz)  # below half the sample rate: no aliases
    amplitude = harmonic**-tilt
    if timbre.formants_hz:
        distance = (harmonic * hz - np.array(timbre.formants_hz)[:, None]) / 180.0  # [formants, harmonics]
        amplitude *= 0.05 + np.exp(-(distance**2)).sum(axis=0)
    wave: Doubles = np.fft.irfft(np.append(0.0, -1j * amplitude), _PERIOD)
    return wave / np.sqrt(2.0 * (wave @ wave) / _PERIOD)  # as loud as a sine


def _voice(timbre: Timbre, pitch: int, time_s: Doubles) -> Doubles:
    hz, wobble = 440.0 * 2 ** ((pitch - 69) / 12), 2 * np.pi * _VIBRATO_HZ
    phase = _PERIOD * hz * (time_s + timbre.vibrato / wobble * np.sin(wobble * time_s))
    index = phase.astype(np.int64) & (_PERIOD - 1)
    bright, dark = _period(timbre, hz, timbre.tilt), _period(timbre, hz, timbre.tilt + 1)
    return np.asarray(dark[index] + np.exp(-4 * time_s / timbre.decay_s) * (bright - dark)[index])


@lru_cache(256)
def _tone(timbre: Timbre, pitches: tuple[int, ...], hold: int) -> Samples:
    time_s = np.arange(hold + round(timbre.release_s * SAMPLE_RATE_HZ)) / SAMPLE_RATE_HZ
    wave = np.sum([_voice(timbre, pitch, time_s) for pitch in pitches], axis=0)
    wave = np.tanh(timbre.drive * wave) if timbre.drive else wave
    wave *= np.minimum(1, time_s / timbre.attack_s) * np.minimum(1, (time_s[-1] - time_s) / timbre.release_s)
    return np.asarray(wave * np.exp(-time_s / timbre.decay_s), np.float32)


@lru_cache
def _hit(name: str) -> Samples:
    tone_hz, fall_hz, tone_decay_s, level, noise_decay_s, times = _DRUMS[name]
    time_s = np.arange(0, 6 * max(tone_decay_s, noise_decay_s), 1 / SAMPLE_RATE_HZ)
    noise = np.diff(np.random.default_rng(0).uniform(-1, 1, len(time_s) + times), times) / 2**times
    turns = tone_hz * time_s + fall_hz * _FALL_S * (1 - np.exp(-time_s / _FALL_S))
    wave = np.sin(2 * np.pi * turns) * np.exp(-time_s / tone_decay_s)
    wave += level * noise * np.exp(-time_s / noise_decay_s)
    return np.asarray(wave / np.abs(wave).max(), np.float32)


def _play(canvas: Samples, style: Style, part: Part, chord: str, rng: np.random.Generator) -> None:
    """Add one part's bar to the canvas."""
    step = 240 / style.tempo_bpm * SAMPLE_RATE_HZ / len(part.steps)
    steps = re.sub(r"\?", lambda _: _CHANCE[rng.integers(len(_CHANCE))], part.steps)
    for note in _NOTE.finditer(steps):
        symbol, velocity = note[0][0], rng.uniform(0.8, 1.0)
        if part.instrument in _DRUMS:
            sound = _hit(part.instrument)
        else:
            pitches = _pitches(symbol, chord, part.low)
            sound = _tone(_TIMBRES[part.instrument], pitches, round(len(note[0]) * step))
        start = round(step * (note.start() + style.swing * (note.start() % 2)))
        gain = style.volume * part.gain * _VELOCITY.get(symbol, 0.8) * velocity
        canvas[start : start + len(sound)] += np.float32(gain) * sound


def _bar(style: Style, number: int, length: int, rng: np.random.Generator) -> Samples:
    """One bar and what rings after it [length + _TAIL]."""
    chords = style.progression.split()
    canvas = np.zeros(length + _TAIL, np.float32)
    for part in style.parts:
        if (number + 1) % part.every == 0:
            _play(canvas, style, part, chords[number % len(chords)], rng)
    for delay_s, gain in _ROOM_S.items():
        delay = round(delay_s * SAMPLE_RATE_HZ)
        canvas[delay:] += np.float32(style.room * gain) * canvas[:-delay]
    return canvas


def _bars(seed: int) -> Iterator[Samples]:
    """Play for ever, a bar at a time."""
    rng = np.random.default_rng(seed)
    carry = np.zeros(_TAIL, np.float32)
    for style in cycle(STYLES):
        edges = np.linspace(0, _STYLE_SAMPLES, style.tempo_bpm // 8 + 1).round().astype(int)
        for number, length in enumerate(np.diff(edges).tolist()):
            canvas = _bar(style, number, length, rng)
            canvas[:_TAIL] += carry
            carry = canvas[length:]
            yield np.tanh(canvas[:length])  # a soft limiter: never beyond 1


class Band:
    """Endless music: the same for the same seed, however it is cut."""

    def __init__(self, seed: int = 0) -> None:
        self._bars = _bars(seed)
        self._ready = np.zeros(0, np.float32)
        self._position = 0

    @property
    def style(self) -> Style:
        """The style of the next sample."""
        return STYLES[self._position // _STYLE_SAMPLES % len(STYLES)]

    def render(self, n: int) -> Samples:
        """Return the next `n` samples [n]."""
        while len(self._ready) < n:
            self._ready = np.concatenate([self._ready, next(self._bars)])
        block, self._ready = self._ready[:n], self._ready[n:]
        self._position += n
        return block
