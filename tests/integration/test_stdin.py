"""Raw PCM on stdin."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import numpy as np
import pytest
from wholly import Start, assert_books_balance, assert_same, from_the_start, hear_wholly, judged, statuses, windows

from conftest import collect, music, write_wav
from genred.features import Samples
from genred.messages import Estimate, Message

RATE = 22050
WRITE = "import os, sys\nwhile piece := os.read(0, int(sys.argv[1])): os.write(1, piece)"


def sixteen(samples: Samples) -> np.ndarray:
    """As write_wav rounds it."""
    return (np.clip(samples, -1, 1) * 32767).astype("<i2")


def as_floats(values: np.ndarray) -> Samples:
    """What write_wav rounds to the 16-bit `values`."""
    return (values + 0.25 * np.sign(values)) / 32767


def as_format(name: str, values: np.ndarray) -> bytes:
    """16-bit `values` in another format, exactly."""
    if name == "s32le":
        return (values.astype("<i4") << 16).tobytes()
    if name == "f32le":
        return (values / np.float32(32768)).astype("<f4").tobytes()
    return values.tobytes()


@contextmanager
def writing(path: Path, size: int) -> Iterator[IO[bytes]]:
    """A pipe into which another process writes the file `path`, `size` bytes at a time."""
    with (
        path.open("rb") as content,
        subprocess.Popen([sys.executable, "-c", WRITE, str(size)], stdin=content, stdout=subprocess.PIPE) as writer,
    ):
        assert writer.stdout is not None
        yield writer.stdout


@pytest.mark.parametrize(("name", "rate", "channels"), [("s16le", 48000, 2), ("s32le", 8000, 1), ("f32le", RATE, 3)])
def test_a_stream_is_judged_as_the_file_would_be(
    daemon: Start, tmp_path: Path, small_model: Path, name: str, rate: int, channels: int
) -> None:
    """PCM of any format, written in odd pieces, gives the windows and answers of a WAV file with these samples."""
    samples = np.stack([music(6.0, rate, seed) for seed in range(channels)], axis=1)
    path = write_wav(tmp_path / "same.wav", samples, rate)
    raw = tmp_path / "raw"
    raw.write_bytes(as_format(name, sixteen(samples)))
    uri = f"-?format={name}&rate={rate}&channels={channels}"
    with writing(raw, 1021) as stdin:
        messages = hear_wholly(daemon, small_model, tmp_path, uri, stdin=stdin)
    timeline = judged(path, small_model)
    assert len(timeline) == 5
    assert_same(windows(messages, "stdin"), timeline)
    assert_books_balance(messages)


def test_eight_bits_are_unsigned(daemon: Start, tmp_path: Path, small_model: Path) -> None:
    """u8 has its zero at 128: a constant 128 is silence, and 0 and 255 are full scale."""
    raw = tmp_path / "raw"
    raw.write_bytes(bytes([128]) * 4 * RATE + bytes([0, 255]) * 2 * RATE)
    with raw.open("rb") as stdin:
        messages = hear_wholly(daemon, small_model, tmp_path, f"-?format=u8&rate={RATE}&channels=1", stdin=stdin)
    published = windows(messages, "stdin")
    assert published[1].reason == published[2].reason == "silence"
    assert published[1].level_dbfs == -120
    assert published[-1].level_dbfs == pytest.approx(0, abs=0.1)


def test_a_fast_writer_waits(daemon: Start, tmp_path: Path, small_model: Path) -> None:
    """Much more PCM than the ring holds, as fast as it can be read: all of it is judged, nothing is skipped."""
    samples = music(60.0)
    path = write_wav(tmp_path / "long.wav", samples)
    raw = tmp_path / "raw"
    raw.write_bytes(sixteen(samples).tobytes())
    with raw.open("rb") as stdin:
        messages = hear_wholly(daemon, small_model, tmp_path, f"-?rate={RATE}&channels=1", "--hop", "8", stdin=stdin)
    timeline = judged(path, small_model, "--hop", "8")
    assert len(timeline) > 300
    assert_same(windows(messages, "stdin"), timeline)
    assert statuses(messages)[-1].total.captured == len(samples)


def test_what_is_no_number_becomes_zero(daemon: Start, tmp_path: Path, small_model: Path) -> None:
    """NaN and infinite samples are judged as zeros, and counted."""
    values = sixteen(music(6.0))
    odd = slice(RATE, 4 * RATE, 1000)
    floats = (values / np.float32(32768)).astype("<f4")
    floats[odd] = np.resize(np.float32([np.nan, np.inf, -np.inf]), len(floats[odd]))
    values[odd] = 0
    path = write_wav(tmp_path / "zeros.wav", as_floats(values))
    raw = tmp_path / "raw"
    raw.write_bytes(floats.tobytes())
    with raw.open("rb") as stdin:
        messages = hear_wholly(daemon, small_model, tmp_path, f"-?format=f32le&rate={RATE}&channels=1", stdin=stdin)
    assert statuses(messages)[-1].faults.nonfinite == len(values[odd]) > 60
    assert_same(windows(messages, "stdin"), judged(path, small_model))


def test_a_sample_cut_short_is_left_out(daemon: Start, tmp_path: Path, small_model: Path) -> None:
    """Bytes at the end that make no whole sample are counted as undecoded, and nothing else suffers."""
    raw = tmp_path / "raw"
    raw.write_bytes(b"\1\2" * 2 * 1000 + b"\1\2\3")
    with raw.open("rb") as stdin:
        messages = hear_wholly(daemon, small_model, tmp_path, f"-?rate={RATE}", stdin=stdin)
    last = statuses(messages)[-1]
    assert (last.total.captured, last.faults.undecoded, last.faults.crashes) == (1000, 1, 0)


@pytest.mark.parametrize("size", [0, 1, 4 * RATE])
def test_a_stream_that_is_too_short_ends_well(daemon: Start, tmp_path: Path, small_model: Path, size: int) -> None:
    """Stdin that closes at once, or before the first window, ends the daemon with 0; it says too-short or nothing."""
    raw = tmp_path / "raw"
    raw.write_bytes(bytes(size))
    with raw.open("rb") as stdin:
        messages = hear_wholly(daemon, small_model, tmp_path, "-", stdin=stdin)
    estimates = [m for m in messages if isinstance(m, Estimate)]
    assert not windows(messages, "stdin")
    assert {e.reason for e in estimates if e.reason != "warming-up"} <= {"too-short"}
    assert statuses(messages)[-1].state == "ended"
    if size > 4:
        assert estimates[-1].reason == "too-short"


def test_a_writer_that_pauses_is_waited_for(daemon: Start, tmp_path: Path, small_model: Path) -> None:
    """Between two pieces the station waits; then it goes on in the same epoch, and the books balance."""
    values = sixteen(music(5.0))
    half = 3 * RATE
    with from_the_start(daemon, small_model, tmp_path, f"-?rate={RATE}&channels=1", stdin=subprocess.PIPE) as (
        one,
        subscriber,
    ):
        assert one.process.stdin is not None
        one.process.stdin.write(values[:half].tobytes())
        one.process.stdin.flush()

        def drained(messages: list[Message]) -> bool:
            return any(s.total.captured == half for s in statuses(messages))

        messages = collect(subscriber, drained)
        one.process.stdin.write(values[half:].tobytes())
        one.process.stdin.close()
        messages += collect(subscriber, lambda ms: any(s.state == "ended" for s in statuses(ms)))
        assert one.wait() == 0
    timeline = judged(write_wav(tmp_path / "same.wav", as_floats(values)), small_model)
    places = [(e.epoch, e.first_sample) for e in windows(messages, "stdin")]
    assert places == [(0, answer["first_sample"]) for answer in timeline]
    assert_books_balance(messages)
