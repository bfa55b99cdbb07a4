"""Microphone and line-in, through PortAudio.

Three activities meet here. **The driver's callback** runs in PortAudio's thread and may not block: it copies the block
into the ring of each station, counts overflows and returns. **Each station's thread** opens the stream it shares with
the others on that device, watches that blocks keep coming, and asks the audio server where they come from; it may wait.
**The worker** reads the rings.

No lock is needed between callback and stations: the callback takes the tuple of listeners once, and adding or removing
one replaces the tuple.
"""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from ..audio_server import ask_server
from ..errors import SourceLost
from ..inputs import THROUGH
from . import Clock, Intake, Output
from .portaudio import MOST_CHANNELS, START_S, Stream, Wanted, portaudio
from .uri import Options

WATCH_S = 0.25
GONE_S = 10.0  # without a block for so long the device is lost


@dataclass(frozen=True)
class _Listener:
    intake: Intake
    columns: slice | list[int]


class _Device:
    """One input device and the one stream that all its stations share."""

    def __init__(self, selector: str) -> None:
        self.selector = selector
        self.channels_wanted = 0
        self.last_block_s = 0.0
        self._name = ""  # of what an index has meant; it may come to mean another input
        self._served = False  # the audio server had a source of this name once, so it is no other's
        self._listeners: tuple[_Listener, ...] = ()
        self._stream: Stream | None = None
        self._guard = threading.Lock()  # between station threads that open and close

    def attach(self, output: Output, channels: tuple[int, ...]) -> _Listener:
        """Open the stream if nobody has yet; let `output` hear `channels`.

        Raises
        ------
        SourceLost
            If there is no such device now, or it cannot be opened.
        """
        with self._guard:
            try:
                if self._stream is None:
                    self.last_block_s = time.monotonic()
                    wanted = Wanted(self.selector, self._server_source(), self.channels_wanted, self._name)
                    self._stream = portaudio.open(wanted, self._callback, self._count_interruption)
                    self._name = self._stream.name if self.selector.isdecimal() else ""
                return self._listen(self._stream, output, channels)
            finally:
                self._close_unheard()

    def detach(self, listener: _Listener) -> None:
        """Stop delivering to `listener`; close the stream after the last."""
        with self._guard:
            self._listeners = tuple(other for other in self._listeners if other is not listener)
            self._close_unheard()

    def check(self) -> None:
        """See that the stream is where it was.

        Raises
        ------
        SourceLost
            If it is not.
        """
        stream = self._stream
        if stream is not None:
            stream.check(time.monotonic())
            if stream.gone:
                raise SourceLost(stream.gone)

    def _server_source(self) -> str:
        """Name of the source of the audio server that is meant; empty if it is an input of PortAudio's.

        Raises
        ------
        SourceLost
            If the server had that source, and does not have it now.
        """
        if not self.selector or self.selector.isdecimal() or self.selector == THROUGH:
            return ""
        try:
            found = self.selector in [source.name for source in ask_server().sources]
        except SourceLost:
            if self._served:
                raise
            return ""
        if self._served and not found:
            raise SourceLost(f"the audio server has no source {self.selector}")
        self._served = found
        return self.selector if found else ""

    def _listen(self, stream: Stream, output: Output, channels: tuple[int, ...]) -> _Listener:
        if stream.gone:
            raise SourceLost(stream.gone)
        opened = stream.channels
        if channels and max(channels) > opened:
            raise SourceLost(f"{self} has {opened} channels; there is no channel {max(channels)}")
        columns = [c - 1 for c in channels] if channels else slice(0, min(opened, MOST_CHANNELS))
        width = len(channels) or min(opened, MOST_CHANNELS)
        listener = _Listener(output.begin(stream.rate_hz, width), columns)
        self._listeners = (*self._listeners, listener)
        return listener

    def _close_unheard(self) -> None:
        if not self._listeners and self._stream is not None:
            stream, self._stream = self._stream, None
            portaudio.close(stream)

    def __str__(self) -> str:
        return f"the input {self.selector!r}" if self.selector else "the default input"

    def _callback(self, indata: Any, _frames: int, _time: Any, status: Any) -> None:
        stream = self._stream
        if stream is not None and stream.gone:
            return  # what comes now is of another source
        for listener in self._listeners:
            listener.intake.overwrite(indata[:, listener.columns])
            listener.intake.overflows += bool(status.input_overflow)
        self.last_block_s = time.monotonic()

    def _count_interruption(self) -> None:
        """Count at every station what a new start of PortAudio for another device has cost."""
        for listener in self._listeners:
            listener.intake.interruptions += 1


_devices: dict[str, _Device] = {}


class Microphone:
    """``mic:``, ``mic:NAME-or-index?channels=3,4``: some channels of an input, mixed to one.

    Parameters
    ----------
    selector : str
        Name of a source of the audio server; or part of the name of an input of PortAudio's, or its index; empty for
        the default input.
    channels : tuple of int
        From 1; empty for the first two.
    """

    clock: Clock = "device"
    live = True
    finite = False

    def __init__(self, selector: str = "", channels: tuple[int, ...] = ()) -> None:
        self._channels = channels
        self._device = _devices.setdefault(selector, _Device(selector))
        self._device.channels_wanted = max(self._device.channels_wanted, *channels, 0)

    @classmethod
    def from_options(cls, target: str, options: Options) -> Microphone:
        """Make the source that a URI names; refuse it where PortAudio is missing."""
        with suppress(SourceLost):  # its station will tell
            portaudio.library(START_S)
        return cls(target, options.take("channels", _channels, ()))

    def run(self, output: Output) -> None:
        """Deliver until the device is gone."""
        listener = self._device.attach(output, self._channels)
        try:
            self._watch(output)
        finally:
            self._device.detach(listener)

    def _watch(self, output: Output) -> None:
        """Wait while blocks come. Only time that this thread was awake counts: the whole process may be stopped."""
        missing_s, seen_s = 0.0, self._device.last_block_s
        while not output.stop.wait(WATCH_S):
            self._device.check()
            missing_s = missing_s + WATCH_S if self._device.last_block_s == seen_s else 0.0
            seen_s = self._device.last_block_s
            if missing_s > GONE_S:
                raise SourceLost(f"{self._device} has delivered nothing for {GONE_S:.0f} s")


def _channels(text: str) -> tuple[int, ...]:
    channels = tuple(int(part) for part in text.split(","))
    if min(channels) < 1 or max(channels) > 256 or len(set(channels)) < len(channels):
        raise ValueError("must be different channel numbers from 1, as in 3,4")
    return channels
