"""Ear: a second of an input, and how loud it is."""

from __future__ import annotations

import threading

import msgspec
import numpy as np

from .errors import SourceLost
from .features import decibels
from .ring import Block
from .sources import Intake

HEARD_S = 1.0  # of audio
DELIVERY_S = 5.0  # an input that has not delivered HEARD_S by then is judged by what it did


class Level(msgspec.Struct, frozen=True, kw_only=True):
    """How loud an input is over all channels that genred would hear; full scale is amplitude 1.

    Attributes
    ----------
    digital_silence : bool
        Every sample was zero.
    """

    rate_hz: int
    channels: int
    rms_dbfs: float
    peak_dbfs: float
    digital_silence: bool


class Ear:
    """An Output that ends its source once it has heard enough."""

    def __init__(self) -> None:
        self.stop = threading.Event()
        self._intake: Intake | None = None

    def begin(self, rate_hz: int, channels: int = 1) -> Intake:
        """Keep what comes."""
        self._intake = _FirstSecond(rate_hz, channels, stop=self.stop)
        return self._intake

    def count_error(self) -> None:
        """A device decodes nothing."""

    def level(self) -> Level:
        """Level of what was heard."""
        assert self._intake is not None, "a source that has run has begun"
        block = self._intake.ring.read(self._intake.ring.written).block  # [N, channels]
        if not len(block):
            raise SourceLost(f"it delivers nothing for {DELIVERY_S:g} s")
        peak = float(np.abs(block).max())
        return Level(
            rate_hz=self._intake.rate_hz,
            channels=block.shape[1],
            rms_dbfs=round(decibels(float(np.mean(np.square(block, dtype=np.float64)))), 1),
            peak_dbfs=round(decibels(peak * peak), 1),
            digital_silence=peak == 0.0,
        )


class _FirstSecond(Intake):
    """Sets `stop` when HEARD_S are there."""

    def overwrite(self, block: Block, sounded_s: float | None = None) -> None:  # noqa: ARG002 - the Intake's
        super().overwrite(block)
        if self.ring.written >= HEARD_S * self.rate_hz:
            self._stop.set()


def hear(selector: str) -> Level:
    """Level of what ``mic:SELECTOR`` delivers now, by the way that the daemon takes.

    Raises
    ------
    SourceError
        If PortAudio is missing.
    SourceLost
        If the input cannot be opened or delivers nothing.
    """
    from .sources.microphone import Microphone

    ear = Ear()
    threading.Timer(DELIVERY_S, ear.stop.set).start()
    Microphone(selector).run(ear)
    return ear.level()
