"""Titles are told when their audio is heard, once each, and no faster than once a second."""

from __future__ import annotations

import numpy as np
import pytest

from genred.sources import Intake
from genred.titles import PAUSE_S, Titles
from rig import BLOCK_S, FakeSource, Rig


def titles(rig: Rig) -> list[str]:
    """Take the titles that were told."""
    return [str(event.title) for event in rig.events() if event.event == "title"]


def test_a_title_is_told_with_its_audio() -> None:
    """Not when it arrives, but when the station has heard all that came before it."""
    rig = Rig(FakeSource("arrival"))
    rig.connect()
    assert rig.intake is not None
    rig.intake.announce("first")
    rig.play(1.0)
    (event,) = [event for event in rig.events() if event.event == "title"]
    assert (event.title, event.text, event.epoch, event.station) == ("first", "title: first", 0, "s")
    rig.deliver(0.5)
    rig.intake.announce("second")
    position = rig.intake.ring.written
    rig.play(2.0)
    assert titles(rig) == ["second"]
    assert rig.intake.ring.read_position >= position


def test_a_title_ahead_of_its_audio_waits() -> None:
    """While what came before it has not been read, it is not heard."""
    said, intake = Titles(), Intake(1000)
    intake.ring.write(np.zeros((500, 1), np.float32))
    intake.announce("next")
    intake.ring.read(499)
    said.hear(intake)
    assert said.new(0.0) is None
    intake.ring.read(500)
    said.hear(intake)
    assert said.new(0.0) == "next"


def test_each_change_once() -> None:
    """A stream that is lost and found again with the same title says nothing new; an empty title is one."""
    rig = Rig(FakeSource("arrival"))
    told = []
    for title in ("one", "one", "", "two"):
        rig.connect()
        assert rig.intake is not None
        rig.intake.announce(title)
        rig.play(1.5)
        told += titles(rig)
        rig.end()
        rig.listen()
    assert told == ["one", "", "two"]


def test_a_flood_of_titles() -> None:
    """Of many in a second the newest is told."""
    rig = Rig(FakeSource("arrival"))
    rig.connect()
    assert rig.intake is not None
    for number in range(round(10 / BLOCK_S)):
        rig.intake.announce(f"{number}")
        rig.deliver(BLOCK_S)
        rig.listen()
    told = titles(rig)
    assert 10 / PAUSE_S - 2 <= len(told) <= 10 / PAUSE_S + 1
    assert [int(title) for title in told] == sorted({int(title) for title in told})


@pytest.mark.parametrize("text", ["a\x1b[31mb\nc", "x" * 5000])
def test_a_title_is_made_plain(text: str) -> None:
    """Control characters and length are cut before anybody sees them."""
    said, intake = Titles(), Intake(1000)
    intake.announce(text)
    said.hear(intake)
    title = said.new(0.0)
    assert title is not None
    assert title.isprintable()
    assert len(title) <= 500
