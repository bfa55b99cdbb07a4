"""Sources: where sound comes from. One file per kind; this one has what they share.

::

    station --calls, in a thread of its own--> source.run(output)
                                               output.begin(rate, channels) -> Intake   one connection, one epoch
    driver callback --> intake.overwrite(block)      may not wait
    reader thread ----> intake.write(block)          waits while the ring is full

Grammar: ``mic:[NAME-or-index][?OPTIONS]``, ``file:PATH[?OPTIONS]``, ``demo:[?OPTIONS]``, ``-[?OPTIONS]`` for stdin, or
a bare path, taken literally. Options are ``key=value`` joined by ``&``; every kind takes ``gain=DB``.
"""

from __future__ import annotations

import re
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import PurePath
from typing import Literal, Protocol, TypeVar
from urllib.parse import unquote

from ..errors import SourceError
from ..ring import Block, RingBuffer

Clock = Literal["device", "arrival", "none"]
RING_S = 10.0
FULL_WAIT_S = 0.02

T = TypeVar("T")


@dataclass(frozen=True)
class Stamp:
    """One hand-over: samples before `position` were there at `monotonic_s`."""

    position: int
    monotonic_s: float


class Intake:
    """One connection of a source: everything that crosses from its thread to the worker.

    Parameters
    ----------
    rate_hz, channels : int
        As delivered; they never change within one intake.
    wake : threading.Event
        Set after a write that could wait, so that the worker need not poll for it.
    stop : threading.Event
        Ends the waiting of a writer when the daemon stops.
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
        self.overflows = 0  # times the driver said it lost input; written by the writer only
        self.closed = False
        self._wake = wake or threading.Event()
        self._stop = stop or threading.Event()

    def overwrite(self, block: Block) -> None:
        """Append `block` [N, channels] without waiting, whatever the reader does. For driver callbacks."""
        self.ring.write(block)
        self.stamps.append(Stamp(self.ring.written, time.monotonic()))

    def write(self, block: Block) -> None:
        """Append `block` [N, channels], waiting while the ring is full: nothing is lost."""
        while len(block) and not self._stop.is_set():
            part, block = block[: self.ring.free], block[self.ring.free :]
            if len(part):
                self.overwrite(part)
                self._wake.set()
            if len(block):
                self._stop.wait(FULL_WAIT_S)

    def close(self) -> None:
        """No more will come."""
        self.closed = True
        self._wake.set()


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


class Options:
    """The options of one source URI; each may be taken once, and none may be left."""

    def __init__(self, uri: str, text: str) -> None:
        self._uri = uri
        self._left: dict[str, str] = {}
        for pair in filter(None, text.split("&")):
            key, equals, value = pair.partition("=")
            if not equals or key in self._left:
                raise SourceError(f"{uri}: the option {pair!r} is not one key=value")
            self._left[key] = unquote(value)

    def take(self, key: str, convert: Callable[[str], T], default: T) -> T:
        """Value of `key`, converted; `default` if it is not there."""
        if key not in self._left:
            return default
        value = self._left.pop(key)
        try:
            return convert(value)
        except ValueError as error:
            raise SourceError(f"{self._uri}: {key}={value} is not valid: {error}") from error

    def done(self) -> None:
        """Refuse options that nobody took."""
        if self._left:
            raise SourceError(f"{self._uri}: unknown option {next(iter(self._left))!r}")


def choice(*allowed: str) -> Callable[[str], str]:
    """Make a converter that takes one of `allowed`."""

    def convert(value: str) -> str:
        if value not in allowed:
            raise ValueError(f"must be one of {', '.join(allowed)}")
        return value

    return convert


def flag(value: str) -> bool:
    """Convert ``1`` and ``0``."""
    return choice("0", "1")(value) == "1"


def whole(least: int, most: int) -> Callable[[str], int]:
    """Make a converter that takes an integer from `least` to `most`."""

    def convert(value: str) -> int:
        number = int(value)
        if not least <= number <= most:
            raise ValueError(f"must be from {least} to {most}")
        return number

    return convert


def gain(value: str) -> float:
    """Convert a gain in dB."""
    number = float(value)
    if not -120 <= number <= 120:
        raise ValueError("must be from -120 to 120 dB")
    return number


@dataclass(frozen=True)
class Opened:
    """A source as its URI describes it, not yet running; `gain_db` fixes the station's gain."""

    source: Source
    gain_db: float | None


NAME = re.compile(r"[a-z0-9_-]{1,64}")
SCHEMES = ("mic", "file", "demo")


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
    if scheme == "demo":
        from .demo import Demo

        if target:
            raise SourceError(f"demo:{target}: there is only one demo station, demo:")
        return Demo()
    from .pipe import Pipe

    return Pipe.from_options(options)


def split_uri(uri: str) -> tuple[str, str, Options]:
    """Scheme (``-`` for stdin), target and options of `uri`."""
    if uri == "-" or uri.startswith("-?"):
        return "-", "", Options(uri, uri[2:])
    match = re.match(r"([a-z][a-z0-9+.-]+):(.*)$", uri, re.DOTALL)
    if not match:
        return "file", uri, Options(uri, "")
    scheme, rest = match.groups()
    if scheme not in SCHEMES:
        raise SourceError(
            f"{uri}: unknown scheme {scheme!r}; known are {', '.join(f'{s}:' for s in SCHEMES)} and - for stdin"
            f" (a file of that name is ./{uri})"
        )
    target, _, text = rest.partition("?")
    return scheme, unquote(target), Options(uri, text)


def default_uri() -> tuple[str, str]:
    """URI of the default input, or of the demo station where there is none; and in words which, and why."""
    try:
        from .microphone import default_input
    except SourceError as error:
        return "demo:", f"the demo station, because {error}"
    name = default_input()
    if name is None:
        return "demo:", "the demo station, because there is no microphone"
    return "mic:", f"the default input, {name}"


def named(text: str, taken: Sequence[str]) -> tuple[str, str]:
    """Name and URI of one argument, ``NAME=URI`` or a bare URI, which gets a name that is not `taken`.

    Raises
    ------
    SourceError
        If what stands before ``=`` can be meant as a name only, and is none.
    """
    name, equals, uri = text.partition("=")
    if equals and NAME.fullmatch(name):
        return name, uri
    if equals and re.fullmatch(r"[^/.?:]*", name) and re.match(r"(mic|file|demo):|-(\?|$)", uri):
        raise SourceError(f"{text}: {name!r} is not a station name; use 1 to 64 of a-z, 0-9, _ and -")
    stem = _name_of(text)
    numbered = (f"{stem[:56]}-{number}" for number in count(2))
    return (stem if stem not in taken else next(other for other in numbered if other not in taken)), text


def _name_of(uri: str) -> str:
    """Name a station after its URI."""
    scheme, target, _ = split_uri(uri)
    if scheme == "-":
        return "stdin"
    stem = PurePath(target).stem if scheme == "file" else target
    return re.sub(r"[^a-z0-9_-]+", "-", stem.lower()).strip("-")[:64] or scheme
