"""The dashboard's colours, bars, meter, strip and letters."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.color import Color, ColorSystem

from conftest import LABELS
from genred.dashboard.gauges import (
    BAD,
    COLOURS,
    GOOD,
    LEAST_SLOTS,
    WARNING,
    ages,
    bar,
    columns,
    fit,
    meter,
    names,
    slots_a_column,
    span,
    strip,
)
from genred.dashboard.letters import large, larger
from genred.snapshot import Mark


def luminance(hexadecimal: str) -> float:
    """Relative luminance as WCAG 2 defines it."""
    channels = [int(hexadecimal[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return sum(weight * c for weight, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


@pytest.mark.parametrize("shade", [*COLOURS.values(), GOOD, WARNING, BAD])
def test_colours_are_seen_on_light_and_dark(shade: str) -> None:
    """Contrast to white and to black is at least 3 to 1, as WCAG wants it of graphics."""
    assert 1.05 / (luminance(shade) + 0.05) >= 3
    assert (luminance(shade) + 0.05) / 0.05 >= 3


@pytest.mark.parametrize("shade", [*COLOURS.values(), GOOD, WARNING, BAD])
def test_colours_are_not_the_ground(shade: str) -> None:
    """Where there are 16 colours only, none of ours becomes the terminal's black or white."""
    assert Color.parse(shade).downgrade(ColorSystem.STANDARD).number not in (0, 7, 15)


def test_the_genres_have_ten_colours() -> None:
    """Each label has its own, also where there are 256 colours only."""
    assert set(COLOURS) == set(LABELS)
    assert len({Color.parse(shade).downgrade(ColorSystem.EIGHT_BIT).number for shade in COLOURS.values()}) == 10


@given(st.floats(0, 1), st.integers(1, 80))
def test_a_bar_is_as_long_as_its_share(share: float, width: int) -> None:
    """It fills its width, and its ink is the share of it, to an eighth of a column."""
    text = bar(share, width, "").plain
    ink = sum(" ▏▎▍▌▋▊▉█".index(sign) for sign in text)
    assert len(text) == width
    assert abs(ink - 8 * share * width) <= 0.5


@given(st.floats(-130, 3), st.floats(-130, 3), st.integers(5, 100))
def test_a_louder_station_has_a_longer_meter(one: float, other: float, width: int) -> None:
    """The meter grows with the level, from -60 dBFS to 0."""
    lengths = [meter(level, -130.0, width).plain.count("▮") for level in (min(one, other), max(one, other))]
    assert 0 <= lengths[0] <= lengths[1] <= width


def test_the_meter_holds_the_peak() -> None:
    """A line stands where the peak was, right of the level; half way at -30 dBFS."""
    assert meter(-45.0, -30.0, 40).plain == "▮" * 10 + "·" * 9 + "┃" + "·" * 20


def test_the_strip_is_the_past() -> None:
    """A column a slot, the newest at the right, as high as the confidence; silence is a dot and a gap is nothing."""
    marks = [Mark("rock", 1.0), None, Mark("silence", 0.0), Mark("jazz", 0.5), Mark("jazz", 0.125)]
    upper, lower = strip(marks, 7, 2, None)
    assert (upper.plain, lower.plain) == ("  ▇    ", "  █ ·█▂")
    assert lower.spans[-1].style == COLOURS["jazz"]
    assert [line.plain for line in strip(marks, 2, 1, None)] == ["▄▁"]


@given(st.floats(0, 1), st.integers(1, 12))
def test_strips_one_above_the_other_do_not_touch(share: float, rows: int) -> None:
    """The topmost eighth of a strip is free, whatever is shown."""
    top, *_ = strip([Mark("rock", share)], 1, rows, None)
    assert top.plain != "█"


def test_the_colours_of_the_strip_are_named() -> None:
    """Each run has its name in its middle where that fits, the longest first; without colours the others' letters."""
    marks = [*[Mark("rock", 0.5)] * 3, *[Mark("classical", 0.5)] * 5, *[Mark("jazz", 0.5)] * 12, None, Mark("pop", 0.5)]
    assert names(marks, 24, None).plain == "   classical  jazz   pop"
    assert names(marks, 24, {"rock": "r"}).plain == "   classical  jazz   pop"
    assert names(marks[4:], 18, {"classical": "c"}).plain == "cccc    jazz   pop"
    assert cell_len(names([Mark("日本語", 0.5)] * 9, 9, {}).plain) == 9


@given(st.lists(st.none() | st.sampled_from(["pop", "rock", "jazz"]), max_size=400), st.integers(1, 200))
def test_a_narrow_strip_shows_two_minutes(heard: list[str | None], width: int) -> None:
    """Where there are fewer columns than slots in two minutes, several slots are one column; never more than fit."""
    shown = columns([Mark(what, 0.5) if what else None for what in heard], 1000, width)
    assert len(shown) <= width
    assert width * slots_a_column(width) >= LEAST_SLOTS
    assert {mark.what for mark in shown if mark} <= set(heard)


def test_columns_stay_what_they_are() -> None:
    """As time goes on the strip moves, but no column of several slots changes when it is whole."""
    rng = np.random.default_rng(0)
    past = [Mark(LABELS[at], 0.5) for at in rng.integers(0, 10, size=500)]
    pictures = [columns(past[max(now - 300, 0) : now + 1], now, 20) for now in range(400, 420)]
    for older, newer in pairwise(pictures):
        assert older[5:-1] in (newer[5:-1], newer[4:-2])


def test_ages_stand_at_their_columns() -> None:
    """Each minute is 30 columns, or fewer where a column is several slots; no age is older than the past."""
    assert ages(70, 70).plain == " " * 8 + "2 min" + " " * 25 + "1 min" + " " * 24 + "now"
    assert ages(10, 70).plain.split() == ["now"]
    assert ages(30, 30).plain.split() == ["1", "min", "now"]
    assert cell_len(ages(2, 2).plain) == 2
    assert span(60, 70) == "2:00 min"
    assert span(10, 20) == "1:00 min"


@given(st.text(), st.integers(0, 30))
def test_text_is_fitted(text: str, width: int) -> None:
    """Whatever comes from outside takes exactly the cells it is given."""
    assert cell_len(fit(text, width)) == width


def test_every_label_can_be_written_large() -> None:
    """The genres, the reasons, the states and numbers are in the font; other letters give none rather than a part."""
    for word in (*LABELS, "silence", "warming-up", "too-short", "unsure", "connecting", "stalled", "lost", "ended"):
        assert len({len(row) for row in large(f"{word} 0123456789%")}) == 1
    assert large("naïve") == larger("naïve") == large("") == []
