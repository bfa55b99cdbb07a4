from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chunks import cut, sizes
from conftest import music
from genred.epoch import Epoch, Geometry, Window
from genred.features import AutoGain, GainRule, GainStream, Mfcc, MfccSpec, Samples

MFCC = Mfcc(MfccSpec())
HOP, N_FFT, RATE = 512, 2048, 22050
WINDOW, STEP = 80, 20  # frames
GEOMETRY = Geometry(WINDOW, STEP)
SPAN = MFCC.spec.samples(WINDOW)
RATES = (44100, 48000, 8000, 22050)
by_rate = pytest.mark.parametrize("rate_hz", RATES)


def epoch(rate_hz: int = RATE, gain_db: float | None = None, geometry: Geometry = GEOMETRY) -> Epoch:
    return Epoch(MFCC, geometry, GainRule(), rate_hz, gain_db)


def heard(one: Epoch, samples: Samples, lengths: list[int] | None = None) -> list[Window]:
    """All windows of a stream, to its end."""
    windows = [window for piece in cut(samples, lengths or [len(samples)]) for window in one.feed(piece)]
    return windows + one.finish()


def all_of(window: Window) -> tuple[object, ...]:
    """Everything in a window, so that two can be compared bit for bit."""
    return (
        window.number,
        window.first_sample,
        window.last_sample,
        window.mfcc.shape,
        window.mfcc.tobytes(),
        window.level_dbfs,
        window.gain_db,
        window.lost_ms,
        window.silent,
    )


# Chunks


@by_rate
@settings(max_examples=15)
@given(lengths=sizes)
def test_any_chunking_gives_the_same_windows(rate_hz: int, lengths: list[int]) -> None:
    """However a stream is cut, its windows are the same bits: frames, levels, gains; the resampler's part included."""
    faint = music(2.5, rate_hz) * np.float32(0.01)
    short = Geometry(30, 20)  # the first window ends before the gain moves, the others after
    whole, pieces = epoch(rate_hz, geometry=short), epoch(rate_hz, geometry=short)
    expected = heard(whole, faint)
    assert [all_of(w) for w in heard(pieces, faint, lengths)] == [all_of(w) for w in expected]
    assert expected[0].gain_db == 0.0 < expected[-1].gain_db
    assert (pieces.pushed, pieces.frames, pieces.due) == (whole.pushed, whole.frames, whole.due)


@by_rate
def test_a_sample_at_a_time_gives_the_same_windows(rate_hz: int) -> None:
    """The finest chunking there is changes no bit either."""
    samples = music(0.5, rate_hz)
    geometry = Geometry(8, 4)
    expected = [all_of(window) for window in heard(epoch(rate_hz, geometry=geometry), samples)]
    assert [all_of(window) for window in heard(epoch(rate_hz, geometry=geometry), samples, [1])] == expected
    assert len(expected) >= 3


@by_rate
def test_the_future_never_changes_the_past(rate_hz: int) -> None:
    """A window that was due is the same, whatever comes after it."""
    begin, one, other = music(4.0, rate_hz), epoch(rate_hz), epoch(rate_hz)
    windows = one.feed(begin)
    assert len(windows) >= 3
    more = np.concatenate([begin, np.ones(rate_hz, np.float32)])
    assert [all_of(w) for w in other.feed(more)[: len(windows)]] == [all_of(w) for w in windows]


# Positions


CLICK_SPEC = MfccSpec(n_fft=4, hop_length=1, n_mels=1, n_mfcc=1, amin=1e-12)
CLICK_CENTRE = 2  # of a taper of 4 samples: 0, 1/2, 1, 1/2


@pytest.mark.parametrize("rate_hz", [*RATES, 11025, 32000, 96000, 192000])
@pytest.mark.parametrize("at", [0.001, 0.25, 0.7, 1.1])
def test_the_resamplers_delay_is_taken_out(rate_hz: int, at: float) -> None:
    """A click at native sample p is heard at p * 22050 / rate, to one sample: time is counted exactly."""
    p = round(at * rate_hz)
    samples = np.zeros(round(1.5 * rate_hz), np.float32)
    samples[p] = 1.0
    frames = round(1.2 * RATE)
    one = Epoch(Mfcc(CLICK_SPEC), Geometry(frames, 1_000_000), GainRule(), rate_hz, 0.0)
    (window,) = heard(one, samples, [1024])
    loudest = int(window.mfcc[:, 0].argmax()) + CLICK_CENTRE
    assert loudest == pytest.approx(p * RATE / rate_hz, abs=1.0)
    assert one.native_position(loudest) == pytest.approx(p, abs=1.5 * rate_hz / RATE + 1)


@by_rate
def test_the_resampler_adds_and_loses_nothing(rate_hz: int) -> None:
    """A stream of s seconds has the windows of s seconds, once it has ended."""
    one = epoch(rate_hz)
    windows = heard(one, music(6.0, rate_hz), [1000])
    frames = (6 * RATE - N_FFT) // HOP + 1
    assert one.frames == frames
    assert len(windows) == one.due == (frames - WINDOW) // STEP + 1


@by_rate
def test_windows_are_where_they_say(rate_hz: int) -> None:
    """Windows follow each other a hop apart, number from 0, and both their ends are included."""
    windows = heard(epoch(rate_hz), music(5.0, rate_hz))
    assert [window.number for window in windows] == list(range(len(windows)))
    assert [window.first_sample for window in windows] == [n * STEP * HOP for n in range(len(windows))]
    assert {window.last_sample - window.first_sample + 1 for window in windows} == {SPAN}


def test_windows_hold_the_frames_of_the_whole_file() -> None:
    """Each frame is computed once: a window has the frames that the whole, scaled stream has at its place."""
    faint = music(5.0) * np.float32(0.01)
    frames = MFCC(GainStream(AutoGain(GainRule()), HOP).push(faint))
    for window in heard(epoch(), faint):
        begin = window.number * STEP
        assert window.mfcc.tobytes() == frames[begin : begin + WINDOW].tobytes()


def test_hops_longer_than_the_window() -> None:
    """Audio between two windows is heard and not judged."""
    samples = music(10.0)
    windows = heard(epoch(geometry=Geometry(80, 200)), samples)
    assert [window.first_sample for window in windows] == [0, 200 * HOP]
    assert windows[1].mfcc.tobytes() == MFCC(samples)[200:280].tobytes()


# The first windows


def test_windows_grow_until_one_is_full() -> None:
    """The first windows begin with the epoch; the first has the fewest frames, the others end hops before a full."""
    one, samples = epoch(geometry=Geometry(80, 20, 12)), music(4.0)
    windows = heard(one, samples)
    places = [(w.first_frame, w.first_frame + len(w.mfcc)) for w in windows]
    assert places[:7] == [(0, 12), (0, 20), (0, 40), (0, 60), (0, 80), (20, 100), (40, 120)]
    for window in windows:
        assert window.mfcc.tobytes() == MFCC(samples)[window.first_frame :][: len(window.mfcc)].tobytes()
        assert window.first_sample == window.first_frame * HOP
        assert window.samples == MFCC.spec.samples(len(window.mfcc))
    assert [w.number for w in windows] == list(range(len(windows)))
    assert one.due == len(windows)


@given(st.integers(1, 400), st.integers(1, 500), st.data())
def test_places(full: int, hop: int, data: st.DataObject) -> None:
    """Whatever the lengths: ends ascend by a hop or less, the first full window begins at 0, then all move by a hop."""
    fewest = data.draw(st.integers(1, full))
    geometry = Geometry(full, hop, fewest)
    places = [geometry.place(number) for number in range((full - fewest) // hop + 4)]
    assert places[0] == (0, fewest)
    for (begin, end), (following, its_end) in pairwise(places):
        assert 0 < its_end - end <= (hop if end < full else its_end)
        if end < full:
            assert begin == following == 0
            assert its_end <= full
            assert (full - its_end) % hop == 0
        else:
            assert end - begin == full
            assert (following - begin, its_end - end) == (hop, hop)
    assert (0, full) in places


@given(st.integers(1, 400), st.integers(1, 500), st.integers(0, 50))
def test_full_windows_do_not_depend_on_the_shorter_ones(full: int, hop: int, number: int) -> None:
    """Those of a model that answers full windows only are among those of one that answers sooner."""
    early = [Geometry(full, hop, 1).place(n) for n in range(number + full // hop + 3)]
    assert Geometry(full, hop).place(number) == (number * hop, number * hop + full)
    assert Geometry(full, hop).place(number) in early


@by_rate
@settings(max_examples=10)
@given(lengths=sizes)
def test_any_chunking_gives_the_same_growing_windows(rate_hz: int, lengths: list[int]) -> None:
    """However a stream is cut, the windows that grow are the same bits, too."""
    samples, geometry = music(1.5, rate_hz) * np.float32(0.01), Geometry(40, 8, 6)
    expected = [all_of(window) for window in heard(epoch(rate_hz, geometry=geometry), samples)]
    assert [all_of(w) for w in heard(epoch(rate_hz, geometry=geometry), samples, lengths)] == expected
    assert len({window[3] for window in expected}) == 6


def test_a_loss_stays_in_windows_that_grow() -> None:
    """Each window that holds a loss tells all of it: windows that grow never lose theirs, those that move do."""
    one = epoch(geometry=Geometry(80, 20, 12))
    windows = [*one.feed(music(0.1)), *one.lose(2205), *one.feed(music(4.0))]
    assert [round(w.lost_ms) for w in windows[:5]] == [100] * 5
    assert windows[-1].lost_ms == 0


def test_silence_before_a_full_window() -> None:
    """Windows that grow are silent if all of them is; silence is decided by the shortest."""
    geometry = Geometry(200, 20, 60)
    assert all(window.silent for window in heard(epoch(geometry=geometry), np.zeros(3 * RATE, np.float32)))
    assert not any(window.silent for window in heard(epoch(geometry=geometry), music(3.0)))


# Loss


@by_rate
@given(st.integers(0, 150_000), st.integers(1, 40_000))
@settings(max_examples=10)
def test_a_loss_is_zeros_in_its_place(rate_hz: int, at: int, lost: int) -> None:
    """Positions go on through a loss: every window is that of the stream with zeros for what was lost."""
    samples = music(4.0, rate_hz)
    at = min(at, len(samples) - 1)
    lossy, zeros = epoch(rate_hz), epoch(rate_hz)
    windows = [*lossy.feed(samples[:at]), *lossy.lose(lost), *lossy.feed(samples[at:]), *lossy.finish()]
    expected = heard(zeros, np.concatenate([samples[:at], np.zeros(lost, np.float32), samples[at:]]))
    assert [all_of(w)[:7] for w in windows] == [all_of(w)[:7] for w in expected]
    assert (lossy.lost, lossy.pushed) == (lost, len(samples) + lost)
    for window in windows:
        begin, end = (n * rate_hz / RATE for n in (window.first_sample, window.last_sample + 1))
        inside = max(0.0, min(end, at + lost) - max(begin, at))
        assert window.lost_ms == pytest.approx(1000 * inside / rate_hz, abs=2000 / rate_hz)
        assert inside > 2 or window.lost_ms <= 2000 / rate_hz


def test_losses_add_up() -> None:
    """A window with two losses in it has lost both; one that begins after them has lost nothing."""
    one = epoch()
    windows = one.feed(music(1.0))
    for _ in range(2):
        windows += one.lose(2205)
        windows += one.feed(music(1.0))
    windows += one.feed(music(3.0))
    assert windows[0].lost_ms == pytest.approx(100, abs=0.1)
    assert max(window.lost_ms for window in windows) == pytest.approx(200, abs=0.1)
    assert windows[-1].first_sample > 2 * (22050 + 2205)
    assert windows[-1].lost_ms == 0.0


# What the signal is like


def test_what_is_no_number_becomes_zero_and_is_counted() -> None:
    """NaN and infinities never reach the features; the rest of the stream is as if they were zeros."""
    samples = music(3.0)
    holes = [5, 30_000, 30_001, 50_000]
    bad, zeroed = samples.copy(), samples.copy()
    bad[holes] = [np.nan, np.inf, -np.inf, np.nan]
    zeroed[holes] = 0
    one = epoch()
    assert [all_of(w) for w in heard(one, bad, [1000])] == [all_of(w) for w in heard(epoch(), zeroed)]
    assert one.nonfinite == 4
    assert np.isnan(bad[5])  # the caller's samples are left alone


@pytest.mark.parametrize(("rate_hz", "narrow"), [(8000, True), (22049, True), (22050, False), (48000, False)])
def test_narrow_band(rate_hz: int, narrow: bool) -> None:
    """A rate below the model's cannot carry the band that the features look at."""
    assert epoch(rate_hz).narrow_band is narrow


def test_level_is_measured_before_the_gain() -> None:
    """Level, silence and clipping are those of the signal, whatever gain is applied to it."""
    faint = np.clip(music(4.0) * np.float32(0.01), -1, 1)
    plain, raised = epoch(gain_db=0.0), epoch(gain_db=60.0)
    for one, other in zip(heard(plain, faint), heard(raised, faint), strict=True):
        assert one.level_dbfs == other.level_dbfs == pytest.approx(-55, abs=5)
        assert (one.gain_db, other.gain_db) == (0.0, 60.0)
        assert one.silent is other.silent is False
    assert plain.peak.clipped == raised.peak.clipped == 0


def test_level_is_that_of_the_newest_hop() -> None:
    """The level of a window is the RMS of its last hop, not of all of it."""
    loud, quiet = music(3.0), music(3.0) * np.float32(0.1)
    *_, last = heard(epoch(), np.concatenate([loud, quiet]))
    end = last.last_sample + 1
    newest = np.concatenate([loud, quiet])[end - STEP * HOP : end]
    assert last.level_dbfs == pytest.approx(10 * np.log10(np.mean(newest.astype(float) ** 2)), abs=0.01)


def test_silence() -> None:
    """Windows at whose end it has been silent for long enough say so; music before or after them does not."""
    one = epoch(geometry=Geometry(200, 40))
    windows = heard(one, np.concatenate([music(6.0), np.zeros(5 * RATE, np.float32), music(6.0)]))
    for window in windows:
        ends_s = (window.last_sample + 1) / RATE
        if 9.1 < ends_s < 11:
            assert window.silent
        elif ends_s < 8.9 or ends_s > 11.5:
            assert not window.silent


# Books


@by_rate
def test_what_is_in_no_frame_yet(rate_hz: int) -> None:
    """Samples wait in the resampler and in a partial frame: less than a frame, a hop and the resampler's delay."""
    one, samples = epoch(rate_hz), music(3.0, rate_hz)
    least = round((N_FFT + HOP) * rate_hz / RATE) + rate_hz // 50
    for piece in cut(samples, [777]):
        one.feed(piece)
        assert 0 <= one.unframed <= min(least, one.pushed)
        assert one.pushed - one.unframed == pytest.approx(MFCC.spec.samples(one.frames) * rate_hz / RATE, abs=1)
    assert one.pushed == len(samples)
    assert one.unframed < one.pushed


def test_progress_and_what_is_missing() -> None:
    """Until the first window its progress grows from 0 to 1, and the time that is missing shrinks to none."""
    one = epoch()
    assert (one.progress, one.until_due_s) == (0.0, pytest.approx(SPAN / RATE))
    one.feed(music(4.0)[: SPAN // 2])
    assert one.progress == pytest.approx(0.5, abs=0.03)
    assert one.until_due_s == pytest.approx(SPAN / RATE / 2, abs=0.001)
    one.feed(music(4.0)[SPAN // 2 : SPAN])
    assert (one.due, one.progress) == (1, 1.0)
    assert one.until_due_s == pytest.approx(STEP * HOP / RATE)


def test_progress_to_a_first_window_that_is_shorter() -> None:
    """Progress, and the time that is missing, are to the first window, not to the first full one."""
    one = epoch(geometry=Geometry(80, 20, 12))
    one.feed(music(4.0)[: MFCC.spec.samples(6)])
    assert one.progress == 0.5
    assert one.until_due_s == pytest.approx(6 * HOP / RATE)
    (first,) = one.feed(music(4.0)[: 6 * HOP])
    assert (len(first.mfcc), one.progress) == (12, 1.0)
    assert one.until_due_s == pytest.approx(8 * HOP / RATE)


def test_nothing_fed_nothing_due() -> None:
    """An epoch without samples has no windows, not even at its end."""
    for rate_hz in RATES:
        one = epoch(rate_hz)
        assert one.feed(np.empty(0, np.float32)) == one.finish() == []
        assert (one.pushed, one.frames, one.due, one.unframed) == (0, 0, 0, 0)


@pytest.mark.parametrize("rate_hz", [22050, 44100])
def test_bytes_in_a_wrong_format(rate_hz: int) -> None:
    """Whatever bits are taken for samples, levels, gains and frames stay numbers."""
    bits = np.random.default_rng(0).integers(0, 2**32, 4 * rate_hz, dtype=np.uint32)
    one = epoch(rate_hz, gain_db=60.0)
    windows = heard(one, bits.view(np.float32))
    assert windows
    assert 0.1 < one.nonfinite / len(bits) < 0.5
    for window in windows:
        assert np.isfinite([window.level_dbfs, *window.mfcc.ravel()]).all()
    assert np.isfinite(one.peak.take_dbfs())


# Phases


@settings(max_examples=15)
@given(lengths=sizes, phase=st.sampled_from([0, 8, 16]), fewest=st.sampled_from([0, 8, 16]))
def test_a_phase_moves_the_windows(lengths: list[int], phase: int, fewest: int) -> None:
    """All windows begin `phase` frames later, those that grow too, and are what windows there are; in any chunking."""
    samples, geometry = music(2.5), Geometry(24, 8, fewest)
    one = epoch(geometry=replace(geometry, phase_frames=phase))
    missing_s = one.until_due_s
    windows = heard(one, samples, lengths)
    frames = MFCC(samples)
    places = [geometry.place(number) for number in range(len(windows))]
    assert len(windows) == (len(frames) - phase - (fewest or 24)) // 8 + 1
    for window, (first, after) in zip(windows, places, strict=True):
        assert window.first_frame == phase + first
        np.testing.assert_array_equal(window.mfcc, frames[phase + first : phase + after])
        assert window.first_sample == window.first_frame * HOP
        assert window.samples == MFCC.spec.samples(after - first)
    assert missing_s == pytest.approx(((phase + (fewest or 24) - 1) * HOP + N_FFT) / RATE)


def test_progress_counts_the_phase() -> None:
    """The first window is there when its phase and its frames are."""
    one = epoch(geometry=Geometry(24, 8, 8, phase_frames=8))
    one.feed(music(1.0)[: MFCC.spec.samples(8)])
    assert one.progress == 0.5
    one.feed(music(1.0)[: 8 * HOP])
    assert (one.progress, one.due) == (1.0, 1)
