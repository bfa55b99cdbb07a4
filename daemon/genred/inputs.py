"""Inputs: the devices that PortAudio has now, as a child process tells that lives for one question.

PortAudio sees devices only as they were at its start, may hang on one, and its ALSA layer writes to stderr: so it is
not this process that asks it.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from typing import TypeVar

import msgspec

from .errors import SourceError, SourceLost
from .messages import plain

CHILD = (sys.executable, "-P", "-m", "genred.devices")  # -P: nothing of the current folder is imported
LIST_TIMEOUT_S = 15.0  # every device is asked for every rate
THROUGH = "pulse"  # the input that leads to the audio server, also where the default one does not

T = TypeVar("T")


class Input(msgspec.Struct, frozen=True, kw_only=True):
    """An input device.

    Attributes
    ----------
    index : int
        What ``mic:INDEX`` takes.
    name, host_api : str
        As PortAudio calls it, and what it reaches it through.
    channels : int
        The most it has.
    default_rate_hz : int
        What genred opens it with.
    rates_hz : tuple of int
        Which of the usual rates it takes.
    default : bool
        ``mic:`` means this one.
    """

    index: int
    name: str
    host_api: str
    channels: int
    default_rate_hz: int
    rates_hz: tuple[int, ...]
    default: bool

    def is_meant_by(self, selector: str) -> bool:
        """Whether ``mic:SELECTOR`` can mean it, by PortAudio's rules."""
        if not selector or selector.isdecimal():
            return self.default if not selector else self.index == int(selector)
        return all(word in f"{self.name}, {self.host_api}".lower() for word in selector.lower().split())


class Listing(msgspec.Struct, frozen=True):
    """PortAudio's version, and its inputs."""

    portaudio: str
    inputs: tuple[Input, ...]


def list_inputs(child: Sequence[str] = CHILD, timeout_s: float = LIST_TIMEOUT_S) -> Listing:
    """Inputs as they are now.

    Raises
    ------
    SourceError
        If PortAudio is missing.
    SourceLost
        If it does not answer.
    """
    return ask(child, "PortAudio", Listing, timeout_s)


def ask(command: Sequence[str], what: str, kind: type[T], timeout_s: float, source: str = "") -> T:
    """Let a child answer `command`, about `what`; where that leads to an audio server, about its `source`.

    Raises
    ------
    SourceError, SourceLost
        As the child does; also if it does not answer.
    """
    try:
        child = subprocess.run(
            command,
            env=os.environ | {"PYTHONIOENCODING": "utf-8"} | ({"PULSE_SOURCE": source} if source else {}),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=timeout_s,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise SourceLost(f"{what} has not answered within {timeout_s:g} s") from error
    if child.returncode and child.stdout:
        known = SourceError if child.returncode == SourceError.exit_code else SourceLost
        raise known(plain(child.stdout.decode(errors="replace").rstrip()))
    try:
        return msgspec.json.decode(child.stdout, type=kind)
    except msgspec.DecodeError as error:
        raise SourceLost(f"{what} ended the process that asked it (exit code {child.returncode})") from error
