"""Crossing: what goes between the process that publishes and those that listen, and how.

::

    shards --Prepare, Go, End--> shard
    shards <--Answer, Sent, Forgotten, Alive, Failed, LogRecord-- shard

Both ends are the same program, one the other's parent: so it is pickled, and nobody else can write there.
"""

from __future__ import annotations

from dataclasses import dataclass
from logging import LogRecord
from multiprocessing.connection import Connection
from typing import Any, TypeAlias

from .config import Config
from .messages import Message


@dataclass(frozen=True)
class Prepare:
    """Make what `config` asks for, and change nothing yet."""

    config: Config


@dataclass(frozen=True)
class Go:
    """Go by what was prepared."""


@dataclass(frozen=True)
class End:
    """Let the sources go, say the last words, and end."""


@dataclass(frozen=True)
class Answer:
    """An order has been carried out, or `refusal` says why it cannot be."""

    refusal: str = ""


@dataclass(frozen=True)
class Sent:
    """A message for the publisher; see its `send`."""

    message: Message
    handed_over_s: float | None
    heard_s: float | None


@dataclass(frozen=True)
class Forgotten:
    """A station that has left; see the publisher's `forget`."""

    station: str


@dataclass(frozen=True)
class Failed:
    """A fault of genred has ended the process; `trace` says where."""

    trace: str


@dataclass(frozen=True)
class Alive:
    """When the worker last finished a round; all processes of a machine have one monotonic clock."""

    alive_s: float


Order = Prepare | Go | End
Item = Answer | Sent | Forgotten | Alive | Failed | LogRecord
Pipe: TypeAlias = "Connection[Any, Any]"  # of an Order; of a list of Item
