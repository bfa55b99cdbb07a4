from __future__ import annotations

import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chunks import cut
from conftest import music
from genred.config import THRESHOLDS, Thresholds
from genred.health import PIECE_S, Health
from genred.levels import Change
from genred.ring import Block

RATE = 8000


def stereo(*channels: Block) -> Block:
    return np.stack(channels, axis=1).astype(np.float32)


def sound(seconds: float, seed: int = 0) -> Block:
    """Something like music, never clipped: [N, 1]."""
    return music(seconds, RATE, seed)[:, None]


def constant(value: float, seconds: float) -> Block:
    return np.full((round(seconds * RATE), 1), value, np.float32)


def changes(*blocks: Block, thresholds: Thresholds = THRESHOLDS, close: bool = False) -> list[Change]:
    """All that is told of a signal, whole."""
    health = Health(RATE, blocks[0].shape[1], thresholds)
    health.push(np.concatenate(blocks))
    if close:
        health.close()
    return list(health.changes)


def begun_and_over(
    signal: str, begin_s: float, lasted_s: float, found: list[Change], channel: int | None = None
) -> None:
    """Exactly that was told, with its times to a piece."""
    begin, end = found
    assert (begin.signal, begin.lasted_s, begin.channel) == (signal, None, channel)
    assert (end.signal, end.begin_s, end.channel) == (signal, begin.begin_s, channel)
    assert begin.begin_s == pytest.approx(begin_s, abs=PIECE_S)
    assert end.lasted_s == pytest.approx(lasted_s, abs=2 * PIECE_S)


def test_music_is_healthy() -> None:
    """Music at usual levels, and silence that is not quite digital, show nothing."""
    assert changes(sound(60.0), 1e-5 * sound(20.0), close=True) == []


def test_digital_silence() -> None:
    """Exact zeros for 3 s are digital silence, from their first on; a sample ends it."""
    begun_and_over("digital-silence", 5.0, 4.0, changes(sound(5.0), constant(0, 4.0), sound(1.0)))
    assert changes(sound(5.0), constant(0, 2.8), sound(1.0)) == []


def test_frozen() -> None:
    """Any other constant value is a frozen input."""
    begun_and_over("frozen", 5.0, 4.0, changes(sound(5.0), constant(0.01, 4.0), sound(1.0)))
    assert [c.signal for c in changes(sound(5.0), constant(-1e-4, 4.0))] == ["frozen"]


def test_clipping() -> None:
    """An input that is driven too far clips: from the first second that has 1 % to the last."""
    loud = np.clip(20 * sound(4.0), -1, 1)
    assert np.mean(np.abs(loud) >= 0.999) > 0.1
    begun_and_over("clipping", 5.0, 5.0, changes(sound(5.0), loud, sound(6.0)))


def test_single_peaks_are_not_clipping() -> None:
    """Masters that touch full scale, some samples a second, are no fault; the share that is one can be set."""
    touching = sound(20.0)
    touching[:: RATE // 40] = 1.0  # 0.5 %
    assert changes(touching) == []
    (change,) = changes(touching, thresholds=Thresholds(clipped_percent=0.4))
    assert change.signal == "clipping"


def test_a_clipped_channel_is_enough() -> None:
    """The worst channel counts: a clipped one beside a silent one clips."""
    left = np.clip(20 * sound(4.0)[:, 0], -1, 1)
    assert "clipping" in [c.signal for c in changes(stereo(left, 0.001 * left))]


def test_dc() -> None:
    """A mean of 2 % of full scale to one side for 5 s is DC; sound upon it changes nothing."""
    begun_and_over("dc", 5.0, 7.0, changes(sound(5.0), sound(7.0, seed=1) + np.float32(0.1), sound(8.0, seed=2)))
    assert changes(sound(5.0), sound(4.5) + np.float32(0.1), sound(6.0)) == []
    assert changes(sound(12.0) + np.float32(0.01)) == []


def test_a_deep_tone_is_not_dc() -> None:
    """The lowest tones there are swing to both sides: however loud, they are no DC."""
    time_s = np.arange(20 * RATE) / RATE
    for hz in (16.0, 20.3, 31.7):
        tone = 0.9 * np.sin(2 * np.pi * hz * time_s)
        assert changes(tone[:, None].astype(np.float32)) == []


def test_what_swings_to_both_sides_is_not_dc() -> None:
    """A value that changes its side each half second is no DC, however far from zero it is."""
    slow = np.where(np.arange(20 * RATE) // (RATE // 2) % 2, 0.5, -0.5).astype(np.float32)[:, None]
    assert changes(slow + 0.01 * sound(20.0)) == []


def test_clipping_with_pauses_is_one() -> None:
    """Passages that clip with less than 3 s between them are one clipping."""
    loud = np.clip(20 * sound(1.0), -1, 1)
    begun_and_over("clipping", 3.0, 5.0, changes(sound(3.0), loud, sound(2.0), loud, sound(6.0)))


def test_a_dead_channel() -> None:
    """A channel that is silent for 10 s while the other sounds is dead, and is named; its return ends that."""
    left, right = sound(40.0)[:, 0], sound(40.0, seed=1)[:, 0]
    right[5 * RATE : 25 * RATE] *= 1e-6
    begun_and_over("dead-channel", 5.0, 20.0, changes(stereo(left, right)), channel=2)
    begun_and_over("dead-channel", 5.0, 20.0, changes(stereo(right, left)), channel=1)


def test_silence_of_all_channels_kills_none() -> None:
    """Where all channels pause, none is dead; a dead one does not come back by the pause of the others."""
    left = sound(30.0)[:, 0]
    left[4 * RATE : 9 * RATE] = 1e-6 * left[4 * RATE : 9 * RATE]
    assert changes(stereo(left[: 16 * RATE], left[: 16 * RATE])) == []
    dead = 1e-6 * sound(30.0, seed=1)[:, 0]
    (change,) = changes(stereo(left, dead))
    assert (change.channel, change.begin_s) == (2, 0.0)


def test_one_channel_cannot_be_dead() -> None:
    """Mono that is silent is silent, not dead."""
    assert changes(sound(1.0), 1e-6 * sound(20.0)) == []


def test_the_end_of_the_stream_ends_what_is_wrong() -> None:
    """What is wrong until the end lasted until then."""
    begun_and_over("frozen", 2.0, 5.0, changes(sound(2.0), constant(0.5, 5.05), close=True)[:2])


def test_what_is_wrong_now() -> None:
    """While it is wrong it is there to be asked for; afterwards it is not."""
    health = Health(RATE, 1)
    health.push(np.concatenate([sound(1.0), constant(0, 4.0)]))
    assert health.now == ["digital-silence"]
    health.push(sound(1.0))
    assert health.now == []


def test_lost_audio_is_no_digital_silence() -> None:
    """What never came is passed over: it shows nothing, and times go on behind it."""
    health = Health(RATE, 1)
    health.push(sound(2.0))
    health.skip(10 * RATE)
    health.push(np.concatenate([sound(1.0), constant(0, 4.0)]))
    (change,) = health.changes
    assert change.begin_s == pytest.approx(13.0, abs=PIECE_S)


def test_thresholds_can_change() -> None:
    """By other thresholds what was wrong is over, and may begin anew."""
    health = Health(RATE, 1, Thresholds(frozen_s=1.0))
    health.push(constant(0, 2.0))
    health.watch(Thresholds(frozen_s=5.0))
    assert [c.lasted_s is None for c in health.changes] == [True, False]
    health.push(constant(0, 6.0))
    assert len(health.changes) == 3


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 3e38])
def test_what_is_no_number(value: float) -> None:
    """NaN, infinity and overflow break nothing, warn nobody, and what follows is measured as ever."""
    broken = sound(3.0)
    broken[::7] = value
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = changes(broken, sound(5.0), constant(0, 4.0), close=True)
    assert {c.signal for c in found} - {"clipping", "dc"} == {"digital-silence"}


@given(st.lists(st.integers(0, 9000), min_size=1, max_size=6).filter(lambda sizes: sum(sizes) >= 600))
def test_any_chunking_tells_the_same(lengths: list[int]) -> None:
    """However a stream is cut, the same changes are told, to the bit."""
    left = np.concatenate(
        [sound(2.0), constant(0, 3.5), np.clip(20 * sound(2.0), -1, 1), constant(0.1, 4.0), sound(4.0)]
    )
    both = stereo(left[:, 0], np.where(np.arange(len(left)) < 40_000, left[:, 0], 0))
    thresholds = Thresholds(dead_channel_s=1.0)
    health = Health(RATE, 2, thresholds)
    for piece in cut(both, lengths):
        health.push(piece)
    found = changes(both, thresholds=thresholds)
    assert sorted(health.changes, key=str) == sorted(found, key=str)
    assert {c.signal for c in health.changes} >= {"digital-silence", "clipping", "dead-channel"}
