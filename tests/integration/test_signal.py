"""What is wrong with the sound itself, from a real stream to a subscriber."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
from msgspec import UNSET
from wholly import Start, assert_books_balance, hear_wholly, windows

from conftest import music, write_wav
from genred.features import Samples
from genred.messages import Event, Message, Signal

RATE = 22050


def stereo(samples: Samples) -> Samples:
    return np.stack([samples, samples], axis=1)


def hear(daemon: Start, folder: Path, model: Path, samples: Samples) -> list[Message]:
    """All that is said of the float samples [N, 2] on stdin, with thresholds of a configuration file."""
    (folder / "raw").write_bytes(samples.astype("<f4").tobytes())
    config = folder / "genred.toml"
    config.write_text(
        f"""
        [[station]]
        name = "line"
        uri = "-?format=f32le&rate={RATE}&channels=2"
        tags = ["test"]
        signal = {{ dead-channel-s = 4, silence-s = 2 }}
        """
    )
    with (folder / "raw").open("rb") as stdin:
        return hear_wholly(daemon, model, folder, "--config", config, stdin=stdin)


def told(messages: list[Message]) -> dict[Signal, tuple[float, float]]:
    """Beginning and length, in seconds, of everything that was wrong, each once and over in the end."""
    events = [m for m in messages if isinstance(m, Event) and m.event == "signal"]
    begun = {e.signal: e for e in events if not e.duration_ms}
    over = {e.signal: e for e in events if e.duration_ms}
    assert len(events) == 2 * len(begun) == 2 * len(over)
    for signal, event in over.items():
        assert (event.begin_s, event.channel) == (begun[signal].begin_s, begun[signal].channel)  # type: ignore[index]
        assert isinstance(event.began_at, str)  # stdin has times
        datetime.fromisoformat(event.began_at)
    return {signal: (e.begin_s, e.duration_ms / 1000) for signal, e in over.items()}  # type: ignore[misc]


def test_each_fault_is_told_with_its_beginning_and_length(daemon: Start, tmp_path: Path, small_model: Path) -> None:
    """A stream that clips, loses a channel, has an offset and falls silent tells of each, where and how long it was."""
    samples = stereo(music(50.0))
    second = np.arange(len(samples)) // RATE  # [N]
    samples[(second >= 5) & (second < 9)] *= 20
    np.clip(samples, -1, 1, out=samples)
    samples[(second >= 14) & (second < 22), 1] = 0
    samples[(second >= 25) & (second < 33)] += 0.1
    samples[(second >= 40) & (second < 46)] = 0
    messages = hear(daemon, tmp_path, small_model, samples)
    expected = {
        "clipping": (5, 4 + 1),  # a second is clipped that has some clipped samples
        "dead-channel": (14, 8),
        "dc": (25, 8),
        "silence": (40, 6),
        "digital-silence": (40, 6),
    }
    found = told(messages)
    assert set(found) == set(expected)
    for signal, times in expected.items():
        assert found[signal] == pytest.approx(times, abs=0.3), signal  # type: ignore[index]
    silent = [e for e in windows(messages, "line") if 43 < e.last_sample / RATE < 46]
    assert {e.reason for e in silent} == {"silence"}
    assert all(not e.label for e in silent)
    assert all(e.label for e in windows(messages, "line") if e.last_sample / RATE < 40)
    assert_books_balance(messages)


def test_a_frozen_input_has_no_genre(daemon: Start, tmp_path: Path, small_model: Path) -> None:
    """An input that stays at one value is told as frozen, and answered as silence, not as music."""
    samples = stereo(music(20.0))
    samples[8 * RATE : 16 * RATE] = 0.25
    messages = hear(daemon, tmp_path, small_model, samples)
    found = told(messages)
    assert found["frozen"] == pytest.approx((8, 8), abs=0.3)
    assert set(found) == {"frozen", "silence"}
    frozen = [e for e in windows(messages, "line") if 11 < e.last_sample / RATE < 16]
    assert {e.reason for e in frozen} == {"silence"}


def test_a_files_dead_channel_is_told(daemon: Start, tmp_path: Path, small_model: Path) -> None:
    """A decoder keeps two channels apart up to the station, which names the one that dies and hears the mix."""
    samples = stereo(music(12.0, 44100))
    samples[3 * 44100 : 10 * 44100, 1] = 0
    path = write_wav(tmp_path / "half.wav", samples, 44100)
    config = tmp_path / "genred.toml"
    config.write_text(f"[[station]]\nname = 'half'\nuri = 'file:{path}'\nsignal = {{ dead-channel-s = 4 }}\n")
    messages = hear_wholly(daemon, small_model, tmp_path, "--config", config)
    begin, over = (m for m in messages if isinstance(m, Event) and m.event == "signal")
    assert (begin.signal, begin.channel, over.channel) == ("dead-channel", 2, 2)
    assert begin.began_at is UNSET  # a file has no hours
    assert begin.begin_s == pytest.approx(3, abs=0.2)
    assert over.duration_ms == pytest.approx(7000, abs=300)
    assert all(e.label for e in windows(messages, "half"))
    assert_books_balance(messages)
