from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given

from chunks import cut, sizes
from conftest import music
from genred.config import THRESHOLDS, Thresholds
from genred.features import Samples, amplitude
from genred.levels import HopLevels, Peak

HOP, RATE = 512, 22050
SILENCE_HOPS = 129  # 3 s


def levels(window_hops: int = 1000, longest_hops: int = 40, thresholds: Thresholds = THRESHOLDS) -> HopLevels:
    return HopLevels(HOP, RATE, window_hops, longest_hops, thresholds)


def steady(dbfs: float, hops: int) -> Samples:
    """A square wave of that level."""
    return np.where(np.arange(hops * HOP) // 10 % 2, 1, -1).astype(np.float32) * np.float32(amplitude(dbfs))


@pytest.mark.parametrize("dbfs", [0, -20, -60, -100])
def test_level(dbfs: float) -> None:
    """The level is the RMS against full scale, of the newest hops only."""
    heard = levels()
    heard.push(steady(0, 20))
    heard.push(steady(dbfs, 40))
    assert heard.dbfs(40) == pytest.approx(dbfs, abs=0.01)


def test_level_of_the_longest_hop() -> None:
    """Hops longer than the time that silence takes are measured whole."""
    heard = levels(longest_hops=400)
    heard.push(steady(0, 200))
    heard.push(steady(-120, 200))
    assert heard.dbfs(400) == pytest.approx(-3.01, abs=0.01)


def test_level_of_nothing() -> None:
    """Before the first hop, and in digital silence, the level is -120 dBFS, a number."""
    heard = levels()
    assert heard.dbfs(40) == -120.0
    heard.push(np.zeros(HOP * 40, np.float32))
    assert heard.dbfs(40) == -120.0


@given(sizes)
def test_any_chunking_gives_the_same_level(lengths: list[int]) -> None:
    """However a stream is cut, its level is the same bits."""
    samples = music(3.0)
    whole, cut_up = levels(), levels()
    whole.push(samples)
    for piece in cut(samples, lengths):
        cut_up.push(piece)
    assert cut_up.dbfs(40) == whole.dbfs(40)


def test_silence_takes_3_seconds() -> None:
    """Silence is 3 s below -80 dBFS: a hop less is none, and what is a little louder never is."""
    heard = levels()
    heard.push(steady(-79, 2 * SILENCE_HOPS))
    assert not heard.silent
    heard = levels()
    heard.push(steady(-81, SILENCE_HOPS - 1))
    assert not heard.silent
    heard.push(steady(-81, 1))
    assert heard.silent


def test_silence_ends_a_little_above_where_it_begins() -> None:
    """A level that wavers about the threshold is one silence: it ends 3 dB above."""
    heard = levels()
    for dbfs in (-81, -79, -81, -78):
        heard.push(steady(dbfs, SILENCE_HOPS))
        assert heard.silent
    heard.push(steady(-76, SILENCE_HOPS))
    assert not heard.silent
    assert [change.lasted_s is None for change in heard.changes] == [True, False]


def test_a_station_says_what_silence_is() -> None:
    """Level and time are those that are set, also a time that is longer than a window."""
    heard = levels(window_hops=80, thresholds=Thresholds(silence_dbfs=-40, silence_s=20))
    heard.push(steady(-41, 861 - 1))
    assert not heard.silent
    heard.push(steady(-41, 1))
    assert heard.silent


def test_silences_are_told_with_their_times() -> None:
    """Each tells when it began, and once it is over how long it was, to a hop."""
    heard = levels()
    heard.push(steady(-20, 430))
    heard.push(np.zeros(430 * HOP, np.float32))
    heard.push(steady(-20, 430))
    begin, end = heard.changes
    assert (begin.signal, begin.lasted_s) == ("silence", None)
    assert begin.begin_s == end.begin_s == pytest.approx(430 * HOP / RATE, abs=0.1)
    assert end.lasted_s == pytest.approx(430 * HOP / RATE, abs=0.1)


def test_the_end_of_the_stream_ends_silence() -> None:
    """A stream that ends in silence tells that it was one until then; one that does not, tells nothing."""
    heard = levels()
    heard.close()
    assert not heard.changes
    heard.push(np.zeros(430 * HOP, np.float32))
    heard.close()
    assert heard.changes[-1].lasted_s == pytest.approx(430 * HOP / RATE)


def test_a_constant_value_is_silence() -> None:
    """An input that is frozen makes no sound, whatever its value; its level is told as it is."""
    heard = levels()
    heard.push(np.full(SILENCE_HOPS * HOP, 0.5, np.float32))
    assert heard.silent
    assert heard.dbfs(40) == pytest.approx(-6.02, abs=0.01)


def test_loud_music_leaves_no_trace_in_silence() -> None:
    """After an hour at full scale silence is found as at the beginning: no rounding is left of it."""
    heard = levels()
    loud = steady(0, 430)
    for _ in range(360):
        heard.push(loud)
    heard.push(np.zeros(SILENCE_HOPS * HOP, np.float32))
    assert heard.silent
    assert abs(heard._silence._sum) < 1e-9


def test_a_sound_ends_silence() -> None:
    """One second of music ends the silence, and 3 s later it is silent again."""
    heard = levels()
    heard.push(np.zeros(SILENCE_HOPS * HOP, np.float32))
    assert heard.silent
    heard.push(steady(-30, 43))
    assert not heard.silent
    heard.push(np.zeros(SILENCE_HOPS * HOP, np.float32))
    assert heard.silent


def test_a_short_window_can_be_silent() -> None:
    """A window shorter than 3 s is silent if all of it is; the station is after 3 s."""
    heard = levels(window_hops=80)
    heard.push(np.zeros(79 * HOP, np.float32))
    assert not heard.window_silent
    heard.push(np.zeros(HOP, np.float32))
    assert heard.window_silent
    assert not heard.silent
    heard.push(np.zeros((SILENCE_HOPS - 80) * HOP, np.float32))
    assert heard.silent


def test_peak_is_forgotten_when_told() -> None:
    """The peak is the greatest magnitude since it was last asked for."""
    peak = Peak()
    peak.push(np.array([0.1, -0.5, 0.2], np.float32))
    peak.push(np.array([0.25], np.float32))
    assert peak.take_dbfs() == pytest.approx(-6.02, abs=0.01)
    assert peak.take_dbfs() == -120.0
    peak.push(np.empty(0, np.float32))
    assert peak.take_dbfs() == -120.0


def test_clipped_samples_are_counted() -> None:
    """Full scale of either sign, and what is beyond it, is clipped; -0.1 dB below is not."""
    peak = Peak()
    peak.push(np.array([1.0, -1.0, 32767 / 32768, 1.5, 0.98], np.float32))
    peak.push(np.array([1.0], np.float32))
    assert peak.clipped == 5
