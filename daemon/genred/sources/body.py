"""Body: what a server sends, as the file that libav reads."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from enum import Enum

from ..errors import SourceLost

NO_AUDIO_BYTES = 8 * 1024 * 1024  # more than the picture that an MP3 begins with


class Mark(Enum):
    """What can stand between bytes: here begins another container."""

    BREAK = "break"


BREAK = Mark.BREAK
Chunk = bytes | Mark


def nothing() -> None:
    """Do nothing."""


class Body:
    """Bytes of one container after the other. Not all of them have to be audio, but some have.

    Parameters
    ----------
    chunks : iterator
        May raise SourceLost.
    stop : threading.Event
        Ends it.
    patience_s : float
        How long there may be no audio in what comes.

    Attributes
    ----------
    over : bool
        Nothing more will come.
    before_wait : callable
        Called before bytes are waited for.
    """

    def __init__(self, chunks: Iterator[Chunk], stop: threading.Event, patience_s: float) -> None:
        self.over = False
        self.before_wait: Callable[[], None] = nothing
        self._chunks, self._stop, self._patience_s = chunks, stop, patience_s
        self._held = memoryview(b"")
        self._at_mark = False
        self.heard()

    def heard(self) -> None:
        """Note that there was audio in what has been read."""
        self._silent_bytes, self._heard_s = 0, time.monotonic()

    def begin(self) -> None:
        """Go on after a mark, with the next container."""
        self._at_mark = False

    def read(self, n: int) -> bytes:
        """Next bytes of the present container, at most `n`; none at its end.

        Raises
        ------
        SourceLost
            If there is no audio in them, or as `chunks` does; once.
        """
        while not self._held and not self._at_mark and not self.over:
            try:
                self.before_wait()
                self._take()
            except BaseException:
                self.over = True  # libav may ask again, and PyAV tells only of one exception
                raise
        part, self._held = bytes(self._held[:n]), self._held[n:]
        self._silent_bytes += len(part)
        return part

    def _take(self) -> None:
        chunk = None if self._stop.is_set() else next(self._chunks, None)
        if isinstance(chunk, Mark):
            self._at_mark = True
        elif chunk is None:
            self.over = True
        else:
            self._check()
            self._held = memoryview(chunk)

    def _check(self) -> None:
        if self._silent_bytes > NO_AUDIO_BYTES:
            raise SourceLost(f"no audio that can be decoded in {NO_AUDIO_BYTES // 1024} kB of the stream")
        if time.monotonic() - self._heard_s > self._patience_s:
            raise SourceLost(f"no audio that can be decoded in {self._patience_s:.0f} s of the stream")
