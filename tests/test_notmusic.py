from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from conftest import music, write_wav
from genred.card import ModelCard
from genred.errors import BadInputError
from genred.features import GainRule, MfccSpec
from genretrain import notmusic

CARD = ModelCard(
    labels=("one", "other"), spec=MfccSpec(), gain=GainRule(), window_frames=1000, geometry={}, training={}, licence="-"
)
RATE = CARD.spec.sample_rate


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four clips of rain of 5 s, and two recordings of speech."""
    folder = tmp_path_factory.mktemp("notmusic")
    for kind in ("environment", "speech"):
        (folder / kind).mkdir()
    for number in range(4):
        write_wav(folder / "environment" / f"rain_{number:02}.wav", music(5.0, seed=number))
    for name in ("someone", "somebody"):
        write_wav(folder / "speech" / f"{name}.wav", music(12.0, seed=9))
    return folder


def test_no_sound_is_in_both_parts(folder):
    """Every other clip of a class chooses, the rest reports; a recording without a number is of its folder's class."""
    sounds = {(s.name, s.part): s for s in notmusic.sounds(folder, RATE)}
    assert {name for name, _ in sounds} >= {"rain", "speech", "tone", "hum", "metronome", "noise"}
    assert [len(sounds["rain", part].clips) for part in notmusic.PARTS] == [2, 2]
    assert [len(sounds["speech", part].clips) for part in notmusic.PARTS] == [1, 1]
    for name in ("rain", "tone", "hum", "metronome", "noise"):
        one, other = (sounds[name, part].clips[0] for part in notmusic.PARTS)
        assert not np.array_equal(one, other)


def test_clips_are_judged_each_for_itself_or_joined(folder):
    """A clip of 5 s has a window of 3 and one of 5 s; what is longer is heard over all clips of the class."""
    [rain] = [s for s in notmusic.sounds(folder, RATE) if (s.name, s.part) == ("rain", "choosing")]
    assert [len(notmusic.windows(rain, CARD, frames)) for frames in (128, 208, 424)] == [2, 2, 1]
    assert notmusic.windows(rain, CARD, 1000) == []  # ten seconds are not 23


def test_a_folder_without_sounds_is_refused(tmp_path):
    """One sentence."""
    with pytest.raises(BadInputError, match="no sounds in"):
        notmusic.sounds(tmp_path, RATE)


def test_made_sounds_are_what_they_are_called():
    """The tone's power is at its frequency, the hum's at the mains', the metronome ticks twice a second."""
    sounds = {s.name: s.clips[0] for s in notmusic.made(RATE) if s.part == "choosing"}
    for name, hz in (("tone", 440.0), ("hum", 50.0)):
        spectrum = np.abs(np.fft.rfft(sounds[name]))
        assert np.fft.rfftfreq(len(sounds[name]), 1 / RATE)[spectrum.argmax()] == pytest.approx(hz, abs=0.1)
    loud = np.abs(sounds["metronome"]) > 0.1
    ticks = np.flatnonzero(np.diff(loud.astype(int)) == 1)
    seconds = np.unique(np.round(ticks / RATE, 1))
    assert len(seconds) == pytest.approx(2 * notmusic.SECONDS, abs=2)
