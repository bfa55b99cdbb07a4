"""Delivery: from decoded pieces to the intakes of a network station, with titles, and at the pace of HLS."""

from __future__ import annotations

import time

from ..errors import SourceLost
from . import Intake, Output
from .frames import Piece
from .hls import LOOK_S, Hls

RATES_HZ = (1000, 768_000)
LUMP_S = 0.2  # so much may be handed over before its time: waiting for each piece of 23 ms would cost more


class Delivery:
    """Hands over what has been decoded; a new sample rate begins a new intake."""

    def __init__(self, output: Output) -> None:
        self.stop = output.stop
        self._output = output
        self._intake: Intake | None = None
        self._hls: Hls | None = None
        self._title = ""
        self._position_s = 0.0

    @property
    def begun(self) -> bool:
        """Whether there was any audio."""
        return self._intake is not None

    @property
    def rest_s(self) -> float:
        """How long nothing may come without a fault."""
        return 0.0 if self._hls is None else self._hls.rest_s

    def position(self) -> float:
        """Seconds of audio that have been handed over."""
        return self._position_s

    def follow(self, hls: Hls) -> None:
        """Hand over at the pace of `hls` from now on."""
        self._hls = hls

    def title(self, text: str) -> None:
        """Take a title; it counts from the next sample on."""
        if text == self._title:
            return
        self._title = text
        if self._intake is not None:
            self._intake.announce(text)

    def hand_over(self, piece: Piece) -> None:
        """Deliver `piece`; wait while the ring is full.

        Raises
        ------
        SourceLost
            If it has a rate that no audio has.
        """
        if self._intake is None or piece.rate_hz != self._intake.rate_hz:
            if not RATES_HZ[0] <= piece.rate_hz <= RATES_HZ[1]:
                raise SourceLost(f"a sample rate of {piece.rate_hz} Hz is none that audio has")
            self._intake = self._output.begin(piece.rate_hz, piece.width)
            if self._title:  # else it may only not have come yet
                self._intake.announce(self._title)
        self._position_s += len(piece.kept) / piece.rate_hz
        self._intake.write(piece.of_width(self._intake.ring.channels), self._paced())

    def _paced(self) -> float | None:
        """Wait until it is time for what ends at the position; say when that sounded, if it is held back."""
        if self._hls is None:
            return None
        pace = self._hls.pace
        if pace.due_s(self._position_s) - time.monotonic() > LUMP_S:
            while (left_s := pace.due_s(self._position_s) - time.monotonic()) > 0 and not self.stop.is_set():
                self._hls.tend()
                self.stop.wait(min(left_s, LOOK_S))
        return pace.sounded_s(self._position_s)
