"""The driver's callback, called as PortAudio calls it. With a real audio server: integration/test_pulse.py."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import pytest

from genred.ear import Ear
from genred.errors import SourceLost
from genred.ring import Block
from genred.sources import Intake
from genred.sources.microphone import Microphone, _Device, _Listener
from genred.sources.portaudio import BLOCK, Stream, Wanted

RATE = 1000  # so that a ring holds 10 blocks, about


@dataclass
class Flags:
    """What the driver says of a block."""

    input_overflow: bool = False


def listening(device: _Device, *columns: slice, stop: threading.Event | None = None) -> list[Intake]:
    """Let a station hear each of `columns`."""
    intakes = [Intake(RATE, part.stop - part.start, stop=stop) for part in columns]
    device._listeners = tuple(map(_Listener, intakes, columns))
    return intakes


def sound(channels: int, seed: int = 0) -> Block:
    return np.random.default_rng(seed).normal(size=(BLOCK, channels)).astype(np.float32)


def test_each_station_gets_a_copy_of_its_channels() -> None:
    """The driver uses its buffer again; what stations have heard stays."""
    device, buffer = _Device(""), sound(4)
    before = buffer.copy()
    stereo, last = listening(device, slice(0, 2), slice(3, 4))
    device._callback(buffer, BLOCK, None, Flags())
    buffer[:] = 9
    assert np.array_equal(stereo.ring.read(BLOCK).block, before[:, :2])
    assert np.array_equal(last.ring.read(BLOCK).block, before[:, 3:])
    assert [stamp.position for stamp in stereo.stamps] == [BLOCK]


def test_overflows_are_counted() -> None:
    """Each time the driver says that it lost input is one overflow of every station that hears it."""
    device = _Device("")
    intakes = listening(device, slice(0, 1), slice(1, 2))
    for lost in (False, True, False, True, True):
        device._callback(sound(2), BLOCK, None, Flags(input_overflow=lost))
    assert [intake.overflows for intake in intakes] == [3, 3]


def test_what_comes_from_another_source_is_not_heard() -> None:
    """Once a stream is gone, nothing that it delivers reaches a station, and no other station attaches to it."""
    device = _Device("")
    (intake,) = listening(device, slice(0, 1))
    device._stream = Stream(Wanted(""), lambda *_: None, lambda: None)
    device._callback(sound(1), BLOCK, None, Flags())
    device._stream.gone = "the audio server has moved it"
    device._callback(sound(1), BLOCK, None, Flags())
    assert intake.ring.written == BLOCK
    for ask in (device.check, lambda: device.attach(Ear(), ())):
        with pytest.raises(SourceLost, match="the audio server has moved it"):
            ask()


def test_an_interruption_is_counted_by_every_station() -> None:
    """A new start of PortAudio for another device is counted at each station that hears this one."""
    device = _Device("")
    intakes = listening(device, slice(0, 1), slice(1, 2))
    device._count_interruption()
    assert [intake.interruptions for intake in intakes] == [1, 1]


def test_the_callback_waits_for_nobody() -> None:
    """Neither a worker that does not read nor a station's thread that holds the device's lock keeps the driver."""
    device, stop = _Device(""), threading.Event()
    (intake,) = listening(device, slice(0, 1), stop=stop)

    def call() -> None:
        for seed in range(15):
            device._callback(sound(1, seed), BLOCK, None, Flags())

    with ThreadPoolExecutor() as pool, device._guard:
        calling = pool.submit(call)
        try:
            calling.result(5)
        finally:
            stop.set()  # whoever waits, waits no longer
    assert intake.ring.written == 15 * BLOCK > intake.ring.capacity


def test_a_device_that_delivers_nothing_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is open and stays mute, as when it was pulled out: after some time that is a loss, which is told by name."""
    monkeypatch.setattr("genred.sources.microphone.GONE_S", 0.5)
    with pytest.raises(SourceLost, match="the input 'USB' has delivered nothing"):
        Microphone("USB")._watch(Ear())
