"""Microphone and line-in, through PortAudio.

Three activities meet here. **The driver's callback** runs in PortAudio's thread and may not block: it copies the block
into the ring of each station, counts overflows and returns. **Each station's thread** opens the stream it shares with
the others on that device and watches that blocks keep coming; it may wait. **The worker** reads the rings.

No lock is needed between callback and stations: the callback takes the tuple of listeners once, and adding or removing
one replaces the tuple.

PortAudio hangs for as long as an audio server does, from its start on, which is the import of sounddevice. So it is
started in a thread that nobody has to wait for; only a station's own thread waits to the end.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from ..errors import SourceError, SourceLost
from . import Clock, Intake, Output
from .uri import Options

BLOCK = 1024  # samples; smaller ones only cost wake-ups
MOST_CHANNELS = 2  # opened where no channels are asked for
WATCH_S = 0.25
START_S = 2.0  # PortAudio usually starts in a tenth of it
GONE_S = 10.0  # without a block for so long the device is lost
USUAL_RATES_HZ = (8000, 16000, 22050, 32000, 44100, 48000, 88200, 96000, 192000)


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
        self._listeners: tuple[_Listener, ...] = ()
        self._stream: Any = None
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
                with _portaudio.fresh() as sd:
                    self._stream = self._stream or self._open(sd)
                return self._listen(output, channels)
            finally:
                self._close_unheard()

    def detach(self, listener: _Listener) -> None:
        """Stop delivering to `listener`; close the stream after the last."""
        with self._guard:
            self._listeners = tuple(other for other in self._listeners if other is not listener)
            self._close_unheard()

    def _listen(self, output: Output, channels: tuple[int, ...]) -> _Listener:
        opened = self._stream.channels
        if channels and max(channels) > opened:
            raise SourceLost(f"{self} has {opened} channels; there is no channel {max(channels)}")
        columns = [c - 1 for c in channels] if channels else slice(0, min(opened, MOST_CHANNELS))
        width = len(channels) or min(opened, MOST_CHANNELS)
        listener = _Listener(output.begin(round(self._stream.samplerate), width), columns)
        self._listeners = (*self._listeners, listener)
        return listener

    def _close_unheard(self) -> None:
        if not self._listeners and self._stream is not None:
            stream, self._stream = self._stream, None
            _portaudio.close(stream)

    def __str__(self) -> str:
        return f"the input {self.selector!r}" if self.selector else "the default input"

    def _open(self, sd: Any) -> Any:
        try:
            selector: str | int | None = int(self.selector) if self.selector.isdecimal() else self.selector or None
            info = sd.query_devices(selector, "input")
            channels = min(info["max_input_channels"], max(self.channels_wanted, MOST_CHANNELS))
            stream = sd.InputStream(
                device=info["index"],
                channels=channels,
                samplerate=info["default_samplerate"],
                blocksize=BLOCK,
                dtype="float32",
                callback=self._callback,
            )
            self.last_block_s = time.monotonic()
            _portaudio.start(stream)
        except (sd.PortAudioError, ValueError, OverflowError) as error:  # the last for an index beyond C's integers
            raise SourceLost(f"{self} is not there or cannot be opened: {str(error).splitlines()[0]}") from error
        return stream

    def _callback(self, indata: Any, _frames: int, _time: Any, status: Any) -> None:
        for listener in self._listeners:
            listener.intake.overwrite(indata[:, listener.columns])
            listener.intake.overflows += bool(status.input_overflow)
        self.last_block_s = time.monotonic()


class _PortAudio:
    """The library sees devices only as they were at its start, so it is started anew while no stream is open."""

    def __init__(self) -> None:
        self.opened = 0
        self._guard = threading.Lock()
        self._start_guard = threading.Lock()
        self._starting: Future[Any] | None = None

    def library(self, patience_s: float | None = None) -> Any:
        """Start sounddevice if need be, and return it.

        Raises
        ------
        SourceError
            If PortAudio is missing.
        SourceLost
            If it cannot be started now, or not within `patience_s`; without it, this waits for ever.
        """
        try:
            return self._start().result(patience_s)
        except TimeoutError as error:
            raise SourceLost(
                f"PortAudio has not started within {patience_s:g} s; does the audio server hang?"
            ) from error
        except OSError as error:
            raise SourceError("PortAudio is missing; install libportaudio2 (apt install libportaudio2)") from error
        except Exception as error:  # its own class of errors has not been imported then
            raise SourceLost(_no_start(error)) from error

    def _start(self) -> Future[Any]:
        with self._start_guard:
            if self._starting is None or (self._starting.done() and self._starting.exception()):
                self._starting = Future()
                threading.Thread(target=_import, args=(self._starting,), name="portaudio", daemon=True).start()
            return self._starting

    @contextmanager
    def fresh(self) -> Iterator[Any]:
        """Have sounddevice for oneself, with the devices that there are now, if that can be.

        Raises
        ------
        SourceError, SourceLost
            As `library` does.
        """
        with self._guard:
            sd = self.library()
            if self.opened == 0:
                _restart(sd)
            yield sd

    def start(self, stream: Any) -> None:
        """Start `stream`, which is `fresh`; what does not start is closed again."""
        try:
            stream.start()
        except Exception:
            stream.close(ignore_errors=True)
            raise
        self.opened += 1

    def close(self, stream: Any) -> None:
        """Close `stream`, which has been started."""
        with self._guard:
            self.opened -= 1
            stream.close(ignore_errors=True)


def _import(started: Future[Any]) -> None:
    try:
        import sounddevice
    except BaseException as error:
        started.set_exception(error)
    else:
        started.set_result(sounddevice)


def _restart(sd: Any) -> None:
    with suppress(sd.PortAudioError):  # it is not running where its last start failed
        sd._terminate()
    try:
        sd._initialize()
    except sd.PortAudioError as error:
        raise SourceLost(_no_start(error)) from error


def _no_start(error: Exception) -> str:
    return f"PortAudio cannot be started; look at ALSA's configuration (~/.asoundrc): {str(error).splitlines()[0]}"


_portaudio = _PortAudio()
_devices: dict[str, _Device] = {}


class Microphone:
    """``mic:``, ``mic:NAME-or-index?channels=3,4``: some channels of an input device, mixed to one.

    Parameters
    ----------
    selector : str
        Part of the device's name, or its index; empty for the default input.
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
            _portaudio.library(START_S)
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
            missing_s = missing_s + WATCH_S if self._device.last_block_s == seen_s else 0.0
            seen_s = self._device.last_block_s
            if missing_s > GONE_S:
                raise SourceLost(f"{self._device} has delivered nothing for {GONE_S:.0f} s")


def _channels(text: str) -> tuple[int, ...]:
    channels = tuple(int(part) for part in text.split(","))
    if min(channels) < 1 or max(channels) > 256 or len(set(channels)) < len(channels):
        raise ValueError("must be different channel numbers from 1, as in 3,4")
    return channels


def default_input() -> str | None:
    """Name of the default input device; None if there is none.

    Raises
    ------
    SourceError, SourceLost
        If PortAudio is missing; if it cannot be started in a short time.
    """
    sd = _portaudio.library(START_S)
    try:
        return str(sd.query_devices(kind="input")["name"])
    except (sd.PortAudioError, ValueError):
        return None


def inputs() -> list[dict[str, Any]]:
    """Every input device that the library saw at its start, as JSON can say it: see devices.Input."""
    sd = _portaudio.library()
    chosen = None if default_input() is None else sd.query_devices(kind="input")["index"]
    return [
        {
            "index": info["index"],
            "name": info["name"],
            "host_api": sd.query_hostapis(info["hostapi"])["name"],
            "channels": info["max_input_channels"],
            "default_rate_hz": round(info["default_samplerate"]),
            "rates_hz": [rate_hz for rate_hz in USUAL_RATES_HZ if _takes(sd, info, rate_hz)],
            "default": info["index"] == chosen,
        }
        for info in sd.query_devices()
        if info["max_input_channels"] > 0
    ]


def _takes(sd: Any, info: dict[str, Any], rate_hz: int) -> bool:
    channels = min(info["max_input_channels"], MOST_CHANNELS)
    try:
        sd.check_input_settings(info["index"], channels, "float32", samplerate=rate_hz)
    except (sd.PortAudioError, ValueError):
        return False
    return True


def portaudio_version() -> str:
    """Version of the library, in its own words."""
    return str(_portaudio.library().get_portaudio_version()[1])
