"""Not music: sounds that are none of the genres, through the daemon's own features.

Recordings of a folder, ``<kind>/<class>_<number>.<suffix>``, and sounds made here. Every other one of a class is for
choosing thresholds, the rest for reporting what the thresholds do.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from genred.card import ModelCard
from genred.epoch import Epoch, Geometry, Window
from genred.errors import BadInputError
from genred.features import Doubles, Mfcc, Samples

from . import gtzan
from .audio import read

PARTS = ("choosing", "reporting")
SECONDS = 30.0  # of a sound that is made
JOINED_FROM_S = 6.0  # horizons that are longer than a clip are heard over all clips of a class, one after the other
TEXT = "The quick brown fox jumps over the lazy dog, and then it sleeps. " * 8


@dataclass(frozen=True)
class Sound:
    """One class of sounds in one part: its clips, at the model's sample rate."""

    name: str
    part: str
    clips: tuple[Samples, ...]


def sounds(folder: Path, sample_rate: int) -> list[Sound]:
    """Recordings below `folder`, and what is made here.

    Raises
    ------
    BadInputError
        If there are no recordings.
    """
    files: dict[str, list[Path]] = {}
    for path in sorted(folder.glob("*/*")):
        if path.suffix in gtzan.AUDIO_SUFFIXES:
            name = re.sub(r"_\d+$", "", path.stem) if re.search(r"_\d+$", path.stem) else path.parent.name
            files.setdefault(name, []).append(path)
    if not files:
        raise BadInputError(f"no sounds in {folder}: expected <kind>/<class>_<number>.ogg, or flac, mp3, wav")
    recorded = [
        Sound(name, part, tuple(read(path, sample_rate) for path in paths[turn::2]))
        for name, paths in files.items()
        for turn, part in enumerate(PARTS)
    ]
    return [*recorded, *made(sample_rate)]


def made(sample_rate: int) -> list[Sound]:
    """Half a minute of a tone, hum, metronome and noise, others in each part; and espeak-ng's voice, if it is here."""
    at: Doubles = (np.arange(round(SECONDS * sample_rate)) / sample_rate).astype(np.float64)
    rng = np.random.default_rng(0)
    pairs: dict[str, list[Doubles]] = {
        "tone": [np.sin(2 * np.pi * hz * at) for hz in (440.0, 1000.0)],
        "hum": [_hum(at, hz) for hz in (50.0, 60.0)],
        "metronome": [_clicks(at, beats_per_minute) for beats_per_minute in (120.0, 90.0)],
        "noise": [rng.normal(size=len(at)), _pink(rng.normal(size=len(at)))],
    }
    sounds_made = [
        Sound(name, part, ((0.2 * samples / np.abs(samples).max()).astype(np.float32),))
        for name, both in pairs.items()
        for samples, part in zip(both, PARTS, strict=True)
    ]
    voice = _voice(sample_rate)
    return [*sounds_made, *([Sound("synthetic voice", "reporting", (voice,))] if voice is not None else [])]


def _hum(at: Doubles, hz: float) -> Doubles:
    """Mains hum: the first harmonics, each weaker."""
    hum: Doubles = np.sum([np.sin(2 * np.pi * hz * k * at) / k for k in (1, 2, 3, 5)], axis=0)
    return hum


def _clicks(at: Doubles, beats_per_minute: float) -> Doubles:
    """A metronome: 5 ms of a falling 1.5 kHz tone on every beat."""
    since_s = at % (60.0 / beats_per_minute)
    clicks: Doubles = np.sin(2 * np.pi * 1500.0 * since_s) * np.exp(-since_s / 0.005)
    return clicks


def _pink(white: Doubles) -> Doubles:
    """Noise whose power falls by 3 dB an octave: white noise over the square root of the frequency."""
    spectrum = np.fft.rfft(white)
    spectrum[1:] /= np.sqrt(np.arange(1, len(spectrum)))
    pink: Doubles = np.fft.irfft(spectrum, len(white))
    return pink


def _voice(sample_rate: int) -> Samples | None:
    if not shutil.which("espeak-ng"):
        return None
    with tempfile.NamedTemporaryFile(suffix=".wav") as file:
        subprocess.run(["espeak-ng", "-w", file.name, TEXT], check=True)
        return read(Path(file.name), sample_rate)


def windows(sound: Sound, card: ModelCard, frames: int) -> list[Window]:
    """Windows of `frames`, one after the other: of each clip, or of all clips joined where a clip is too short."""
    mfcc = Mfcc(card.spec)
    joined = card.spec.seconds(frames) > JOINED_FROM_S
    clips = (np.concatenate(sound.clips),) if joined else sound.clips
    return [window for clip in clips for window in _heard(clip, mfcc, card, frames)]


def _heard(samples: Samples, mfcc: Mfcc, card: ModelCard, frames: int) -> Iterator[Window]:
    epoch = Epoch(mfcc, Geometry(frames, frames), card.gain, mfcc.spec.sample_rate)
    yield from epoch.feed(samples)
    yield from epoch.finish()
