"""Audio server: what PulseAudio or PipeWire has to record, and what our streams record, as ``pactl`` tells it.

When the source under a stream goes away, the server moves the stream to another one and tells nobody. So a stream is
marked when it is opened, and the server is asked now and then where it is.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from typing import TypeVar

import msgspec

from .errors import SourceLost
from .messages import plain

PACTL = ("pactl", "--format=json")
TIMEOUT_S = 5.0
MARK = "genred.stream"

T = TypeVar("T")


class ServerSource(msgspec.Struct, frozen=True, kw_only=True):
    """A source of the audio server.

    Attributes
    ----------
    name : str
        What ``mic:NAME`` and PULSE_SOURCE take.
    description : str
        For people; may be empty.
    format : str
        Sample format, channels and rate, as in ``s16le 2ch 44100Hz``.
    monitor : bool
        It hears what a sink plays.
    default : bool
    """

    name: str
    description: str
    format: str
    monitor: bool
    default: bool


class AudioServer(msgspec.Struct, frozen=True):
    """PulseAudio or PipeWire in its own words, and its sources, the default one first."""

    name: str
    sources: tuple[ServerSource, ...]


class _Info(msgspec.Struct):
    """The part of ``pactl info`` that says nothing of the user."""

    server_name: str
    server_version: str = ""
    default_source_name: str = ""


class _Properties(msgspec.Struct):
    mark: str = msgspec.field(name=MARK, default="")


class _Stream(msgspec.Struct):
    source: int
    properties: _Properties = msgspec.field(default_factory=_Properties)


class _Source(msgspec.Struct):
    name: str
    index: int = -1
    description: str | None = ""
    sample_specification: str = ""


def ask_server(pactl: Sequence[str] = PACTL, timeout_s: float = TIMEOUT_S) -> AudioServer:
    """Ask the audio server for its sources.

    Raises
    ------
    SourceLost
        If it does not answer, or there is no ``pactl`` to ask with.
    """
    info = _ask([*pactl, "info"], _Info, timeout_s)
    found = _ask([*pactl, "list", "sources"], list[_Source], timeout_s)
    sources = [_server_source(source, info.default_source_name) for source in found]
    sources.sort(key=lambda source: not source.default)
    return AudioServer(plain(f"{info.server_name} {info.server_version}".rstrip()), tuple(sources))


def marked(mark: str) -> dict[str, str]:
    """Environment in which a stream has to be opened to be found by `mark`; what the user set there is kept."""
    return {"PULSE_PROP": f"{os.environ.get('PULSE_PROP', '')} {MARK}={mark}".strip()}


def place(mark: str, pactl: Sequence[str] = PACTL, timeout_s: float = TIMEOUT_S) -> int | None:
    """Number of the source that the stream with this mark is on; None if the server has no such stream.

    Raises
    ------
    SourceLost
        As `ask_server` does.
    """
    streams = _ask([*pactl, "list", "source-outputs"], list[_Stream], timeout_s)
    return next((stream.source for stream in streams if stream.properties.mark == mark), None)


def name_at(place: int, pactl: Sequence[str] = PACTL, timeout_s: float = TIMEOUT_S) -> str:
    """Name of the source with this number; empty if there is none any more.

    Raises
    ------
    SourceLost
        As `ask_server` does.
    """
    found = _ask([*pactl, "list", "sources"], list[_Source], timeout_s)
    return next((plain(source.name) for source in found if source.index == place), "")


def _server_source(source: _Source, default: str) -> ServerSource:
    description = source.description or ""
    return ServerSource(
        name=plain(source.name),
        description="" if description == "(null)" else plain(description),  # so pactl 16 says what is not ASCII
        format=plain(source.sample_specification),
        monitor=source.name.endswith(".monitor"),
        default=source.name == default,
    )


def _ask(command: Sequence[str], kind: type[T], timeout_s: float) -> T:
    try:
        answer = subprocess.run(
            command,
            env=os.environ | {"LC_ALL": "C.UTF-8"},  # elsewhere pactl 16 writes decimal commas into its JSON
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=timeout_s,
            check=False,
        )
    except OSError as error:
        raise SourceLost(f"{command[0]} cannot be run; install pulseaudio-utils") from error
    except subprocess.TimeoutExpired as error:
        raise SourceLost(f"the audio server has not answered within {timeout_s:g} s; start it again") from error
    if answer.returncode:
        raise SourceLost("neither PulseAudio nor PipeWire answers; start one, unless a sound card is used directly")
    try:
        return msgspec.json.decode(answer.stdout, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise SourceLost(f"the answer of {command[0]} cannot be read; genred needs pactl 16 or newer") from error
