"""Degradations: what music goes through on its way to a listener, done to its samples.

Each changes mono samples [N] at a rate; full scale is +-1. Chance, where a room needs it, comes from the generator that
is given.
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import av
import numpy as np
import soxr
from numpy.typing import NDArray
from scipy import signal

from genred.epoch import QUALITY
from genred.errors import SourceError
from genred.features import Samples

TELEPHONE_HZ = (300.0, 3400.0)  # of a telephone channel: ITU-T G.712
TELEPHONE_ORDER = 10  # Butterworth; -16 dB at 4 kHz, where a telephone's own 8 kHz sampling ends the band
MP3_BIT_RATE = 64_000  # b/s; all of it for one channel
MP3_SHARE = 32_000  # b/s; of one channel in a stereo stream of 64 kb/s
MP3_RATES_HZ = (16000, 22050, 24000, 32000, 44100, 48000)  # MPEG-1 and MPEG-2, layer III: ISO 11172-3, 13818-3
REVERBERATION_S = 0.5  # to fall by 60 dB; a furnished room: the reference of ISO 16283-1
ABSORPTION_M2 = 10.0  # equivalent area of such a room: the other reference of ISO 16283-1
DISTANCE_M = 3.0  # from loudspeaker to microphone, both without direction: the other end of that room (31 m3)
SAMPLE_STEP = 2.0**-15  # of 16 bits, as sound cards and files of GTZAN have them
CLIPPED = 0.1  # share of the samples; ten times the default of the Audio Degradation Toolbox (Mauch and Ewert 2013)
SPEED = 0.05  # share faster or slower; as in that toolbox's demonstration

_NOTHING = 1e-12  # of amplitude; digital silence is not divided by 0

Chance = np.random.Generator
Change = Callable[[Samples, int, Chance], Samples]  # (samples, rate_hz, chance)


@dataclass(frozen=True)
class Degradation:
    """One of them, and in a phrase what it does."""

    change: Change
    what: str


def telephone(samples: Samples, rate_hz: int, _chance: Chance) -> Samples:
    """Keep the band of a telephone channel."""
    high_hz = min(TELEPHONE_HZ[1], 0.49 * rate_hz)
    band = signal.butter(TELEPHONE_ORDER, (TELEPHONE_HZ[0], high_hz), "bandpass", output="sos", fs=rate_hz)
    return np.asarray(signal.sosfilt(band, samples), np.float32)


def mp3(samples: Samples, rate_hz: int, _chance: Chance, *, bit_rate: int) -> Samples:
    """Encode at a constant `bit_rate` with LAME, and decode again.

    Raises
    ------
    SourceError
        If MP3 has no such sample rate.
    """
    if rate_hz not in MP3_RATES_HZ:
        raise SourceError(f"MP3 has no sample rate of {rate_hz} Hz, only {', '.join(map(str, MP3_RATES_HZ))}")
    file = io.BytesIO()
    with av.open(file, "w", format="mp3") as container:
        stream = container.add_stream("libmp3lame", rate=rate_hz, layout="mono")
        stream.bit_rate = bit_rate
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples[None]), format="fltp", layout="mono")
        frame.sample_rate = rate_hz
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    file.seek(0)
    with av.open(
        file, "r"
    ) as container:  # its header says what the encoder put before and after: the decoder cuts it off
        return np.concatenate([frame.to_ndarray()[0] for frame in container.decode(audio=0)])


def room(samples: Samples, rate_hz: int, chance: Chance, *, snr_db: float) -> Samples:
    """Hear by a microphone at the other end of a room, with white noise `snr_db` below what arrives; level kept.

    White is the harsher: the noise of real rooms falls by 5 dB an octave (Hoth 1941).
    """
    heard: Samples = signal.fftconvolve(samples, impulse_response(rate_hz, chance))[: len(samples)]
    heard *= np.float32(_rms(samples) / max(_rms(heard), _NOTHING))
    return np.asarray(heard + noise(heard, snr_db, chance), np.float32)


def impulse_response(rate_hz: int, chance: Chance) -> Samples:
    """Direct sound, then noise that decays exponentially (Polack 1988), [N].

    Beyond the critical distance, where both are as loud, the direct sound falls with the square of the distance and the
    reverberation does not (Kuttruff, Room Acoustics): sqrt(A / 16 pi), 0.45 m here.
    """
    time_s = np.arange(round(REVERBERATION_S * rate_hz)) / rate_hz
    response = chance.normal(size=len(time_s)) * 10.0 ** (-3.0 * time_s / REVERBERATION_S)
    response[0] = 0.0
    critical_m = math.sqrt(ABSORPTION_M2 / (16.0 * math.pi))
    response *= DISTANCE_M / critical_m / math.sqrt(np.sum(response**2))
    response[0] = 1.0
    return np.asarray(response, np.float32)


def noise(samples: Samples, snr_db: float, chance: Chance) -> Samples:
    """White noise [N] whose level over all of `samples` is `snr_db` below theirs."""
    white = chance.normal(size=len(samples))
    return np.asarray(white * _rms(samples) / _rms(white) * 10.0 ** (-snr_db / 20.0), np.float32)


def gain(samples: Samples, _rate_hz: int, _chance: Chance, *, gain_db: float) -> Samples:
    """Turn down by `gain_db`, and round to 16 bits: what a converter does not resolve is lost."""
    return np.asarray(np.round(samples * 10.0 ** (gain_db / 20.0) / SAMPLE_STEP) * SAMPLE_STEP, np.float32)


def clipping(samples: Samples, _rate_hz: int, _chance: Chance) -> Samples:
    """Turn up until the share CLIPPED of all samples is beyond full scale, and cut them off there."""
    ceiling = max(float(np.quantile(np.abs(samples), 1.0 - CLIPPED)), SAMPLE_STEP)
    return np.asarray(np.clip(samples / ceiling, -1.0, 1.0), np.float32)


def speed(samples: Samples, rate_hz: int, _chance: Chance, *, factor: float) -> Samples:
    """Play `factor` times as fast: tempo and pitch change together, as of a record or a tape."""
    return np.asarray(soxr.resample(samples, rate_hz * factor, rate_hz, QUALITY), np.float32)


def _rms(samples: NDArray[np.floating]) -> float:
    return math.sqrt(np.mean(np.square(samples, dtype=np.float64)))


_ROOM = (
    f"a microphone {DISTANCE_M:g} m away in a room with {REVERBERATION_S:g} s of reverberation and"
    f" {ABSORPTION_M2:g} m² of absorption (ISO 16283-1's references), white noise {{:g}} dB below"
)
DEGRADATIONS = {
    "telephone": Degradation(
        telephone, "{:g}-{:g} Hz (ITU-T G.712), Butterworth of order {}".format(*TELEPHONE_HZ, TELEPHONE_ORDER)
    ),
    "MP3, 64 kb/s": Degradation(
        partial(mp3, bit_rate=MP3_BIT_RATE), "encoded by LAME and decoded, mono, at the track's own rate"
    ),
    "MP3, 32 kb/s": Degradation(
        partial(mp3, bit_rate=MP3_SHARE), "the same; what one channel has in a stereo stream of 64 kb/s"
    ),
    "room, 20 dB": Degradation(partial(room, snr_db=20.0), _ROOM.format(20)),
    "room, 10 dB": Degradation(partial(room, snr_db=10.0), _ROOM.format(10)),
    "gain -30 dB": Degradation(partial(gain, gain_db=-30.0), "then 16 bits, as from a sound card"),
    "gain -50 dB": Degradation(partial(gain, gain_db=-50.0), "the same"),
    "clipping": Degradation(clipping, f"turned up until {100 * CLIPPED:g} % of the samples are cut off"),
    "5 % faster": Degradation(partial(speed, factor=1.0 + SPEED), "tempo and pitch together"),
    "5 % slower": Degradation(partial(speed, factor=1.0 - SPEED), "the same"),
}
