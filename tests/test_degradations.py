from __future__ import annotations

import numpy as np
import pytest

from conftest import music
from genred.errors import SourceError
from genred.features import Samples
from genretrain import degradations
from genretrain.degradations import DEGRADATIONS

RATE = 22050


@pytest.fixture
def chance() -> np.random.Generator:
    return np.random.default_rng(0)


def tone(hz: float, seconds: float = 2.0, level: float = 0.5) -> Samples:
    return (level * np.sin(2 * np.pi * hz * np.arange(round(seconds * RATE)) / RATE)).astype(np.float32)


def decibels(samples: Samples) -> float:
    return float(10 * np.log10(np.mean(np.square(samples, dtype=np.float64))))


def loudest_hz(samples: Samples) -> float:
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    return float(spectrum.argmax() * RATE / len(samples))


@pytest.mark.parametrize("name", DEGRADATIONS)
def test_what_comes_out_is_sound_and_other_than_before(name, chance):
    """Finite float32 of about the same length, and not what went in."""
    samples = music(2.0)
    changed = DEGRADATIONS[name].change(samples, RATE, chance)
    assert (changed.dtype, changed.ndim) == (np.float32, 1)
    assert np.isfinite(changed).all()
    assert len(changed) == pytest.approx(len(samples), rel=0.06)
    assert np.mean((changed[:40000] - samples[:40000]) ** 2) > 1e-9


@pytest.mark.parametrize("name", DEGRADATIONS)
def test_silence_stays_finite(name, chance):
    """A track that begins with nothing divides nothing by 0."""
    assert np.isfinite(DEGRADATIONS[name].change(np.zeros(RATE, np.float32), RATE, chance)).all()


@pytest.mark.parametrize(
    ("hz", "least", "most"),
    [(100, -200, -40), (300, -4, -2), (1000, -0.1, 0.1), (3400, -4, -2), (4000, -22, -14), (6000, -200, -50)],
)
def test_a_telephone_passes_speech_and_nothing_else(hz, least, most, chance):
    """1 kHz survives, 100 Hz and 6 kHz do not; the edges are 3 dB down."""
    changed = degradations.telephone(tone(hz), RATE, chance)
    assert least < decibels(changed[RATE // 2 :]) - decibels(tone(hz)) < most


def test_a_telephone_has_no_band_above_half_the_rate(chance):
    """Sound of 6 kHz has none either; the filter is still one."""
    samples = music(1.0, 6000)
    assert 0 < decibels(samples) - decibels(degradations.telephone(samples, 6000, chance)) < 20


@pytest.mark.parametrize("bit_rate", [degradations.MP3_BIT_RATE, degradations.MP3_SHARE])
def test_mp3_is_aligned_and_lossy(bit_rate, chance):
    """Every sample is where it was, the encoder's delay cut off; and some of it is gone."""
    samples = music(4.0)
    changed = degradations.mp3(samples, RATE, chance, bit_rate=bit_rate)
    assert len(changed) == len(samples)
    shifts = np.arange(-1200, 1201)
    middle = samples[2000:-2000]
    likeness = [middle @ changed[2000 + shift : len(changed) - 2000 + shift] for shift in shifts]
    assert shifts[np.argmax(likeness)] == 0
    assert 5 < decibels(samples) - decibels(changed - samples) < 40


def test_fewer_bits_lose_more(chance):
    """Half the bit rate, and at least 2 dB more of the music is gone."""
    samples = music(4.0)
    lost = [decibels(degradations.mp3(samples, RATE, chance, bit_rate=b) - samples) for b in (64_000, 32_000)]
    assert lost[1] > lost[0] + 2


def test_mp3_has_only_some_rates(chance):
    """Another one is refused in a sentence, not by libav."""
    with pytest.raises(SourceError, match="no sample rate of 12345 Hz, only 16000, 22050"):
        degradations.mp3(music(0.5), 12345, chance, bit_rate=64_000)


@pytest.mark.parametrize("snr_db", [20.0, 10.0])
def test_noise_is_as_far_below_as_was_asked(snr_db, chance):
    """Over the whole of it, exactly; and it is white: both halves of the spectrum have as much."""
    samples = music(4.0)
    noise = degradations.noise(samples, snr_db, chance)
    assert decibels(samples) - decibels(noise) == pytest.approx(snr_db, abs=1e-3)
    power = np.abs(np.fft.rfft(noise)) ** 2
    low, high = np.array_split(power, 2)
    assert low.sum() == pytest.approx(high.sum(), rel=0.05)


def test_a_room_decays_by_60_db_in_its_time(chance):
    """Between 0.1 and 0.4 s by 36 dB: T is 0.5 s."""
    response = degradations.impulse_response(RATE, chance)
    early, late = (decibels(response[round(at * RATE) :][:1000]) for at in (0.1, 0.4))
    assert early - late == pytest.approx(60 * 0.3 / degradations.REVERBERATION_S, abs=1.5)


def test_a_distant_microphone_hears_mostly_the_room(chance):
    """At 3 m, 6.7 times the critical distance of 0.446 m, the direct sound is 16.6 dB below the reverberation."""
    response = degradations.impulse_response(RATE, chance).astype(np.float64)
    direct, reverberation = response[0] ** 2, np.sum(response[1:] ** 2)
    assert 10 * np.log10(reverberation / direct) == pytest.approx(20 * np.log10(3.0 / 0.446), abs=0.01)


@pytest.mark.parametrize("snr_db", [20.0, 10.0])
def test_a_room_keeps_the_level_and_adds_its_noise(snr_db, chance):
    """What a tone leaves dark in the spectrum is the noise, as far below as was asked."""
    samples = tone(1000.0, 8.0, 0.3)
    heard = degradations.room(samples, RATE, chance, snr_db=snr_db)
    assert len(heard) == len(samples)
    assert decibels(heard) == pytest.approx(decibels(samples) + 10 * np.log10(1 + 10 ** (-snr_db / 10)), abs=0.1)
    power = np.abs(np.fft.rfft(heard)) ** 2
    dark = power[len(power) // 2 :]  # above 5.5 kHz: half of all noise
    assert 10 * np.log10(power.sum() / (2 * dark.sum())) == pytest.approx(snr_db, abs=0.5)


def test_a_room_goes_on_sounding(chance):
    """After a click there is a tail; after half a second it is over."""
    click = np.zeros(RATE, np.float32)
    click[1000] = 1.0
    heard = degradations.room(click, RATE, chance, snr_db=90.0)
    assert np.abs(heard[:1000]).max() < 1e-3 * np.abs(heard).max()
    assert decibels(heard[1001:4000]) > decibels(heard[13000:]) + 30


@pytest.mark.parametrize("gain_db", [-30.0, -50.0])
def test_gain_is_exact_to_half_a_step_of_16_bits(gain_db, chance):
    """No sample is further off, and every one is a 16-bit number."""
    samples = music(2.0)
    changed = degradations.gain(samples, RATE, chance, gain_db=gain_db)
    steps = changed.astype(np.float64) * 32768
    assert np.abs(changed - samples.astype(np.float64) * 10 ** (gain_db / 20)).max() <= 0.5001 / 32768
    assert (steps == np.round(steps)).all()
    assert decibels(changed) - decibels(samples) == pytest.approx(gain_db, abs=0.1)


def test_a_tenth_of_the_samples_is_clipped(chance):
    """At full scale, of either sign; what is not clipped is louder, and as it was."""
    samples = music(4.0)
    changed = degradations.clipping(samples, RATE, chance)
    cut = np.abs(changed) >= 1.0
    assert cut.mean() == pytest.approx(0.1, abs=1e-3)
    assert np.abs(changed).max() == 1.0
    assert {-1.0, 1.0} == set(changed[cut].tolist())
    louder = changed[~cut] / samples[~cut]
    assert louder.max() == pytest.approx(louder.min(), rel=1e-5)
    assert louder.min() > 1.5


@pytest.mark.parametrize("factor", [1.05, 0.95])
def test_speed_moves_a_tone_and_the_end(factor, chance):
    """A tone of 1 kHz is one of 1050 or 950 Hz, and over sooner or later; as loud as before."""
    samples = tone(1000.0, 4.0)
    changed = degradations.speed(samples, RATE, chance, factor=factor)
    assert loudest_hz(changed) == pytest.approx(1000.0 * factor, abs=0.5)
    assert len(changed) == pytest.approx(len(samples) / factor, abs=1)
    assert decibels(changed) == pytest.approx(decibels(samples), abs=0.05)
