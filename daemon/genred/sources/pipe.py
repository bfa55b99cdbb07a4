"""Raw PCM on stdin, as rtl_fm, arecord or ffmpeg write it."""

from __future__ import annotations

import fcntl
import os
import select
import sys
import threading

import numpy as np

from ..errors import SourceError
from ..ring import Block
from . import Clock, Output
from .intake import KEPT_CHANNELS
from .uri import Options, choice, flag, whole

READ_BYTES = 16384
POLL_S = 0.2  # how often a wait for a writer looks whether the daemon stops
FORMATS = {"s16le": "<i2", "s32le": "<i4", "f32le": "<f4", "u8": "u1"}


class Pipe:
    """``-?format=s16le&rate=44100&channels=2&live=0``: interleaved samples until the writer closes.

    A full ring stops the reading, so nothing is thrown away; with ``live=1`` a late worker skips windows instead of
    falling behind the writer.
    """

    clock: Clock = "arrival"
    finite = True
    _taken = threading.Lock()

    def __init__(self, encoding: str = "s16le", rate_hz: int = 44100, channels: int = 2, *, live: bool = False) -> None:
        if sys.stdin is None:
            raise SourceError("stdin (-) is closed; connect it to what writes the audio")
        _check_stdin()
        if not Pipe._taken.acquire(blocking=False):
            raise SourceError("stdin (-) can feed one station only")
        self._dtype = np.dtype(FORMATS[encoding])
        self._rate_hz, self._channels, self.live = rate_hz, channels, live

    @classmethod
    def from_options(cls, options: Options) -> Pipe:
        """Make the source that a URI names."""
        return cls(
            options.take("format", choice(*FORMATS), "s16le"),
            options.take("rate", whole(1000, 768_000), 44100),
            options.take("channels", whole(1, 64), 2),
            live=options.take("live", flag, False),
        )

    def run(self, output: Output) -> None:
        """Deliver what comes; bytes that do not make a whole sample wait for the rest."""
        intake = output.begin(self._rate_hz, self._channels if self._channels <= KEPT_CHANNELS else 1)
        size = self._dtype.itemsize * self._channels
        pending = b""
        while not output.stop.is_set():
            chunk = _read(output.stop)
            if not chunk:
                break
            pending += chunk
            whole_samples = len(pending) // size * size
            intake.write(self._block(pending[:whole_samples]))
            pending = pending[whole_samples:]
        if pending:
            output.count_error()

    @np.errstate(invalid="ignore", over="ignore")  # what is no number is for the epoch to count
    def _block(self, content: bytes) -> Block:
        samples = np.frombuffer(content, self._dtype).reshape(-1, self._channels)
        if self._dtype.kind == "u":
            floats = (samples.astype(np.float32) - 128.0) / 128.0
        elif self._dtype.kind == "i":
            floats = (samples / -float(np.iinfo(self._dtype).min)).astype(np.float32)
        else:
            floats = samples.astype(np.float32)
        return floats if self._channels <= KEPT_CHANNELS else floats.mean(axis=1, dtype=np.float32)[:, None]


def _check_stdin() -> None:
    try:
        mode = fcntl.fcntl(sys.stdin.fileno(), fcntl.F_GETFL) & os.O_ACCMODE
    except (OSError, ValueError) as error:
        raise SourceError("stdin (-) cannot be read; connect it to what writes the audio") from error
    if sys.stdin.isatty():
        raise SourceError("stdin (-) is a terminal; pipe raw PCM into it, as of arecord, rtl_fm or ffmpeg -f s16le -")
    if mode == os.O_WRONLY:
        raise SourceError("stdin (-) is open for writing only; connect it to what writes the audio")


def _read(stop: threading.Event) -> bytes:
    """Read what comes next, nothing at the end; wait also where the writer has made stdin non-blocking."""
    number = sys.stdin.fileno()
    while not stop.is_set():
        try:
            return os.read(number, READ_BYTES)
        except BlockingIOError:
            select.select([number], [], [], POLL_S)
        except OSError as error:
            raise SourceError(f"cannot read stdin (-): {error.strerror}") from error
    return b""
