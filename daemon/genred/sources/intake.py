"""Intake: everything that crosses from a source's thread to the worker."""

from __future__ import annotations

import threading
import time
from collections import deque
from dataclasses import dataclass

from ..ring import Block, RingBuffer

RING_S = 10.0
FULL_WAIT_S = 0.02
KEPT_CHANNELS = 2  # a stream of more is mixed before the ring; of two, one may be dead, and that is told


@dataclass(frozen=True)
class Stamp:
    """One hand-over: samples before `position` were there at `monotonic_s`, and had sounded at `sounded_s`."""

    position: int
    monotonic_s: float
    sounded_s: float


@dataclass(frozen=True)
class Title:
    """What the source says that it plays, from the sample at `position` on; empty where it says nothing any more."""

    position: int
    text: str


class Intake:
    """One connection of a source: everything that crosses from its thread to the worker.

    Parameters
    ----------
    rate_hz, channels : int
        As delivered; they never change within one intake.
    wake : threading.Event
        Set after a write that could wait and brought what the worker waits for, so that it need not poll.
    stop : threading.Event
        Ends the waiting of a writer when the daemon stops.

    Attributes
    ----------
    wanted : int
        Position that completes the next window, as the worker expects; written by the worker only.
    """

    def __init__(
        self,
        rate_hz: int,
        channels: int = 1,
        *,
        wake: threading.Event | None = None,
        stop: threading.Event | None = None,
    ) -> None:
        self.rate_hz = rate_hz
        self.ring = RingBuffer(round(RING_S * rate_hz), channels)
        self.stamps: deque[Stamp] = deque(maxlen=100_000)  # append and popleft are atomic
        self.titles: deque[Title] = deque(maxlen=100)
        self.overflows = 0  # times the driver said it lost input; written by the writer only
        self.interruptions = 0  # times its stream was opened again for another's sake; written by who does that
        self.closed = False
        self.wanted = 0
        self._wake = wake or threading.Event()
        self._stop = stop or threading.Event()

    @property
    def pressing(self) -> bool:
        """Whether the worker should look now: a window is complete, the ring is half full, or no more will come."""
        ring = self.ring
        return self.closed or ring.written >= self.wanted or ring.waiting > ring.capacity // 2

    def overwrite(self, block: Block, sounded_s: float | None = None) -> None:
        """Append `block` [N, channels] without waiting, whatever the reader does. For driver callbacks."""
        self.ring.write(block)
        now_s = time.monotonic()
        self.stamps.append(Stamp(self.ring.written, now_s, now_s if sounded_s is None else sounded_s))

    def write(self, block: Block, sounded_s: float | None = None) -> None:
        """Append `block` [N, channels], waiting while the ring is full: nothing is lost.

        `sounded_s` is the monotonic time at which its last sample had sounded, if it was held back since.
        """
        while len(block) and not self._stop.is_set():
            free = self.ring.free  # once: it grows while the worker reads
            part, block = block[:free], block[free:]
            if len(part):
                self.overwrite(part, sounded_s and sounded_s - len(block) / self.rate_hz)
                if self.pressing:
                    self._wake.set()
            if len(block):
                self._stop.wait(FULL_WAIT_S)

    def announce(self, title: str) -> None:
        """Say what plays from here on."""
        self.titles.append(Title(self.ring.written, title))

    def close(self) -> None:
        """No more will come."""
        self.closed = True
        self._wake.set()
