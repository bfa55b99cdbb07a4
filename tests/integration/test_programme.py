"""Two styles in a row, the default model, a real daemon: what it says of the windows, and what they add up to."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from msgspec import UNSET
from wholly import Start, hear_wholly, windows

from conftest import genred, write_wav
from genred.card import find_model
from genred.messages import Message, Segment
from genred.sources.synth import SAMPLE_RATE_HZ, STYLE_SECONDS, Band


@pytest.fixture
def programme(tmp_path: Path) -> Path:
    """The demo band's first two styles, half a minute each."""
    return write_wav(tmp_path / "programme.wav", Band().render(round(2 * STYLE_SECONDS * SAMPLE_RATE_HZ)))


def classified(path: Path) -> list[dict[str, Any]]:
    """Segments of `path` by ``genred classify``."""
    result = genred("classify", "--json", path)
    assert result.returncode == 0, result.stderr
    segments: list[dict[str, Any]] = json.loads(result.stdout)["segments"]
    return segments


def of_segment(told: list[Segment], number: int) -> list[Segment]:
    return [segment for segment in told if segment.number == number]


def assert_whole(messages: list[Message], told: list[Segment]) -> None:
    """Each starts and ends once; the ends follow each other from the first window's beginning to the last one's end."""
    heard = windows(messages, "s")
    assert [segment.seq for segment in told] == list(range(len(told)))
    for number in range(told[-1].number + 1):
        phases = [segment.phase for segment in of_segment(told, number)]
        assert phases == ["start", *["update"] * (len(phases) - 2), "end"]
        assert len({(segment.first_sample, segment.epoch) for segment in of_segment(told, number)}) == 1
    ends = [segment for segment in told if segment.phase == "end"]
    assert (ends[0].first_sample, ends[-1].last_sample) == (heard[0].first_sample, heard[-1].last_sample)
    assert all(one.last_sample + 1 == other.first_sample for one, other in pairwise(ends))
    assert sum(segment.windows for segment in ends) == len([e for e in heard if e.probabilities is not UNSET])


def test_two_styles_are_two_segments(daemon: Start, tmp_path: Path, programme: Path) -> None:
    """Start, updates and end of each, as classify has them; the boundary near where it was; smoothed answers later."""
    messages = hear_wholly(daemon, find_model(), tmp_path / "run", f"s=file:{programme}?pace=max")
    told = [m for m in messages if isinstance(m, Segment)]
    assert_whole(messages, told)

    first, second = [segment for segment in told if segment.phase == "end"]
    assert first.label != second.label
    assert second.first_sample / SAMPLE_RATE_HZ == pytest.approx(STYLE_SECONDS, abs=5.0)
    assert {segment.began_at for segment in told} == {UNSET}
    assert [(segment.label, segment.windows) for segment in (first, second)] == [
        (one["label"], one["windows"]) for one in classified(programme)
    ]

    answered = [e for e in windows(messages, "s") if e.probabilities is not UNSET]
    smoothed = [e.smoothed for e in answered if e.smoothed is not UNSET]
    assert len(smoothed) == len(answered)
    assert smoothed[0].delay_s == 0.0 < smoothed[-1].delay_s
    raw_at, smoothed_at = (
        next(n for n, label in enumerate(labels) if label == second.label)
        for labels in ([e.label for e in answered], [one.label for one in smoothed])
    )
    assert smoothed_at > raw_at
