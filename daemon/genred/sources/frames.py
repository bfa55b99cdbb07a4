"""Frames as libav decodes them -> blocks. Files and streams have this in common."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from ..features import Samples
from ..ring import Block
from .intake import KEPT_CHANNELS

av.logging.set_level(av.logging.PANIC)  # libav would write to the terminal by itself


@dataclass(frozen=True)
class Piece:
    """Decoded audio at `rate_hz`.

    Attributes
    ----------
    block : Block
        [N, 1], mixed to mono.
    kept : Block
        [N, 2] if it came in two channels, so that a dead one can be told; else the mix.
    """

    rate_hz: int
    block: Block
    kept: Block

    @property
    def width(self) -> int:
        """Channels of `kept`."""
        return int(self.kept.shape[1])

    def of_width(self, channels: int) -> Block:
        """[N, channels]: a stream that changes between mono and stereo stays as wide as it began."""
        return self.kept if self.width == channels else np.repeat(self.block, channels, axis=1)


@np.errstate(invalid="ignore", over="ignore")  # what is no number is for the epoch to count
def as_piece(frame: av.AudioFrame) -> Piece:
    """Take one frame of any sample format."""
    if frame.format.name.startswith("s64"):  # numpy's side of PyAV lacks it
        frame = av.AudioResampler(format="dblp", layout=frame.layout, rate=frame.sample_rate).resample(frame)[0]
    samples = frame.to_ndarray()
    if not frame.format.is_planar:
        samples = samples.reshape(-1, frame.layout.nb_channels).T
    floats = _as_float(samples)  # [C, N]
    mono = floats.mean(axis=0, dtype=np.float32)[:, None]
    return Piece(frame.sample_rate, mono, floats.T if len(floats) == KEPT_CHANNELS else mono)


def _as_float(samples: NDArray[Any]) -> Samples:
    """Full scale of any sample format to +-1."""
    if samples.dtype.kind == "f":
        return samples.astype(np.float32)
    if samples.dtype == np.uint8:
        return (samples.astype(np.float32) - 128.0) / 128.0
    return (samples / -float(np.iinfo(samples.dtype).min)).astype(np.float32)
