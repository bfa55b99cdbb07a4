"""Stations: where the bench's daemon hears its MP3 from."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol


class Stations(Protocol):
    """Any number of stations that play in real time, each from another place."""

    kind: str

    def uri(self, number: int) -> str:
        """URI of station `number`."""
        ...


class Files:
    """One MP3, read in real time by each station; all begin with its beginning."""

    kind = "MP3 files read in real time"

    def __init__(self, music: Path) -> None:
        self._music = music

    def uri(self, number: int) -> str:  # noqa: ARG002 - all are the same
        """URI of any station."""
        return f"file:{self._music}?pace=realtime&loop=1"
