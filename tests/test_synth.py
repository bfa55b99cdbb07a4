from __future__ import annotations

import time
from functools import cache

import numpy as np
import pytest
from numpy.typing import NDArray

from genred.sources.synth import SAMPLE_RATE_HZ, STYLE_SECONDS, STYLES, Band, Style

STYLE_SAMPLES = round(STYLE_SECONDS * SAMPLE_RATE_HZ)
ENVELOPE_HZ = 210  # blocks a second: 105 samples each

by_name = pytest.mark.parametrize("style", STYLES, ids=lambda style: style.name)


@cache
def programme() -> dict[str, NDArray[np.float32]]:
    band = Band()
    return {style.name: band.render(STYLE_SAMPLES) for style in STYLES}


def envelope(samples: NDArray[np.float32], low_hz: float, high_hz: float) -> NDArray[np.float64]:
    """RMS of one band, ENVELOPE_HZ times a second, without its mean."""
    spectrum = np.fft.rfft(samples)
    hz = np.fft.rfftfreq(len(samples), 1 / SAMPLE_RATE_HZ)
    band = np.fft.irfft(spectrum * ((hz >= low_hz) & (hz < high_hz)))
    level = np.sqrt(np.mean(band.reshape(-1, SAMPLE_RATE_HZ // ENVELOPE_HZ) ** 2, axis=1))
    return np.asarray(level - level.mean())


def strongest_period_s(level: NDArray[np.float64], shortest_s: float, longest_s: float) -> float:
    power = np.abs(np.fft.rfft(level, 2 * len(level))) ** 2
    first, last = round(shortest_s * ENVELOPE_HZ), round(longest_s * ENVELOPE_HZ)
    return float(first + np.argmax(np.fft.irfft(power)[first : last + 1])) / ENVELOPE_HZ


@pytest.mark.parametrize("chunk", [997, 22050, 100_000])
def test_chunks_equal_whole(chunk: int) -> None:
    """However the music is cut, the samples are the same bits, across bars and a change of style."""
    n = STYLE_SAMPLES + 3 * SAMPLE_RATE_HZ
    whole, band = Band(3).render(n), Band(3)
    parts = [band.render(min(chunk, n - start)) for start in range(0, n, chunk)]
    assert np.concatenate(parts).tobytes() == whole.tobytes()


def test_nothing_asked_nothing_moves() -> None:
    """An empty block is empty and changes neither what follows nor the style."""
    band = Band()
    assert band.render(0).shape == (0,)
    assert band.style is STYLES[0]
    assert np.array_equal(band.render(1000), Band().render(1000))


@by_name
def test_level(style: Style) -> None:
    """Every style is as loud as broadcast music: -18 to -12 dBFS RMS, never silent for a second, never clipped."""
    samples = programme()[style.name]
    seconds_db = 10 * np.log10(np.mean(samples.reshape(-1, SAMPLE_RATE_HZ).astype(float) ** 2, axis=1))
    assert samples.dtype == np.float32
    assert -18 < 10 * np.log10(np.mean(samples.astype(float) ** 2)) < -12
    assert seconds_db.min() > -25
    assert np.abs(samples).max() < 1.0


def test_style_changes_every_30_seconds() -> None:
    """The band plays its styles in order, 30 s each, and begins again."""
    band, heard = Band(), []
    for _ in range(len(STYLES) + 1):
        heard.append(band.style.name)
        band.render(STYLE_SAMPLES - 1)
        assert band.style.name == heard[-1]
        band.render(1)
    assert heard == [style.name for style in STYLES] + [STYLES[0].name]
    assert len(set(heard)) == len(STYLES) >= 6


@by_name
def test_styles_are_whole_bars(style: Style) -> None:
    """30 s are a whole number of four-beat bars, so a style never ends within one."""
    assert (STYLE_SECONDS * style.tempo_bpm / 60) % 4 == 0


@by_name
def test_bars_have_whole_steps(style: Style) -> None:
    """Every part writes out its bar in eighths or sixteenths: a slip of the pen would shift its rhythm."""
    assert {len(part.steps) for part in style.parts} <= {8, 16}


def test_disco_kick_beats_the_tempo() -> None:
    """Four on the floor: below 100 Hz, disco repeats most strongly after one beat, 60 / tempo."""
    tempo_bpm = next(style.tempo_bpm for style in STYLES if style.name == "disco")
    period_s = strongest_period_s(envelope(programme()["disco"], 30, 100), 0.2, 0.8)
    assert period_s == pytest.approx(60 / tempo_bpm, abs=1 / ENVELOPE_HZ)


def test_disco_cymbal_is_off_the_beat() -> None:
    """The treble between two beats is louder than the treble on the beat."""
    beat = ENVELOPE_HZ // 2
    treble = envelope(programme()["disco"], 8000, 11000).reshape(-1, beat).mean(axis=0)
    on, off = treble[: beat // 8], treble[beat // 2 : beat // 2 + beat // 8]
    assert off.mean() > on.mean()


@pytest.mark.parametrize("name", [style.name for style in STYLES if style.name != "classical"])
def test_rhythm_repeats_with_the_bar(name: str) -> None:
    """Every style with a drummer keeps its tempo: within 3 % of a bar, its level repeats best after one bar."""
    bar_s = next(240 / style.tempo_bpm for style in STYLES if style.name == name)
    period_s = strongest_period_s(envelope(programme()[name], 30, 11000), bar_s * 0.97, bar_s * 1.03)
    assert period_s == pytest.approx(bar_s, abs=1 / ENVELOPE_HZ)


def test_seed_decides() -> None:
    """The same seed plays the same music, another seed other music of the same style."""
    first, again, other = Band(7), Band(7), Band(8)
    samples = first.render(5 * SAMPLE_RATE_HZ)
    assert np.array_equal(samples, again.render(5 * SAMPLE_RATE_HZ))
    assert not np.array_equal(samples, other.render(5 * SAMPLE_RATE_HZ))
    assert first.style is other.style


def test_notes_ring_past_the_bar() -> None:
    """No note is cut off: from one sample to the next, blues moves less at its bar lines than in its louder tenth."""
    bars = STYLES[0].tempo_bpm // 8
    lines = np.linspace(0, STYLE_SAMPLES, bars + 1).round().astype(int)[1:-1]
    steps = np.abs(np.diff(programme()["blues"]))
    assert steps[lines - 1].max() < np.quantile(steps, 0.9)


def test_costs_little() -> None:
    """Music is made at under 2 % of one core, so that the demo measures the daemon and not its source."""
    band = Band(1)
    start = time.process_time()
    band.render(2 * STYLE_SAMPLES)
    assert time.process_time() - start < 0.02 * 2 * STYLE_SECONDS
