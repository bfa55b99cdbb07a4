"""The library's streams and its start anew, with a library that is none. With the real one: tests/faults."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import pytest

from genred.errors import SourceLost
from genred.inputs import Input, Listing
from genred.sources.portaudio import Library, Stream, Wanted

RATE = 48000


class FakeStream:
    """One of PortAudio's."""

    def __init__(self, sound: FakeSound, device: int, channels: int, samplerate: float) -> None:
        self.sound, self.name = sound, sound.known[device]
        self.channels, self.samplerate = channels, samplerate
        self.environment = dict(os.environ)
        self.closed = False

    def start(self) -> None:
        if self.name in self.sound.in_use:
            raise self.sound.error

    def close(self, *, ignore_errors: bool) -> None:
        self.closed = ignore_errors


class FakeSound:
    """sounddevice over the inputs in `there`, which it sees as they were at its start."""

    class PortAudioError(Exception):
        pass

    def __init__(self, *there: str) -> None:
        self.there = self.known = there
        self.in_use: set[str] = set()
        self.error: Exception = self.PortAudioError("in use\nhost error")
        self.channels, self.starts, self.looked = 2, 0, 0
        self.streams: list[FakeStream] = []

    def query_devices(self, key: str | int | None, _kind: str) -> dict[str, Any]:
        if isinstance(key, int) and key < len(self.known):
            return self._info(key)
        found = [number for number, name in enumerate(self.known) if str(key or "").lower() in name.lower()]
        if isinstance(key, int) or not found:
            raise ValueError(f"No input device matching {key!r}")
        return self._info(found[0])

    def _info(self, index: int) -> dict[str, Any]:
        return {
            "index": index,
            "name": self.known[index],
            "max_input_channels": self.channels,
            "default_samplerate": float(RATE),
        }

    def InputStream(self, device: int, channels: int, samplerate: float, **_: object) -> FakeStream:  # noqa: N802 - sounddevice's
        self.streams.append(FakeStream(self, device, channels, samplerate))
        return self.streams[-1]

    def _terminate(self) -> None:
        assert all(stream.closed for stream in self.streams), "a stream would end without a word"

    def _initialize(self) -> None:
        self.known = self.there
        self.starts += 1

    def look(self) -> Listing:
        """What a child sees."""
        self.looked += 1
        rest: dict[str, Any] = {"host_api": "ALSA", "channels": 2, "default_rate_hz": RATE, "rates_hz": ()}
        inputs = [Input(index=n, name=name, default=not n, **rest) for n, name in enumerate(self.there)]
        return Listing("PortAudio V19.7", tuple(inputs))


def library(sound: FakeSound) -> Callable[[str], tuple[Stream, list[int]]]:
    """Open what a selector means; beside the stream, a list that gets longer with each interruption."""
    opened = Library(lambda: sound, sound.look)

    def open_one(selector: str) -> tuple[Stream, list[int]]:
        interruptions: list[int] = []
        stream = opened.open(Wanted(selector), lambda *_: None, lambda: interruptions.append(1))
        return stream, interruptions

    return open_one


def test_a_stream_that_does_not_start_is_closed() -> None:
    """A device that is in use, tried again and again, leaves nothing open, whatever the library raises."""
    sound = FakeSound("usb")
    sound.in_use = {"usb"}
    for error, told in ((sound.PortAudioError("in use\nmore"), SourceLost), (OSError("odd"), OSError)):
        sound.error = error
        with pytest.raises(told, match=r"cannot be opened: in use$|odd"):
            library(sound)("usb")
    assert [stream.closed for stream in sound.streams] == [True, True]


def test_alone_it_starts_anew() -> None:
    """While no stream is open, each opening sees the devices as they are now; that costs nobody anything."""
    sound = FakeSound()
    open_one = library(sound)
    with pytest.raises(SourceLost, match="the input 'usb' is not there"):
        open_one("usb")
    sound.there = ("usb",)
    stream, interruptions = open_one("usb")
    assert (stream.name, stream.rate_hz, stream.channels, interruptions) == ("usb", RATE, 2, [])
    assert sound.looked == 0


def test_others_are_left_alone_where_reopening_works() -> None:
    """An input that is where the library thinks it is, or that is not there at all, interrupts nobody."""
    sound = FakeSound("line", "usb")
    open_one = library(sound)
    _, interruptions = open_one("line")
    starts = sound.starts
    open_one("usb")
    sound.there = ("line",)
    with pytest.raises(SourceLost, match="the input 'radio' is not there"):
        open_one("radio")
    assert (sound.starts, interruptions) == (starts, [])


def test_an_input_that_is_back_interrupts_others() -> None:
    """One that a child sees and the library does not is opened; the streams of others go on, and count it."""
    sound = FakeSound("line")
    open_one = library(sound)
    line, interruptions = open_one("line")
    sound.there = ("line", "usb")
    usb, none = open_one("usb")
    assert usb.name == "usb"
    assert (len(interruptions), none, line.gone) == (1, [], "")
    assert [(stream.name, stream.closed) for stream in sound.streams] == [
        ("line", True),
        ("line", False),
        ("usb", False),
    ]


@pytest.mark.parametrize(
    ("there", "channels", "why"),
    [(("usb",), 2, "is not there"), (("usb", "line"), 1, "has another format than before")],
)
def test_others_that_are_not_as_they_were(there: tuple[str, ...], channels: int, why: str) -> None:
    """A stream of another that cannot go on after the new start is gone, with its reason, rather than another one."""
    sound = FakeSound("line")
    open_one = library(sound)
    line, interruptions = open_one("line")
    sound.there, sound.channels = there, channels
    open_one("usb")
    assert why in line.gone
    assert len(interruptions) == 1


def test_an_index_that_has_come_to_mean_another() -> None:
    """After a new start an index is not followed to another input."""
    sound = FakeSound("line", "usb")
    open_one = library(sound)
    usb, _ = open_one("1")
    sound.there = ("line", "camera", "usb")
    open_one("2")
    assert usb.gone == "the input '1' was usb, and is camera now; choose by name"


def test_what_a_selector_means() -> None:
    """Nothing: the default input; a number: an index; words: parts of the name and of what it is reached through."""
    (first, second) = FakeSound("USB Audio", "Line-in").look().inputs
    cases = {"": first, "0": first, "1": second, "usb": first, "audio alsa": first, "line": second}
    for selector, meant in cases.items():
        assert [one.is_meant_by(selector) for one in (first, second)] == [one is meant for one in (first, second)]
    assert not any(one.is_meant_by("usb line") for one in (first, second))


def test_the_environment_is_restored(monkeypatch: pytest.MonkeyPatch) -> None:
    """While a stream is opened libpulse finds its source and our mark there; before and after it is the user's."""
    monkeypatch.setenv("PULSE_PROP", "media.role=music")
    monkeypatch.delenv("PULSE_SOURCE", raising=False)
    sound = FakeSound("pulse")
    with pytest.raises(SourceLost):  # no audio server says that it is that source
        Stream(Wanted("usb.analog", "usb.analog"), lambda *_: None, lambda: None).open(sound)
    seen = sound.streams[0].environment
    assert seen["PULSE_SOURCE"] == "usb.analog"
    assert seen["PULSE_PROP"].startswith("media.role=music genred.stream=")
    assert os.environ["PULSE_PROP"] == "media.role=music"
    assert "PULSE_SOURCE" not in os.environ
    assert sound.streams[0].closed


def test_one_mark_a_stream() -> None:
    """No two streams have one mark, or one would be taken for the other."""
    sound = FakeSound("pulse")
    for _ in range(2):
        Stream(Wanted("pulse"), lambda *_: None, lambda: None).open(sound)
    marks = {stream.environment["PULSE_PROP"] for stream in sound.streams}
    assert len(marks) == 2
