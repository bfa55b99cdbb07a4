from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from genred.segments import Heard, Segment, Settings, Smooth, Tracker

RATE = 100  # samples a second
WINDOW, HOP = 2000, 100  # samples: windows of 20 s, one a second
LABELS = ("jazz", "rock", "pop")
SETTINGS = Settings(smoothing_s=4.0, margin=0.2, evidence=1.0, update_s=10.0)
ROCK, JAZZ, POP = ({label: 0.8 if label == one else 0.1 for label in LABELS} for one in ("rock", "jazz", "pop"))


def windows(tables: Iterable[dict[str, float] | None], hop: int = HOP, unsure_below: float = 0.0) -> list[Heard]:
    """Windows of an epoch, one a hop, answered with `tables`."""
    return [Heard(n * hop, n * hop + WINDOW - 1, RATE, table, unsure_below) for n, table in enumerate(tables)]


def joined(*pieces: tuple[dict[str, float], float], hop: int = HOP) -> list[Heard]:
    """Windows over `pieces`, each of so many seconds: a window's answer is of each piece the share that it covers."""
    ends = np.cumsum([RATE * seconds for _, seconds in pieces])
    starts = np.concatenate([[0], ends[:-1]])
    tables = []
    for first in range(0, int(ends[-1]) - WINDOW + 1, hop):
        shares = np.maximum(np.minimum(ends, first + WINDOW) - np.maximum(starts, first), 0) / WINDOW
        tables.append(
            {label: sum(s * one[label] for s, (one, _) in zip(shares, pieces, strict=True)) for label in LABELS}
        )
    return windows(tables, hop)


def follow(heard: Iterable[Heard], settings: Settings = SETTINGS) -> tuple[list[Smooth | None], list[Segment]]:
    """What a tracker says of `heard`, and at the end."""
    tracker = Tracker(settings)
    smooth, told = [], []
    for one in heard:
        answer, segments = tracker.hear(one)
        smooth.append(answer)
        told += segments
    return smooth, told + tracker.end()


def ends(told: Sequence[Segment]) -> list[Segment]:
    return [segment for segment in told if segment.phase == "end"]


tables = st.lists(
    st.none()
    | st.lists(st.floats(0.01, 1.0), min_size=3, max_size=3).map(
        lambda shares: dict(zip(LABELS, (np.array(shares) / sum(shares)).tolist(), strict=True))
    ),
    min_size=1,
    max_size=60,
)


# Smoothing


def test_a_mean_follows_a_step_by_its_time_constant() -> None:
    """After one time constant of new answers the mean has gone 63 % of the way, whatever the hop is."""
    for hop in (10, 50, 100, 400):
        before, after = [JAZZ] * (8000 // hop), [ROCK] * (400 // hop)
        smooth, _ = follow(windows([*before, *after], hop))
        share = (smooth[-1].probabilities["rock"] - 0.1) / 0.7
        assert share == pytest.approx(1 - 1 / math.e)


def test_the_stated_delay_is_that_of_the_mean() -> None:
    """A probability that rises steadily is smoothed to what it was `delay_s` ago: none at first, then ever the same."""
    rising = [{"jazz": 1 - n / 200, "rock": n / 200} for n in range(100)]
    smooth, _ = follow(windows(rising))
    assert smooth[0].delay_s == 0.0
    for n, one in enumerate(smooth):
        assert one.probabilities["rock"] == pytest.approx((n - one.delay_s) / 200)
    a = 1 - math.exp(-1 / 4)
    assert smooth[-1].delay_s == pytest.approx((1 - a) / a)


def test_without_smoothing_the_means_are_the_answers() -> None:
    """A time constant of 0 is no smoothing, and no delay."""
    smooth, _ = follow(windows([JAZZ, ROCK, POP]), replace(SETTINGS, smoothing_s=0.0))
    assert [one.probabilities for one in smooth] == [JAZZ, ROCK, POP]
    assert {one.delay_s for one in smooth} == {0.0}


def test_a_label_holds_until_another_is_clearly_better() -> None:
    """Two labels that take turns to lead by less than the margin are one steady label; one beyond it takes over."""
    close = [{"jazz": 0.5 + 0.09 * (-1) ** n, "rock": 0.5 - 0.09 * (-1) ** n} for n in range(40)]
    none = replace(SETTINGS, smoothing_s=0.0)
    assert {one.label for one in follow(windows(close), none)[0]} == {"jazz"}
    assert {one.label for one in follow(windows(close), replace(none, margin=0.0))[0]} == {"jazz", "rock"}
    labels = [one.label for one in follow(windows([*close, {"jazz": 0.39, "rock": 0.61}, *close]), none)[0]]
    assert labels == ["jazz"] * 40 + ["rock"] * 41


def test_the_confidence_is_the_held_labels() -> None:
    """Not the greatest one: while a label holds against a better one, that is seen."""
    smooth, _ = follow(
        windows([{"jazz": 0.6, "rock": 0.4}, {"jazz": 0.45, "rock": 0.55}]), replace(SETTINGS, smoothing_s=0)
    )
    assert (smooth[1].label, smooth[1].confidence) == ("jazz", 0.45)


def test_what_no_window_would_be_sure_of_is_unsure() -> None:
    """Where no probability is what a window has to reach there is no label, but all the means; a segment, too."""
    faint = dict.fromkeys(LABELS, 1 / 3)
    smooth, told = follow(windows([faint] * 30 + [JAZZ] * 30, unsure_below=0.5))
    assert [one.label for one in smooth[:30]] == [None] * 30
    assert (smooth[0].confidence, smooth[0].probabilities) == (None, faint)
    assert smooth[-1].label == "jazz"
    assert [segment.label for segment in ends(told)] == [None, "jazz"]


@given(st.lists(st.floats(0.02, 1.0), min_size=3, max_size=3), st.floats(0.0, 1.0))
def test_a_single_window_is_unsure_as_its_verdict_is(shares: list[float], least: float) -> None:
    """The first window of an epoch has a label if and only if its greatest probability reaches what it has to."""
    table = dict(zip(LABELS, (np.array(shares) / sum(shares)).tolist(), strict=True))
    if abs(max(table.values()) - least) > 1e-3:
        (smooth,), told = follow(windows([table], unsure_below=least))
        assert {smooth.label, *(segment.label for segment in told)} == {
            max(table, key=table.get) if max(table.values()) > least else None
        }


# Segments


def test_one_answer_is_one_segment() -> None:
    """It starts with the first window, is told again every 10 s, and ends with the last one, with its mean."""
    heard = windows([ROCK] * 35)
    _, told = follow(heard)
    assert [segment.phase for segment in told] == ["start", "update", "update", "update", "end"]
    assert {(segment.number, segment.label, segment.first_sample) for segment in told} == {(0, "rock", 0)}
    assert [segment.last_sample for segment in told] == [heard[n].last_sample for n in (0, 10, 20, 30, 34)]
    assert [segment.windows for segment in told] == [1, 11, 21, 31, 35]
    assert told[-1].probabilities == pytest.approx(ROCK)
    assert told[-1].confidence == pytest.approx(0.8)
    assert told[0].delay_s == pytest.approx(20.0, abs=2 / RATE)
    assert told[-1].delay_s == 0.0


@pytest.mark.parametrize("hop", [20, 100, 370])
@given(seconds=st.floats(40.0, 70.0))
def test_a_change_is_found_where_it_was(hop: int, seconds: float) -> None:
    """Of two pieces of 40 to 70 s the boundary is found to a hop, after less than one and a half windows."""
    _, told = follow(joined((JAZZ, seconds), (ROCK, 60.0), hop=hop))
    first, second = ends(told)
    assert (first.label, second.label) == ("jazz", "rock")
    assert second.first_sample == first.last_sample + 1 == pytest.approx(RATE * seconds, abs=hop)
    (start,) = [segment for segment in told if (segment.phase, segment.number) == ("start", 1)]
    assert start.first_sample == second.first_sample
    assert 10.0 < start.delay_s < 30.0


def test_means_are_of_each_side_of_the_boundary() -> None:
    """No window counts for both segments, and each has those whose middle it holds."""
    heard = joined((JAZZ, 60.0), (ROCK, 50.0))
    first, second = ends(follow(heard)[1])
    for segment in (first, second):
        its = [one for one in heard if segment.first_sample <= one.middle <= segment.last_sample]
        assert abs(segment.windows - len(its)) <= 1
    assert first.windows + second.windows == len(heard)
    assert max(first.probabilities, key=first.probabilities.get) == "jazz"
    assert max(second.probabilities, key=second.probabilities.get) == "rock"
    assert second.probabilities["rock"] > 0.7


def test_a_single_window_changes_nothing() -> None:
    """Nor do three in a row: they are the same sound but for its ends."""
    heard = windows([*[JAZZ] * 30, *[ROCK] * 3, *[JAZZ] * 30])
    smooth, told = follow(heard)
    assert [segment.label for segment in ends(told)] == ["jazz"]
    assert {one.label for one in smooth} == {"jazz"}


def test_the_hop_does_not_matter() -> None:
    """Windows that come four times as often weigh a quarter each: a boundary is told as late, at the same place."""
    starts = []
    for hop in (25, 100):
        _, told = follow(joined((JAZZ, 50.0), (ROCK, 60.0), hop=hop))
        starts.append([segment for segment in told if segment.phase == "start"][1])
    assert starts[0].first_sample == pytest.approx(starts[1].first_sample, abs=100)
    assert starts[0].delay_s == pytest.approx(starts[1].delay_s, abs=1.0)


def test_windows_that_are_missing_count_with_what_they_had() -> None:
    """A skipped window's sound is in the next one: that weighs so much more."""
    heard = joined((JAZZ, 50.0), (ROCK, 60.0))
    thinned = [one for n, one in enumerate(heard) if n % 5 == 0]
    whole, thin = (ends(follow(one)[1]) for one in (heard, thinned))
    assert [segment.label for segment in thin] == [segment.label for segment in whole]
    assert thin[1].first_sample == pytest.approx(whole[1].first_sample, abs=500)


def test_a_first_guess_is_corrected_not_ended() -> None:
    """When the first windows, short ones, were wrong, the segment gets another label and keeps its beginning."""
    growing = [Heard(0, 300 + n * HOP - 1, RATE, ROCK if n < 4 else JAZZ) for n in range(17)]
    full = [Heard(n * HOP, n * HOP + WINDOW - 1, RATE, JAZZ) for n in range(1, 30)]
    _, told = follow([*growing, *full])
    assert (told[0].phase, told[0].label) == ("start", "rock")
    (update, *_) = [segment for segment in told if segment.label == "jazz"]
    assert (update.phase, update.number, update.first_sample) == ("update", 0, 0)
    assert [(segment.label, segment.first_sample) for segment in ends(told)] == [("jazz", 0)]


def test_silence_ends_a_segment() -> None:
    """What comes after it begins anew and behind it, with no memory of what was before."""
    heard = windows([*[JAZZ] * 20, *[None] * 5, *[ROCK] * 20])
    smooth, told = follow(heard)
    assert smooth[20:25] == [None] * 5
    assert (smooth[25].label, smooth[25].delay_s, smooth[25].probabilities) == ("rock", 0.0, ROCK)
    first, second = ends(told)
    assert (first.number, first.label, first.last_sample) == (0, "jazz", heard[19].last_sample)
    assert (second.number, second.label, second.first_sample) == (1, "rock", heard[24].last_sample + 1)


def test_a_cut_ends_a_segment_within_an_epoch() -> None:
    """The next one begins where it ended, and may have other labels."""
    tracker = Tracker(SETTINGS)
    first, second = windows([JAZZ] * 2)
    tracker.hear(first)
    (end,) = tracker.cut()
    smooth, (start,) = tracker.hear(replace(second, probabilities={"slow": 0.25, "fast": 0.75}))
    assert (end.phase, end.label) == ("end", "jazz")
    assert (start.number, start.label, start.first_sample) == (1, "fast", end.last_sample + 1)
    assert smooth is not None
    assert (smooth.label, smooth.delay_s) == ("fast", 0.0)


def test_the_end_of_an_epoch_ends_a_segment() -> None:
    """The next epoch counts its samples from 0 again, and its segments on."""
    tracker = Tracker(SETTINGS)
    for one in windows([JAZZ] * 5):
        tracker.hear(one)
    (end,) = tracker.end()
    assert (end.phase, end.number, end.label) == ("end", 0, "jazz")
    assert tracker.end() == []
    _, (start,) = tracker.hear(windows([ROCK])[0])
    assert (start.phase, start.number, start.label, start.first_sample) == ("start", 1, "rock", 0)


@given(tables)
def test_segments_follow_each_other(tables: list[dict[str, float] | None]) -> None:
    """Whatever comes: each starts and ends once, where the one before ends; each window is in one; means are means."""
    _, told = follow(windows(tables))
    numbers = [segment.number for segment in told]
    assert numbers == sorted(numbers)
    for number in set(numbers):
        phases = [segment.phase for segment in told if segment.number == number]
        assert phases == ["start", *["update"] * (len(phases) - 2), "end"]
    finished = ends(told)
    assert all(one.last_sample < other.first_sample for one, other in pairwise(finished))
    if None not in tables:
        assert all(one.last_sample + 1 == other.first_sample for one, other in pairwise(finished))
    assert all(segment.first_sample <= segment.last_sample for segment in finished)
    assert sum(segment.windows for segment in finished) == sum(table is not None for table in tables)
    for segment in told:
        assert segment.delay_s >= 0.0
        assert sum(segment.probabilities.values()) == pytest.approx(1.0)
        assert min(segment.probabilities.values()) > 0.0


@given(tables, st.integers(0, 60))
def test_the_future_changes_nothing(tables: list[dict[str, float] | None], cut: int) -> None:
    """What is said of the first windows is the same whatever comes after them."""
    heard = windows(tables)
    tracker = Tracker(SETTINGS)
    whole = [tracker.hear(one) for one in heard]
    tracker = Tracker(SETTINGS)
    assert [tracker.hear(one) for one in heard[:cut]] == whole[:cut]
