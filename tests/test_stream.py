"""What one read has brought is handed over as one, and before more is waited for."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from audio_files import encode, raw_wav
from genred.bench.tune import MP3_BIT_RATE, tune, write_mp3
from genred.errors import SourceLost
from genred.sources import file, stream
from genred.sources.body import Body, Chunk
from genred.sources.frames import Piece
from genred.sources.synth import SAMPLE_RATE_HZ

QUIET = np.zeros(8000, np.int16)
READ_BYTES = 1024  # two packets and a half
READ_S = 8 * READ_BYTES / MP3_BIT_RATE


@pytest.fixture(scope="module")
def mp3(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("stream") / "tune.mp3"
    write_mp3(tune()[: 10 * SAMPLE_RATE_HZ], path)
    return path


def decoded(chunks: Iterator[Chunk], taken: list[Piece]) -> list[str]:
    """Decode `chunks` into `taken`; say what was told beside the audio."""
    told: list[str] = []
    body = Body(chunks, threading.Event(), patience_s=60)
    stream.decode(body, taken.append, told.append, lambda: told.append("damaged"))
    return told


def seconds(pieces: list[Piece]) -> float:
    return sum(len(piece.kept) / piece.rate_hz for piece in pieces)


def test_a_read_is_handed_over_before_the_next_one_waits(mp3: Path) -> None:
    """Else a station would be heard a read later than it could be."""
    content, taken, heard_s = mp3.read_bytes(), list[Piece](), list[float]()

    def chunks() -> Iterator[Chunk]:
        for start in range(0, len(content), READ_BYTES):
            heard_s.append(seconds(taken))
            yield content[start : start + READ_BYTES]

    decoded(chunks(), taken)
    begun = next(n for n, s in enumerate(heard_s) if s)
    assert len(heard_s) - begun > 10
    for n, s in list(enumerate(heard_s))[begun:]:
        assert s > (n - 2) * READ_S, f"before read {n} only {s} s were handed over"
    assert len(taken) <= len(heard_s) + 1, "packets are handed over one by one"


def test_a_burst_is_handed_over_in_lumps(mp3: Path) -> None:
    """All at once would be more than a ring holds; and it is the same audio as in a file."""
    taken: list[Piece] = []
    assert decoded(iter([mp3.read_bytes()]), taken) == []
    assert max(len(piece.kept) / piece.rate_hz for piece in taken) < stream.LUMP_S + 0.1
    whole = np.concatenate([piece.kept for piece in file.decode(mp3)])
    np.testing.assert_array_equal(np.concatenate([piece.kept for piece in taken])[: len(whole)], whole)


@pytest.mark.parametrize("form", ["mp3", "wav"])
def test_what_breaks_a_read_is_told_once(form: str, mp3: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Libav asks again after an error; what PyAV cannot raise it would write to the terminal."""
    wav = raw_wav(mp3.with_suffix(".wav"), QUIET, 8000)
    head = mp3.read_bytes()[:16000] if form == "mp3" else wav.read_bytes()

    def chunks() -> Iterator[Chunk]:
        yield head
        while True:
            yield random.Random(0).randbytes(1000) if form == "mp3" else b""
            time.sleep(0.01)

    body = Body(chunks(), threading.Event(), patience_s=0.3)
    with pytest.raises(SourceLost, match="no audio that can be decoded"):
        stream.decode(body, lambda _: None, lambda _: None, lambda: None)
    assert body.read(100) == b""
    assert capfd.readouterr().err == ""


def test_another_rate_is_another_lump(mp3: Path, tmp_path: Path) -> None:
    """Nothing of the one is handed over as the other."""
    other = tmp_path / "other.mp3"
    encode(other, np.repeat(tune()[: 3 * SAMPLE_RATE_HZ, None], 2, axis=1), SAMPLE_RATE_HZ, "mp3", "stereo")
    taken: list[Piece] = []
    decoded(iter([mp3.read_bytes(), other.read_bytes()]), taken)
    assert {piece.rate_hz for piece in taken} == {44100, 22050}
    rates = [piece.rate_hz for piece in taken]
    assert rates == sorted(rates, reverse=True)
    assert seconds([piece for piece in taken if piece.rate_hz == 44100]) == pytest.approx(10.0, abs=0.2)
