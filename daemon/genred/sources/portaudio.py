"""PortAudio: its start, the streams that are open in it, and its start anew.

The library sees devices only as they were at its start, and a new start ends every stream. So it is started anew freely
while no stream is open, and under the streams of others only for an input that a child process sees and the library
does not: they are closed, opened again, and each counts the interruption.

PortAudio hangs for as long as an audio server does, from its start on, which is the import of sounddevice. So it is
started in a thread that nobody has to wait for; only a station's own thread waits to the end. It is not made for
threads: all that opens and closes is done under one lock.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from itertools import count
from typing import Any

from .. import audio_server
from ..errors import SourceError, SourceLost
from ..inputs import THROUGH, Listing, list_inputs
from ..messages import plain

BLOCK = 2048  # samples; smaller ones only cost wake-ups
MOST_CHANNELS = 2  # opened where no channels are asked for
START_S = 2.0  # PortAudio usually starts in a tenth of it
CHECK_S = 1.0  # between two questions to the audio server where a stream is
ANSWER_S = 1.0  # for its answer; a server that hangs delivers nothing either, and that is found without it
USUAL_RATES_HZ = (8000, 16000, 22050, 32000, 44100, 48000, 88200, 96000, 192000)

_numbers = count(1)


@dataclass(frozen=True)
class Wanted:
    """An input to open.

    Attributes
    ----------
    selector : str
        Part of its name as PortAudio says it, or its index; empty for the default one.
    source : str
        Name of a source of the audio server, if it is one: then the way there is PortAudio's input THROUGH.
    channels : int
        At least, if it has so many.
    name : str
        What it was called before; one that is called otherwise is another one. Empty if that is all the same.
    """

    selector: str
    source: str = ""
    channels: int = 0
    name: str = ""

    @property
    def input(self) -> str:
        """The selector of PortAudio's input that leads there."""
        return THROUGH if self.source else self.selector

    @property
    def key(self) -> str | int | None:
        """What PortAudio is asked for."""
        return int(self.input) if self.input.isdecimal() else self.input or None

    def __str__(self) -> str:
        if self.source:
            return f"the source {self.source} of the audio server"
        return f"the input {self.selector!r}" if self.selector else "the default input"


class Stream:
    """An open stream. It stays the same through a new start of the library, if the input is still as it was.

    Parameters
    ----------
    wanted : Wanted
    hear : callable
        PortAudio's callback.
    interrupted : callable
        Called after a new start of the library for another stream.

    Attributes
    ----------
    name : str
        Of PortAudio's input.
    rate_hz, channels : int
    gone : str
        Why it is of no use any more; empty while it is.
    """

    def __init__(self, wanted: Wanted, hear: Callable[..., None], interrupted: Callable[[], None]) -> None:
        self.rate_hz = self.channels = 0
        self.name = self.gone = ""
        self._wanted, self._hear, self._interrupted = wanted, hear, interrupted
        self._mark = f"{os.getpid()}-{next(_numbers)}"
        self._place: int | None = None  # number of the source that it is on, where there is an audio server
        self._checked_s = 0.0
        self._stream: Any = None

    def open(self, sd: Any) -> None:
        """Open it, and see that it is where it should be.

        Raises
        ------
        SourceLost
            If it cannot be opened; then it is closed.
        """
        wanted = self._wanted
        try:
            info = sd.query_devices(wanted.key, "input")
            self.name = plain(info["name"])
            if wanted.name and self.name != wanted.name:
                raise SourceLost(f"{wanted} was {wanted.name}, and is {self.name} now; choose by name")
            source = {"PULSE_SOURCE": wanted.source} if wanted.source else {}
            with _environment(audio_server.marked(self._mark) | source):
                self._stream = sd.InputStream(
                    device=info["index"],
                    channels=min(info["max_input_channels"], max(wanted.channels, MOST_CHANNELS)),
                    samplerate=info["default_samplerate"],
                    blocksize=BLOCK,
                    dtype="float32",
                    callback=self._hear,
                )
                self._stream.start()
            self._find_place()
        except (sd.PortAudioError, ValueError, OverflowError) as error:  # the last for an index beyond C's integers
            self.close()
            raise SourceLost(f"{wanted} is not there or cannot be opened: {str(error).splitlines()[0]}") from error
        except Exception:
            self.close()
            raise
        self.rate_hz, self.channels = round(self._stream.samplerate), self._stream.channels

    def close(self) -> None:
        """Close it, if it is open."""
        if self._stream is not None:
            stream, self._stream = self._stream, None
            stream.close(ignore_errors=True)

    def again(self, sd: Any) -> None:
        """Open it again after a new start of the library; where that fails it is gone."""
        before = self.rate_hz, self.channels
        self._wanted = replace(self._wanted, name=self.name)
        try:
            self.open(sd)
        except SourceLost as error:
            self.gone = str(error)
        else:
            if (self.rate_hz, self.channels) != before:
                self.gone = f"{self._wanted} has another format than before"
        self._interrupted()

    def check(self, now_s: float) -> None:
        """Ask the audio server, if it is time, whether the stream is where it was; where it is not, it is gone."""
        if self._place is None or self.gone or now_s - self._checked_s < CHECK_S:
            return
        self._checked_s = now_s
        with suppress(SourceLost):  # see ANSWER_S
            place = audio_server.place(self._mark, timeout_s=ANSWER_S)
            if place is None:
                self.gone = f"the audio server has ended the stream of {self._wanted}"
            elif place != self._place:
                other = audio_server.name_at(place, timeout_s=ANSWER_S)
                self.gone = f"the audio server has moved the stream of {self._wanted} to {other or 'another source'}"

    def _find_place(self) -> None:
        """Note which source of an audio server it is on, if it is on one.

        Raises
        ------
        SourceLost
            If that is another one than was wanted, or nobody can say it.
        """
        source = self._wanted.source
        try:
            self._place = audio_server.place(self._mark)
            found = "" if self._place is None or not source else audio_server.name_at(self._place)
        except SourceLost:
            if source:
                raise
            return
        if found != source:
            raise SourceLost(f"the audio server does not let us hear the source {source}, but {found or 'nothing'}")


def _sounddevice() -> Any:
    import sounddevice

    return sounddevice


class Library:
    """See the module.

    Parameters
    ----------
    begin : callable
        Imports sounddevice and returns it; may hang.
    look : callable
        Lists the inputs that there are now, whatever the library knows.
    """

    def __init__(self, begin: Callable[[], Any] = _sounddevice, look: Callable[[], Listing] = list_inputs) -> None:
        self._begin, self._look = begin, look
        self._streams: list[Stream] = []
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

    def open(self, wanted: Wanted, hear: Callable[..., None], interrupted: Callable[[], None]) -> Stream:
        """Open a stream of `wanted`, as the devices are now.

        Raises
        ------
        SourceError
            If PortAudio is missing.
        SourceLost
            If it is not there now, or cannot be opened.
        """
        stream = Stream(wanted, hear, interrupted)
        with self._guard:
            sd = self.library()
            self._see(sd, wanted)
            stream.open(sd)
            self._streams.append(stream)
        return stream

    def close(self, stream: Stream) -> None:
        """Close `stream`, which is open."""
        with self._guard:
            self._streams.remove(stream)
            stream.close()

    def _see(self, sd: Any, wanted: Wanted) -> None:
        """Let the library know what `wanted` leads to now; start it anew only if it has to be."""
        known = _known(sd, wanted)
        if wanted.source and known:  # the way to the server is always the same one
            return
        if not self._streams:
            _restart(sd)
            return
        there = [one.name for one in self._look().inputs if one.is_meant_by(wanted.input)]
        if not there:
            raise SourceLost(f"{wanted} is not there")
        if known not in there:
            self._renew(sd)

    def _renew(self, sd: Any) -> None:
        """Start anew under the streams of others."""
        for stream in self._streams:
            stream.close()
        try:
            _restart(sd)
        finally:
            for stream in self._streams:
                stream.again(sd)

    def _start(self) -> Future[Any]:
        with self._start_guard:
            if self._starting is None or (self._starting.done() and self._starting.exception()):
                self._starting = Future()
                threading.Thread(
                    target=_keep, args=(self._begin, self._starting), name="portaudio", daemon=True
                ).start()
            return self._starting


def _keep(begin: Callable[[], Any], started: Future[Any]) -> None:
    try:
        library = begin()
    except BaseException as error:
        started.set_exception(error)
    else:
        started.set_result(library)


def _restart(sd: Any) -> None:
    with suppress(sd.PortAudioError):  # it is not running where its last start failed
        sd._terminate()
    try:
        sd._initialize()
    except sd.PortAudioError as error:
        raise SourceLost(_no_start(error)) from error


def _no_start(error: Exception) -> str:
    return f"PortAudio cannot be started; look at ALSA's configuration (~/.asoundrc): {str(error).splitlines()[0]}"


def _known(sd: Any, wanted: Wanted) -> str:
    """Name of what the library takes for `wanted`; empty if it knows none."""
    try:
        return plain(sd.query_devices(wanted.key, "input")["name"])
    except (sd.PortAudioError, ValueError, OverflowError):
        return ""


@contextmanager
def _environment(changes: Mapping[str, str]) -> Iterator[None]:
    """Have `changes` in the environment: libpulse reads it when it connects, and PortAudio passes nothing on to it."""
    before = {name: os.environ.get(name) for name in changes}
    os.environ.update(changes)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


portaudio = Library()


def default_input() -> str | None:
    """Name of the default input device; None if there is none.

    Raises
    ------
    SourceError, SourceLost
        If PortAudio is missing; if it cannot be started in a short time.
    """
    sd = portaudio.library(START_S)
    try:
        return str(sd.query_devices(kind="input")["name"])
    except (sd.PortAudioError, ValueError):
        return None


def inputs() -> list[dict[str, Any]]:
    """Every input device that the library saw at its start, as JSON can say it: see devices.Input."""
    sd = portaudio.library()
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
    return str(portaudio.library().get_portaudio_version()[1])
