"""Frames as libav decodes them -> mono blocks. Files and streams have this in common."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from ..features import Samples
from ..ring import Block

av.logging.set_level(av.logging.PANIC)  # libav would write to the terminal by itself


@dataclass(frozen=True)
class Piece:
    """Decoded audio: `block` [N, 1] at `rate_hz`."""

    rate_hz: int
    block: Block


@np.errstate(invalid="ignore", over="ignore")  # what is no number is for the epoch to count
def as_piece(frame: av.AudioFrame) -> Piece:
    """Mix one frame of any sample format to mono."""
    if frame.format.name.startswith("s64"):  # numpy's side of PyAV lacks it
        frame = av.AudioResampler(format="dblp", layout=frame.layout, rate=frame.sample_rate).resample(frame)[0]
    samples = frame.to_ndarray()
    if not frame.format.is_planar:
        samples = samples.reshape(-1, frame.layout.nb_channels).T
    mono = _as_float(samples).mean(axis=0, dtype=np.float32)  # [N]
    return Piece(frame.sample_rate, mono[:, None])


def _as_float(samples: NDArray[Any]) -> Samples:
    """Full scale of any sample format to +-1."""
    if samples.dtype.kind == "f":
        return samples.astype(np.float32)
    if samples.dtype == np.uint8:
        return (samples.astype(np.float32) - 128.0) / 128.0
    return (samples / -float(np.iinfo(samples.dtype).min)).astype(np.float32)
