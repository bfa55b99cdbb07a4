"""Frames as libav decodes them -> blocks. Files and streams have this in common."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from ..features import Samples
from ..ring import Block
from .intake import KEPT_CHANNELS

av.logging.set_level(av.logging.PANIC)  # libav would write to the terminal by itself


POINTERS = 8  # libav's AV_NUM_DATA_POINTERS
BLOCK_S = 0.1  # a file is handed over in pieces of this length


@dataclass(frozen=True)
class Piece:
    """Decoded audio at `rate_hz`.

    Attributes
    ----------
    kept : Block
        [N, 2] if it came in two channels, so that a dead one can be told; else mixed to mono, [N, 1].
    """

    rate_hz: int
    kept: Block

    @property
    @np.errstate(invalid="ignore", over="ignore")  # what is no number is for the epoch to count
    def block(self) -> Block:
        """[N, 1], mixed to mono."""
        return self.kept if self.width == 1 else _mixed(self.kept.T)[:, None]

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
        frame = _in_format(frame, "dbl")
    elif frame.format.is_planar and frame.layout.nb_channels >= POINTERS:
        frame = _in_format(frame, frame.format.packed.name)  # PyAV looks for the end of the planes, beyond them
    samples = frame.to_ndarray()
    if not frame.format.is_planar:
        samples = samples.reshape(-1, frame.layout.nb_channels).T
    floats = _as_float(samples)  # [C, N]
    return Piece(frame.sample_rate, (floats if len(floats) == KEPT_CHANNELS else _mixed(floats)[None]).T)


def _in_format(frame: av.AudioFrame, name: str) -> av.AudioFrame:
    return av.AudioResampler(format=name, layout=frame.layout, rate=frame.sample_rate).resample(frame)[0]


def _mixed(samples: Samples) -> Samples:
    """Mean [N] of the channels of `samples` [C, N]; NumPy's own mean costs more than decoding does."""
    mono: Samples = np.add.reduce(samples, axis=0)
    return mono if len(samples) == 1 else mono / np.float32(len(samples))


def _as_float(samples: NDArray[Any]) -> Samples:
    """Full scale of any sample format to +-1."""
    if samples.dtype.kind == "f":
        return samples.astype(np.float32, copy=False)
    if samples.dtype == np.uint8:
        return (samples.astype(np.float32) - 128.0) / 128.0
    return (samples / -float(np.iinfo(samples.dtype).min)).astype(np.float32)


def in_blocks(pieces: Iterable[Piece]) -> Iterator[Piece]:
    """Samples of `pieces`, BLOCK_S at a time: each hand-over costs a wake-up, and a packet of MP3 is only 26 ms."""
    for (rate_hz, _), alike in groupby(pieces, lambda piece: (piece.rate_hz, piece.width)):
        step, blocks, n = max(round(BLOCK_S * rate_hz), 1), list[Block](), 0
        for piece in alike:
            blocks.append(piece.kept)
            n += len(piece.kept)
            if n >= step:
                lump = np.concatenate(blocks)
                whole = n // step * step
                yield from (Piece(rate_hz, lump[start : start + step]) for start in range(0, whole, step))
                blocks, n = [lump[whole:]], n - whole
        if n:
            yield Piece(rate_hz, np.concatenate(blocks))
