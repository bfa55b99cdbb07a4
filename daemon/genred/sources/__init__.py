"""Sources: where sound comes from. One file per kind; this one has what they share.

::

    station --calls, in a thread of its own--> source.run(output)
                                               output.begin(rate, channels) -> Intake   one connection, one epoch
    driver callback --> intake.overwrite(block)      may not wait
    reader thread ----> intake.write(block)          waits while the ring is full
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Literal, Protocol

from ..errors import SourceError, SourceLost
from .intake import Intake, Stamp, Title
from .uri import Options, gain, named, split_uri
from .url import shown

Clock = Literal["device", "arrival", "none"]


class Output(Protocol):
    """Where a source delivers to: its station."""

    stop: threading.Event

    def begin(self, rate_hz: int, channels: int = 1) -> Intake:
        """Open an intake for a connection, or for a new format; the one before is closed."""
        ...

    def count_error(self) -> None:
        """Count a piece of input that could not be decoded and was left out."""
        ...


class Source(Protocol):
    """Something that delivers sound.

    Attributes
    ----------
    clock : {"device", "arrival", "none"}
        What its times rest on.
    live : bool
        It cannot wait: a late worker skips to its newest window.
    finite : bool
        It ends by itself.
    """

    clock: Clock
    live: bool
    finite: bool

    def run(self, output: Output) -> None:
        """Deliver until the end.

        Raises
        ------
        SourceLost
            When it is absent, or gone.
        """
        ...


@dataclass(frozen=True)
class Opened:
    """A source as its URI describes it, not yet running; `gain_db` fixes the station's gain."""

    source: Source
    gain_db: float | None


def open_source(uri: str) -> Opened:
    """Make the source that `uri` names.

    Raises
    ------
    SourceError
        If it is badly formed: an unknown scheme or option, a missing file, nothing to decode.
    """
    scheme, target, options = split_uri(uri)
    gain_db = options.take("gain", gain, None)
    source = _make(scheme, target, options)
    options.done()
    return Opened(source, gain_db)


def _make(scheme: str, target: str, options: Options) -> Source:
    """Import each kind only where it is used: a machine without PortAudio can still judge files."""
    if scheme == "mic":
        from .microphone import Microphone

        return Microphone.from_options(target, options)
    if scheme == "file":
        from .file import AudioFile

        return AudioFile.from_options(target, options)
    if scheme in ("http", "https"):
        from .network import Network

        return Network.from_options(target, options)
    if scheme == "demo":
        from .demo import Demo

        if target:
            raise SourceError(f"demo:{target}: there is only one demo station, demo:")
        return Demo()
    from .pipe import Pipe

    return Pipe.from_options(options)


def default_uri() -> tuple[str, str]:
    """URI of the default input, or of the demo station where there is none; and in words which, and why."""
    from .portaudio import default_input

    try:
        name = default_input()
    except (SourceError, SourceLost) as error:
        return "demo:", f"the demo station, because {error}"
    if name is None:
        return "demo:", "the demo station, because there is no microphone"
    return "mic:", f"the default input, {name}"


__all__ = [
    "Clock",
    "Intake",
    "Opened",
    "Output",
    "Source",
    "Stamp",
    "Title",
    "default_uri",
    "named",
    "open_source",
    "shown",
]
