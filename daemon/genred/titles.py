"""Titles: what a station says that it plays, told when its audio is heard."""

from __future__ import annotations

import math

from .messages import plain
from .sources import Intake

PAUSE_S = 1.0  # they are told no faster; of several, the newest


class Titles:
    """The titles of one station, over all its connections."""

    def __init__(self) -> None:
        self._heard = self._told = ""
        self._told_s = -math.inf

    def hear(self, intake: Intake) -> None:
        """Take those whose first sample has been read from the ring."""
        while intake.titles and intake.titles[0].position <= intake.ring.read_position:
            self._heard = plain(intake.titles.popleft().text)

    def new(self, now_s: float) -> str | None:
        """Title to be told now, if it is another one than before; a stream that comes back may play the same."""
        if self._heard == self._told or now_s - self._told_s < PAUSE_S:
            return None
        self._told, self._told_s = self._heard, now_s
        return self._told
