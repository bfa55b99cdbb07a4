"""Devices: which inputs there are, and how loud they are.

PortAudio sees devices only as they were at its start, may hang on one, and its ALSA layer writes to stderr. So it is
asked in a child process that lives for one question: ``python -m genred.devices`` lists the inputs as JSON, and
``python -m genred.devices INPUT`` hears what ``mic:INPUT`` delivers.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from typing import Any

import click
import msgspec

from .audio_server import AudioServer, ServerSource, ask_server
from .ear import Level, hear
from .errors import GenredError, SourceLost
from .inputs import CHILD, THROUGH, Input, Listing, ask, list_inputs
from .messages import counted, plain

LISTEN_TIMEOUT_S = 10.0


def listen(
    selector: str, source: str = "", *, child: Sequence[str] = CHILD, timeout_s: float = LISTEN_TIMEOUT_S
) -> Level:
    """Let the child `hear` ``mic:SELECTOR``; where that leads to an audio server, its `source`.

    Raises
    ------
    SourceError, SourceLost
        As `hear` does; also if the child does not answer.
    """
    return ask([*child, selector], f"the input {selector!r}", Level, timeout_s, source)


def tell(*, as_json: bool) -> None:
    """Print the inputs, and the sources of the audio server or why there is none."""
    listing = list_inputs()
    try:
        server: AudioServer | str = ask_server()
    except SourceLost as error:
        server = str(error)
    if as_json:
        click.echo(as_record(listing, server))
        return
    for line in as_lines(listing, server):
        click.echo(line.encode(sys.stdout.encoding, "replace"))


def as_record(listing: Listing, server: AudioServer | str) -> bytes:
    """Both as JSON; `server` may be the reason why there is none."""
    key = "no_server" if isinstance(server, str) else "server"
    record = {"portaudio": listing.portaudio, "inputs": listing.inputs, key: server}
    return msgspec.json.format(msgspec.json.encode(record), indent=2)


def as_lines(listing: Listing, server: AudioServer | str) -> Iterator[str]:
    """Both for people."""
    yield f"{'Inputs' if listing.inputs else 'No inputs'}, by {listing.portaudio}"
    yield from _columns([_input_row(one) for one in listing.inputs])
    yield ""
    if isinstance(server, str):
        yield f"No sources of an audio server: {server}"
        return
    yield f"{'Sources' if server.sources else 'No sources'} of {server.name}"
    yield from _columns([_source_row(source) for source in server.sources])
    if server.sources:
        name = server.sources[-1].name
        named = any(one.name == THROUGH for one in listing.inputs)
        yield f"To hear one of them: {f'genred run mic:{name}' if named else f'PULSE_SOURCE={name} genred run mic:'}"


def _input_row(one: Input) -> list[str]:
    rates = " ".join(map(str, one.rates_hz or (one.default_rate_hz,)))
    channels = counted(one.channels, "channel")
    return ["*" if one.default else "", f"mic:{one.index}", one.name, one.host_api, channels, f"{rates} Hz"]


def _source_row(source: ServerSource) -> list[str]:
    kind = "monitor" if source.monitor else "input"
    return ["*" if source.default else "", source.name, kind, source.format, source.description]


def _columns(rows: list[list[str]]) -> Iterator[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()


def _list() -> dict[str, Any]:
    from .sources.portaudio import inputs, portaudio_version

    found = [one | {"name": plain(one["name"]), "host_api": plain(one["host_api"])} for one in inputs()]
    return {"portaudio": plain(portaudio_version()), "inputs": found}


def _answer(selectors: list[str]) -> int:
    """Print the answer to one question, or why there is none."""
    try:
        print(msgspec.json.encode(hear(selectors[0]) if selectors else _list()).decode())
    except GenredError as error:
        print(error)
        return error.exit_code
    return 0


if __name__ == "__main__":
    code = _answer(sys.argv[1:])
    sys.stdout.flush()
    os._exit(code)  # PortAudio may hang at its end
