"""Tune: what the bench plays, a minute of the demo station's music as samples and as an MP3 file."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np

from ..features import Samples
from ..sources.synth import SAMPLE_RATE_HZ, Band

TUNE_S = 60
MP3_RATE_HZ = 44100
MP3_BIT_RATE = 128_000  # what most stations of the net send


def tune() -> Samples:
    """The music, mono [N], at the synthesiser's rate."""
    return Band().render(TUNE_S * SAMPLE_RATE_HZ)


def write_mp3(samples: Samples, path: Path) -> None:
    """Write mono `samples` [N] as a stereo MP3."""
    frame = av.AudioFrame.from_ndarray(np.repeat(samples[None], 2, axis=0), format="fltp", layout="stereo")
    frame.sample_rate = SAMPLE_RATE_HZ
    bare = {"id3v2_version": "0", "write_xing": "0"}  # a stream has no head
    with av.open(str(path), "w", format="mp3", options=bare) as container:
        stream = container.add_stream("mp3", rate=MP3_RATE_HZ)
        stream.bit_rate = MP3_BIT_RATE
        encoder = stream.codec_context
        resampler = av.AudioResampler(encoder.format, encoder.layout, encoder.rate, frame_size=1152)
        for piece in (*resampler.resample(frame), *resampler.resample(None), None):
            container.mux(stream.encode(piece))
