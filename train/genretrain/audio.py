"""Whole files as samples at the rate of the features, through the daemon's own decoder and resampler."""

from __future__ import annotations

from itertools import groupby
from operator import attrgetter
from pathlib import Path

import av
import numpy as np
import soxr

from genred.epoch import QUALITY
from genred.features import Samples
from genred.sources.file import check, decode


def read(path: Path, sample_rate: int) -> Samples:
    """Samples [N] of the file `path`, mono, at `sample_rate` Hz.

    Raises
    ------
    SourceError
        If it has no audio that can be decoded.
    """
    check(path)
    parts: list[Samples] = []
    for rate_hz, pieces in groupby(decode(path), attrgetter("rate_hz")):
        samples = np.concatenate([piece.block[:, 0] for piece in pieces])
        parts.append(samples if rate_hz == sample_rate else soxr.resample(samples, rate_hz, sample_rate, QUALITY))
    return np.concatenate(parts)


def channels(path: Path) -> int:
    """Channels of the audio stream that `read` takes of the file `path`."""
    with av.open(f"file:{path}", metadata_errors="replace") as container:
        return int(container.streams.audio[0].codec_context.channels)
