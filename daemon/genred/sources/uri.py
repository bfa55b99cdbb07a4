"""How a source is named on the command line and in the configuration.

``mic:[NAME-or-index][?OPTIONS]``, ``file:PATH[?OPTIONS]``, ``demo:[?OPTIONS]``, ``-[?OPTIONS]`` for stdin,
``http://...[#OPTIONS]`` and ``https://...[#OPTIONS]``, whose ``?`` belongs to the server, or a bare path, taken
literally. Options are ``key=value`` joined by ``&``; every kind takes ``gain=DB``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from itertools import count
from pathlib import PurePath
from typing import TypeVar
from urllib.parse import unquote

from ..errors import SourceError
from .url import shown

T = TypeVar("T")

NAME = re.compile(r"[a-z0-9_-]{1,64}")
SCHEMES = ("mic", "file", "http", "https", "demo")
WEB = re.compile(r"https?:", re.IGNORECASE)


class Options:
    """The options of one source URI; each may be taken once, and none may be left."""

    def __init__(self, uri: str, text: str) -> None:
        self._uri = uri = shown(uri)
        self._left: dict[str, str] = {}
        for pair in filter(None, text.split("&")):
            key, equals, value = pair.partition("=")
            if not equals:
                raise SourceError(f"{uri}: the option {pair!r} is not one key=value")
            if key in self._left:
                raise SourceError(f"{uri}: the option {key!r} is there twice")
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


def split_uri(uri: str) -> tuple[str, str, Options]:
    """Scheme (``-`` for stdin), target and options of `uri`."""
    if uri == "-" or uri.startswith("-?"):
        return "-", "", Options(uri, uri[2:])
    if web := WEB.match(uri):
        target, _, text = uri.partition("#")
        return web[0][:-1].lower(), target, Options(target, text)
    match = re.match(r"([a-z][a-z0-9+.-]+):(.*)$", uri, re.DOTALL)
    if not match:
        return "file", uri, Options(uri, "")
    scheme, rest = match.groups()
    if scheme not in SCHEMES:
        raise SourceError(
            f"{shown(uri)}: unknown scheme {scheme!r}; known are {', '.join(f'{s}:' for s in SCHEMES)} and - for stdin"
            f" (a file of that name is ./{shown(uri)})"
        )
    target, _, text = rest.partition("?")
    return scheme, unquote(target), Options(uri, text)


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
    if equals and re.fullmatch(r"[^/.?:]*", name) and re.match(r"(mic|file|demo|https?):|-(\?|$)", uri):
        raise SourceError(f"{name}={shown(uri)}: {name!r} is not a station name; use 1 to 64 of a-z, 0-9, _ and -")
    stem = _name_of(text)
    numbered = (f"{stem[:56]}-{number}" for number in count(2))
    return (stem if stem not in taken else next(other for other in numbered if other not in taken)), text


def _name_of(uri: str) -> str:
    """Name a station after its URI."""
    scheme, target, _ = split_uri(uri)
    if scheme == "-":
        return "stdin"
    stem = PurePath(target).stem if scheme == "file" else target
    if scheme in ("http", "https"):
        host, _, path = target.partition("://")[2].partition("?")[0].partition("/")
        stem = PurePath(path).stem or host.rpartition("@")[2]
    return re.sub(r"[^a-z0-9_-]+", "-", stem.lower()).strip("-")[:64] or scheme
