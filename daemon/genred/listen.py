"""Listen: the messages of a daemon as JSON lines."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator

import click

from .messages import Message, counted, encode
from .subscriber import FIRST_ANSWER_S, REMEDY, REMEDY_UNREADABLE, TYPES, Subscriber


def listen(
    endpoint: str,
    types: Iterable[str],
    station: str,
    count: int | None,
    key: str = "",
    server_key: str = "",
) -> None:
    """Print what the daemon at `endpoint` says, up to `count` messages, and on stderr what was missed.

    Raises
    ------
    ConfigError
        If `endpoint` is not one, or a key file cannot be used.
    """
    with Subscriber(endpoint, types or TYPES, station, key=key, server_key=server_key) as subscriber:
        told = 0
        for number, message in enumerate(_patiently(subscriber, station), start=1):
            if subscriber.gaps > told:
                click.echo(f"genred: {counted(subscriber.gaps - told, 'message')} missed before this one", err=True)
                told = subscriber.gaps
            sys.stdout.buffer.write(encode(message) + b"\n")
            sys.stdout.flush()
            if number == count:
                return


def _patiently(subscriber: Subscriber, station: str) -> Iterator[Message]:
    """Messages as they come; if at first there is none, say so, and wait on."""
    first = subscriber.receive(FIRST_ANSWER_S)
    if first is None:
        click.echo(f"genred: {_problem(subscriber, station)}", err=True)
    else:
        yield first
    yield from subscriber


def _problem(subscriber: Subscriber, station: str) -> str:
    """Why nothing comes, and what to do."""
    if subscriber.refusal:
        return f"{subscriber.endpoint} {subscriber.refusal}"
    if subscriber.obstacle:
        return f"what comes from {subscriber.endpoint} cannot be read: {subscriber.obstacle}; {REMEDY_UNREADABLE}"
    of_it = f" of a station {station!r}" if station else ""
    return f"nothing{of_it} has come from {subscriber.endpoint} yet; {REMEDY}"
