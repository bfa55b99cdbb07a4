"""Frames as libav decodes them -> mono blocks. Files and streams have this in common."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from ..features import Samples
from ..ring import Block

av.logging.set_level(av.logging.PANIC)  # libav would write to the terminal by itself


BLOCK_S = 0.1  # a file is handed over in pieces of this length


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
    return Piece(frame.sample_rate, _mixed(_as_float(samples))[:, None])


def _mixed(samples: Samples) -> Samples:
    """Mean [N] of the channels of `samples` [channels, N]; NumPy's own mean costs more than decoding does."""
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
    rate_hz, n = 0, 0
    blocks: list[Block] = []
    for piece in pieces:
        if blocks and piece.rate_hz != rate_hz:
            yield Piece(rate_hz, np.concatenate(blocks))
            blocks, n = [], 0
        rate_hz, n = piece.rate_hz, n + len(piece.block)
        blocks.append(piece.block)
        step = max(round(BLOCK_S * rate_hz), 1)
        if n >= step:
            lump = np.concatenate(blocks)
            whole = n // step * step
            yield from (Piece(rate_hz, lump[start : start + step]) for start in range(0, whole, step))
            blocks, n = ([lump[whole:]] if n > whole else []), n - whole
    if blocks:
        yield Piece(rate_hz, np.concatenate(blocks))
