"""Listen: the messages of a daemon as JSON lines."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator

import click

from .messages import Message, counted, encode
from .subscriber import FIRST_ANSWER_S, REMEDY, REMEDY_UNREADABLE, TYPES, Subscriber


def listen(endpoint: str, types: Iterable[str], station: str, count: int | None) -> None:
    """Print what the daemon at `endpoint` says, up to `count` messages, and on stderr what was missed.

    Raises
    ------
    ConfigError
        If `endpoint` is not one.
    """
    with Subscriber(endpoint, types or TYPES, station) as subscriber:
        told = 0
        for number, message in enumerate(_patiently(subscriber, endpoint, station), start=1):
            if subscriber.gaps > told:
                click.echo(f"genred: {counted(subscriber.gaps - told, 'message')} missed before this one", err=True)
                told = subscriber.gaps
            sys.stdout.buffer.write(encode(message) + b"\n")
            sys.stdout.flush()
            if number == count:
                return


def _patiently(subscriber: Subscriber, endpoint: str, station: str) -> Iterator[Message]:
    """Messages as they come; if at first there is none, say so, and wait on."""
    first = subscriber.receive(FIRST_ANSWER_S)
    if first is None:
        of_it = f" of a station {station!r}" if station else ""
        problem = f"nothing{of_it} has come from {endpoint} yet; {REMEDY}"
        if subscriber.obstacle:
            problem = f"what comes from {endpoint} cannot be read: {subscriber.obstacle}; {REMEDY_UNREADABLE}"
        click.echo(f"genred: {problem}", err=True)
    else:
        yield first
    yield from subscriber
