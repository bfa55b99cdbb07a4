from __future__ import annotations

import contextlib
import errno
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from audio_files import FLOAT, encode, raw_wav, video
from conftest import music, write_wav
from genred.errors import SourceError
from genred.features import Samples
from genred.ring import RingBuffer
from genred.sources import Intake, named, open_source
from genred.sources.demo import Demo
from genred.sources.file import AudioFile, check, decode, duration_s
from genred.sources.frames import Piece
from genred.sources.pipe import Pipe
from genred.sources.uri import NAME, Options, choice, flag, gain, split_uri, whole

RATE = 22050


class Collector:
    """An Output that keeps all intakes; `stop` can be set after so many samples."""

    def __init__(self, stop_after: float = float("inf")) -> None:
        self.stop = threading.Event()
        self.intakes: list[Intake] = []
        self.errors = 0
        self._stop_after = stop_after

    def begin(self, rate_hz: int, channels: int = 1) -> Intake:
        self.intakes.append(_Kept(rate_hz, channels, self))
        return self.intakes[-1]

    def count_error(self) -> None:
        self.errors += 1

    def samples(self, number: int = 0) -> Samples:
        return np.concatenate([np.empty(0, np.float32), *self.intakes[number].blocks])  # type: ignore[attr-defined]

    def count(self) -> None:
        if sum(one.ring.written for one in self.intakes) >= self._stop_after:
            self.stop.set()


class _Kept(Intake):
    """Keeps all that is written, so that no ring gets full."""

    def __init__(self, rate_hz: int, channels: int, collector: Collector) -> None:
        super().__init__(rate_hz, channels, stop=collector.stop)
        self.blocks: list[Samples] = []
        self._collector = collector

    def overwrite(self, block: NDArray[np.float32], sounded_s: float | None = None) -> None:
        super().overwrite(block, sounded_s)
        read = self.ring.read(self.ring.written)
        assert read.overwritten == 0
        with np.errstate(over="ignore", invalid="ignore"):
            self.blocks.append(read.block.mean(axis=1))
        self._collector.count()


def refusal(uri: str) -> str:
    with pytest.raises(SourceError) as caught:
        open_source(uri)
    assert caught.value.exit_code == 2
    assert "\n" not in str(caught.value)
    return str(caught.value)


# URIs


@pytest.mark.parametrize(
    ("uri", "scheme", "target"),
    [
        ("mic:", "mic", ""),
        ("mic:2", "mic", "2"),
        ("mic:USB Audio", "mic", "USB Audio"),
        ("mic:What%3F?gain=3", "mic", "What?"),
        ("file:a%20b.wav", "file", "a b.wav"),
        ("file:a?b=1", "file", "a"),
        ("file:/tmp/Stra%C3%9Fe.wav", "file", "/tmp/Straße.wav"),
        ("demo:", "demo", ""),
        ("-", "-", ""),
        ("-?rate=48000", "-", ""),
        ("song.wav", "file", "song.wav"),
        ("100%25.wav", "file", "100%25.wav"),
        ("what?.wav", "file", "what?.wav"),
        ("a=b&c.wav", "file", "a=b&c.wav"),
        ("./http:x.wav", "file", "./http:x.wav"),
        ("C:\\x.wav", "file", "C:\\x.wav"),
        ("a:b.wav", "file", "a:b.wav"),
        ("日本 語.mp3", "file", "日本 語.mp3"),
        ("-.wav", "file", "-.wav"),
    ],
)
def test_uris(uri: str, scheme: str, target: str) -> None:
    """A URI has a scheme, a target that may be percent-encoded, and options; a bare path is taken literally."""
    assert split_uri(uri)[:2] == (scheme, target)


@pytest.mark.parametrize("uri", ["ftp://radio.example/stream", "spotify:track:3", "microphone:", "fil:x.wav"])
def test_unknown_schemes(uri: str) -> None:
    """An unknown scheme is refused, with those that are known, and with how to name a file that looks like one."""
    text = refusal(uri)
    assert repr(uri.partition(":")[0]) in text
    assert "mic:, file:, http:, https:, demo: and -" in text
    assert f"./{uri}" in text


@pytest.mark.parametrize(
    ("uri", "says"),
    [
        ("demo:?volume=11", "unknown option 'volume'"),
        ("demo:?gain=loud", "gain=loud"),
        ("demo:?gain=nan", "gain=nan"),
        ("demo:?gain=121", "-120 to 120"),
        ("demo:?gain", "'gain'"),
        ("demo:?gain=1&gain=2", "'gain' is there twice"),
        ("demo:loud", "only one demo station"),
        ("mic:?channels=0", "channels=0"),
        ("mic:?channels=1,1", "channels=1,1"),
        ("mic:?channels=left", "channels=left"),
        ("mic:?gain=3&rate=48000", "unknown option 'rate'"),
        ("-?format=mp3", "s16le, s32le, f32le, u8"),
        ("-?rate=0", "1000"),
        ("-?rate=fast", "rate=fast"),
        ("-?channels=65", "channels=65"),
        ("-?live=yes", "live=yes"),
    ],
)
def test_bad_options(uri: str, says: str) -> None:
    """Options that do not exist, twice, without a value or with an impossible one are refused by name."""
    text = refusal(uri)
    assert text.startswith(uri if not uri.startswith("demo:l") else "demo:loud")
    assert says in text


@pytest.mark.parametrize("uri", ["", "file:", "file:?loop=1"])
def test_a_source_without_a_name(uri: str) -> None:
    """Where the path is empty that is said; it is not taken for the folder we are in."""
    assert "without a name" in refusal(uri)


def test_options_of_a_file(wav: Path) -> None:
    """file: takes pace, loop and gain, which may be percent-encoded; nothing else."""
    plain = open_source(f"file:{wav}")
    assert (plain.gain_db, plain.source.live, plain.source.finite, plain.source.clock) == (None, False, True, "none")
    looped = open_source(f"file:{wav}?pace=realtime&loop=1&gain=%2D6.5")
    assert (looped.gain_db, looped.source.live, looped.source.finite) == (-6.5, True, False)
    for options in ("pace=fast", "loop=2", "pace=max&rate=3"):
        refusal(f"file:{wav}?{options}")


def test_options_are_taken_once() -> None:
    """What was taken is gone, what was not is told; a default needs no text."""
    options = Options("x:", "a=1&b=x%26y")
    assert options.take("a", int, 7) == 1
    assert options.take("a", int, 7) == 7
    assert options.take("c", int, None) is None
    with pytest.raises(SourceError, match="unknown option 'b'"):
        options.done()
    assert options.take("b", str, "") == "x&y"
    options.done()


def test_converters() -> None:
    """Each takes what it says, and refuses the rest with what it would take."""
    assert choice("a", "b")("b") == "b"
    assert (flag("1"), flag("0")) == (True, False)
    assert whole(1, 3)("3") == 3
    assert gain("-6") == -6.0
    refused = ((choice("a", "b"), "c"), (flag, "true"), (whole(1, 3), "4"), (whole(1, 3), "x"), (gain, "inf"))
    for convert, text in refused:
        with pytest.raises(ValueError, match=r".+"):
            convert(text)


# Names


@pytest.mark.parametrize(
    ("text", "name", "uri"),
    [
        ("kitchen=mic:", "kitchen", "mic:"),
        ("a=b.wav", "a", "b.wav"),
        ("a=b=c.wav", "a", "b=c.wav"),
        ("./a=b.wav", "a-b", "./a=b.wav"),
        ("mic:", "mic", "mic:"),
        ("mic:USB Audio?channels=1,2", "usb-audio", "mic:USB Audio?channels=1,2"),
        ("demo:", "demo", "demo:"),
        ("-", "stdin", "-"),
        ("-?rate=48000", "stdin", "-?rate=48000"),
        ("/music/Miles Davis/So What.flac", "so-what", "/music/Miles Davis/So What.flac"),
        ("file:x.wav?loop=1", "x", "file:x.wav?loop=1"),
        ("日本.wav", "file", "日本.wav"),
        ("Füße.mp3", "f-e", "Füße.mp3"),
    ],
)
def test_names(text: str, name: str, uri: str) -> None:
    """NAME=URI names a station; a bare URI is named after what it is."""
    assert named(text, []) == (name, uri)


def test_names_that_are_taken() -> None:
    """Stations without a name of their own never share one."""
    taken: list[str] = []
    for _ in range(3):
        taken.append(named("demo:", taken)[0])
    assert taken == ["demo", "demo-2", "demo-3"]


@pytest.mark.parametrize("text", ["Kitchen=mic:", "my mic=mic:2", f"{'a' * 65}=demo:", "=mic:", "ü=file:x.wav", "A=-"])
def test_names_that_are_none(text: str) -> None:
    """What is clearly meant as a name and is none is refused, with what a name may be."""
    with pytest.raises(SourceError, match="is not a station name; use 1 to 64 of a-z, 0-9, _ and -"):
        named(text, [])


@given(st.text(min_size=1), st.integers(0, 1200))
def test_every_path_has_a_name(path: str, others: int) -> None:
    """Whatever a file is called, its station has a valid name, and one that is not taken."""
    uri = f"./{path}"
    first = named(uri, [])[0]
    taken = [first, *(f"{first[:56]}-{number}" for number in range(2, others))]
    name = named(uri, taken)[0]
    assert NAME.fullmatch(name)
    assert name not in taken
    assert named(uri, taken)[1] == uri


# Intakes


def test_intake_stamps() -> None:
    """Each hand-over is stamped with the position after it and the time."""
    intake, before = Intake(RATE, 2), time.monotonic()
    intake.overwrite(np.zeros((100, 2), np.float32))
    intake.overwrite(np.zeros((50, 2), np.float32))
    assert [stamp.position for stamp in intake.stamps] == [100, 150]
    assert before <= intake.stamps[0].monotonic_s <= intake.stamps[1].monotonic_s <= time.monotonic()


def test_a_device_overwrites() -> None:
    """A driver's callback never waits: what is oldest is overwritten."""
    intake = Intake(1000)
    for _ in range(15):
        intake.overwrite(np.ones((1000, 1), np.float32))
    read = intake.ring.read(15_000)
    assert (read.overwritten, len(read.block)) == (5000, 10_000)


def test_a_file_waits() -> None:
    """A writer that can wait blocks on a full ring until it is read, and loses nothing, however much it brings."""
    intake = Intake(1000)  # 10 s: 10000 samples
    table = np.arange(35_000, dtype=np.float32)[:, None]
    with ThreadPoolExecutor() as pool:
        writing = pool.submit(intake.write, table)
        heard: list[float] = []
        while len(heard) < len(table):
            read = intake.ring.read(intake.ring.read_position + 777)
            assert read.overwritten == 0
            assert intake.ring.waiting <= intake.ring.capacity
            heard += read.block[:, 0].tolist()
        writing.result(10)
    assert heard == table[:, 0].tolist()


class _ReadMeanwhile(RingBuffer):
    """The reader takes some each time the writer has looked how much is free."""

    heard: list[float]

    @property
    def free(self) -> int:
        free = super().free
        self.heard += self.read(self.read_position + 10).block[:, 0].tolist()
        return free


def test_a_reader_that_comes_between() -> None:
    """What is read while a writer looks how much is free is room for the next piece, and no sample falls into it."""
    intake = Intake(1000)
    intake.ring = _ReadMeanwhile(100)
    intake.ring.heard = []
    table = np.arange(1000, dtype=np.float32)[:, None]
    intake.write(table)
    rest = intake.ring.read(intake.ring.written)
    assert intake.ring.heard + rest.block[:, 0].tolist() == table[:, 0].tolist()


def test_a_waiting_writer_ends_with_the_daemon() -> None:
    """A writer that waits for a reader that will never come gives up when the daemon stops."""
    stop = threading.Event()
    intake = Intake(1000, stop=stop)
    with ThreadPoolExecutor() as pool:
        writing = pool.submit(intake.write, np.zeros((20_000, 1), np.float32))
        while intake.ring.free:
            time.sleep(0.001)
        assert not writing.done()
        stop.set()
        writing.result(10)
    assert intake.ring.written == intake.ring.capacity


def test_intakes_wake_the_worker() -> None:
    """A write that could wait, and the end, wake the worker; a driver's callback does nothing it need not."""
    wake = threading.Event()
    intake = Intake(1000, wake=wake)
    intake.overwrite(np.zeros((10, 1), np.float32))
    assert not wake.is_set()
    intake.write(np.zeros((10, 1), np.float32))
    assert wake.is_set()
    wake.clear()
    intake.close()
    assert wake.is_set()
    assert intake.closed


def test_a_worker_is_woken_for_a_reason() -> None:
    """Short of what the worker waits for a write does not wake it; reaching that does, and so does a half full ring."""
    wake = threading.Event()
    intake = Intake(1000, wake=wake)
    intake.wanted = 100
    intake.write(np.zeros((99, 1), np.float32))
    assert not wake.is_set()
    intake.write(np.zeros((1, 1), np.float32))
    assert wake.is_set()
    wake.clear()
    intake.wanted = 10**9
    intake.write(np.zeros((intake.ring.capacity // 2 - 100, 1), np.float32))
    assert not wake.is_set()
    intake.write(np.zeros((1, 1), np.float32))
    assert wake.is_set()


# Files


def heard(path: Path) -> tuple[Samples, set[int]]:
    """All samples of a file, and its rates."""
    pieces = list(decode(path))
    return np.concatenate([piece.block[:, 0] for piece in pieces]), {piece.rate_hz for piece in pieces}


WAVE = np.array([0.0, 0.5, -0.5, 0.25, -1.0, 0.999], np.float64)


@pytest.mark.parametrize(
    ("table", "bits", "tag"),
    [
        ((WAVE * 128 + 128).astype(np.uint8), 8, 1),
        ((WAVE * 2**15).astype("<i2"), 16, 1),
        ((WAVE * 2**31).astype("<i4"), 24, 1),
        ((WAVE * 2**31).astype("<i4"), 32, 1),
        ((WAVE * 2.0**63).astype("<i8"), 64, 1),
        (WAVE.astype("<f4"), 32, FLOAT),
        (WAVE.astype("<f8"), 64, FLOAT),
    ],
    ids=["u8", "s16", "s24", "s32", "s64", "f32", "f64"],
)
def test_full_scale(tmp_path: Path, table: NDArray[np.generic], bits: int, tag: int) -> None:
    """Full scale of every sample format is 1, and zero is 0."""
    samples, rates = heard(raw_wav(tmp_path / "x.wav", np.repeat(table, 100), 44100, tag, bits))
    np.testing.assert_allclose(samples[::100], WAVE, atol=1 / 128 if bits == 8 else 1e-4)
    assert rates == {44100}


ODD = np.array([[np.inf, -np.inf], [np.nan, 0.5], [3e38, 3e38], [0.25, 0.25]])  # [N, channels]


@pytest.mark.parametrize("table", [ODD.astype("<f4"), np.where(ODD == 3e38, 1e300, ODD)])
def test_odd_numbers_in_a_file(tmp_path: Path, table: NDArray[np.generic]) -> None:
    """Numbers that cannot be mixed, or are too great for a sample, pass without a warning: the epoch counts them."""
    samples, _ = heard(raw_wav(tmp_path / "x.wav", table, 8000, FLOAT))
    assert not np.isfinite(samples[:3]).any()
    assert samples[3] == 0.25


@pytest.mark.parametrize("rate", [8000, 11025, 22050, 48000, 192000])
@pytest.mark.parametrize("channels", [1, 2, 6, 8])
def test_rates_and_channels(tmp_path: Path, rate: int, channels: int) -> None:
    """Any rate is kept and any number of channels is mixed to their mean: loud in one of them is an n-th."""
    table = np.zeros((1000, channels), np.float32)
    table[:, -1] = 0.5
    samples, rates = heard(write_wav(tmp_path / "x.wav", table, rate))
    assert rates == {rate}
    np.testing.assert_allclose(samples, np.full(1000, 0.5 / channels), atol=1e-3)


@pytest.mark.parametrize(
    ("suffix", "codec"), [("flac", "flac"), ("mp3", "libmp3lame"), ("opus", "libopus"), ("m4a", "aac"), ("aac", "aac")]
)
def test_compressed_files(tmp_path: Path, suffix: str, codec: str) -> None:
    """What FFmpeg decodes is heard: as long as it was, and as loud."""
    original = music(2.0, 48000)
    samples, rates = heard(encode(tmp_path / f"x.{suffix}", original, 48000, codec))
    assert rates == {48000}
    assert len(samples) == pytest.approx(len(original), abs=3000)
    assert np.std(samples) == pytest.approx(np.std(original), rel=0.1)


@pytest.mark.parametrize("layout", ["7.1", "octagonal", "hexadecagonal"])
def test_many_channels_in_planes(tmp_path: Path, layout: str) -> None:
    """Eight channels and more, each in a plane of its own, as AAC has them: mixed to their mean as fewer are."""
    original = music(2.0, 48000)
    table = np.repeat(original[:, None], av.AudioLayout(layout).nb_channels, axis=1)
    samples, rates = heard(encode(tmp_path / "x.wv", table, 48000, "wavpack", layout))
    assert rates == {48000}
    np.testing.assert_allclose(samples, original, atol=1 / 128)  # the encoder keeps 8 bits


def test_damaged_pieces_are_counted(tmp_path: Path) -> None:
    """Damage within a file costs the pieces it hits: they are counted, and what follows is heard."""
    path = encode(tmp_path / "x.m4a", music(5.0, 48000), 48000, "aac")
    content = bytearray(path.read_bytes())
    content[20_000:23_000] = np.random.default_rng(0).bytes(3000)
    path.write_bytes(content)
    errors: list[None] = []
    pieces = list(decode(path, lambda: errors.append(None)))
    assert errors
    assert 3 * 48000 < sum(len(piece.block) for piece in pieces) < 5 * 48000
    assert np.abs(pieces[-5].block).max() > 0.05


def test_a_file_that_ends_early(tmp_path: Path) -> None:
    """A download that broke off is heard as far as it goes."""
    path = encode(tmp_path / "x.mp3", music(6.0, 48000), 48000, "libmp3lame")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    samples, _ = heard(path)
    assert len(samples) == pytest.approx(3 * 48000, rel=0.1)


def test_a_rate_that_changes(tmp_path: Path) -> None:
    """Two songs of different rates in one file are pieces of their own rates."""
    parts = [encode(tmp_path / f"{rate}.mp3", music(2.0, rate), rate, "libmp3lame") for rate in (48000, 32000)]
    path = tmp_path / "both.mp3"
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    pieces = list(decode(path))
    assert [piece.rate_hz for piece in pieces] == sorted((piece.rate_hz for piece in pieces), reverse=True)
    for rate in (48000, 32000):
        assert sum(len(p.block) for p in pieces if p.rate_hz == rate) / rate == pytest.approx(2.0, abs=0.1)


NAMES = ["a b.wav", "Straße 日本.wav", "a=b.wav", "what?.wav", "100%25.wav", "a:b.wav", "concat:x.wav", "a\nb.wav"]
NAMES += ["[red]x.wav", "-.wav", "-", "http:x.wav", "#1.wav", "a&b.wav", "file:x.wav", "%d.wav", "~", "$HOME.wav"]


@pytest.mark.parametrize("name", NAMES)
def test_paths_are_taken_literally(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """No character in a file's name means anything, neither to genred nor to FFmpeg, absolute or relative."""
    write_wav(tmp_path / name, music(0.1))
    check(tmp_path / name)
    monkeypatch.chdir(tmp_path)
    check(Path(name))
    assert isinstance(open_source(f"./{name}").source, AudioFile)


def test_bytes_that_are_no_text_in_a_name(tmp_path: Path) -> None:
    """Names from other systems need not be UTF-8."""
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.wav"))
    write_wav(path, music(0.1))
    check(path)


def _no_permission(path: Path) -> Path:
    write_wav(path, music(0.1)).chmod(0)
    return path


def _pipe(path: Path) -> Path:
    os.mkfifo(path)
    return path


def _written(content: bytes) -> Callable[[Path], Path]:
    def write(path: Path) -> Path:
        path.write_bytes(content)
        return path

    return write


HEADER = b"RIFF\xff\xff\xff\x7fWAVEfmt \x10\0\0\0\x01\0\x01\0\x22\x56\0\0\x44\xac\0\0\x02\0\x10\0data\xff\xff\xff\x7f"


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda path: path, "no file {}"),
        (lambda path: path / "beyond", "no file {}"),
        (lambda path: path.parent, "{} is a folder"),
        (_written(b""), "{} is empty"),
        (_pipe, "{} is a pipe or a device"),
        (lambda _: Path("/dev/null"), "{} is a pipe or a device"),
        (_written(HEADER), "{} has no audio that can be decoded"),
        (_written(HEADER[:20]), "{} is not audio that can be decoded"),
        (_written(b"# Not music\n" * 500), "{} is not audio that can be decoded"),
        (_written(bytes(10_000)), "{} is not audio that can be decoded"),
        (_written(b"#EXTM3U\n#EXTINF:4,\nx.mp3\n"), "{} is a playlist"),
        (_written(b"ffconcat version 1.0\nfile x.mp3\n"), "{} is a playlist"),
        (lambda path: video(path.with_suffix(".mp4")), "{} has no sound in it"),
    ],
    ids=[
        "missing",
        "beyond",
        "folder",
        "empty",
        "pipe",
        "device",
        "header",
        "half-header",
        "text",
        "zeros",
        "hls",
        "concat",
        "video",
    ],
)
def test_files_that_cannot_be_judged(tmp_path: Path, make: Callable[[Path], Path], says: str) -> None:
    """Each is refused when it is opened, in a sentence that names it and says what it is."""
    path = make(tmp_path / "song.mp3")
    with pytest.raises(SourceError) as caught:
        check(path)
    assert says.format(path) in str(caught.value)
    assert refusal(str(path)) == str(caught.value)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read(tmp_path: Path) -> None:
    """A file without permission is named with the reason."""
    with pytest.raises(SourceError, match=r"cannot read .*: Permission denied"):
        check(_no_permission(tmp_path / "x.wav"))


def test_random_bytes(tmp_path: Path) -> None:
    """Noise under any name is refused or heard, but is never a fault."""
    for number, suffix in enumerate(("mp3", "wav", "ogg", "flac", "m4a", "aac")):
        path = tmp_path / f"noise.{suffix}"
        path.write_bytes(np.random.default_rng(number).bytes(30_000))
        with contextlib.suppress(SourceError):
            check(path)


def test_a_shortage_is_no_damage(wav: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Too many open files is said as it is: the file is not called damaged."""

    def fail(*_: object, **__: object) -> None:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    monkeypatch.setattr(av, "open", fail)
    with pytest.raises(SourceError, match=r"cannot read .*: Too many open files"):
        check(wav)


def test_a_search_without_end_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file of many GB of zeros behind a first sound is heard so far, and counted as damaged."""
    monkeypatch.setattr("genred.sources.file.PATIENCE_S", 0.5)
    path = encode(tmp_path / "x.mp3", music(1.0, 48000), 48000, "libmp3lame")
    os.truncate(path, 20 * 2**30)
    errors: list[None] = []
    assert sum(len(piece.block) for piece in decode(path, lambda: errors.append(None))) > 40_000
    assert errors


def test_duration(wav: Path, tmp_path: Path) -> None:
    """A file says how long it is, or nothing."""
    assert duration_s(wav) == pytest.approx(10.0)
    assert duration_s(tmp_path / "nothing.wav") is None
    assert duration_s(_pipe(tmp_path / "pipe.wav")) is None
    assert duration_s(tmp_path / ("a" * 300)) is None


def test_a_file_as_a_station(wav: Path) -> None:
    """All of a file is delivered once, as one connection, in pieces no longer than a tenth of a second."""
    output = Collector()
    AudioFile(wav).run(output)
    assert np.array_equal(output.samples(), heard(wav)[0])
    assert len(output.intakes) == 1
    positions = [stamp.position for stamp in output.intakes[0].stamps]
    assert max(np.diff([0, *positions])) <= RATE // 10


def test_a_looped_file(tmp_path: Path) -> None:
    """A loop goes on in the same connection: a clip shorter than the window can still be judged."""
    path = write_wav(tmp_path / "clip.wav", music(0.3))
    clip = heard(path)[0]
    output = Collector(stop_after=2.0 * RATE)
    AudioFile(path, loop=True).run(output)
    assert len(output.intakes) == 1
    samples = output.samples()
    assert len(samples) >= 2 * RATE
    assert np.array_equal(samples, np.resize(clip, len(samples)))


def test_a_file_whose_rate_changes_begins_anew(tmp_path: Path) -> None:
    """A new rate is a new intake, and the one before has all of its own."""
    parts = [encode(tmp_path / f"{rate}.mp3", music(2.0, rate), rate, "libmp3lame") for rate in (48000, 32000)]
    path = tmp_path / "both.mp3"
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    output = Collector()
    AudioFile(path).run(output)
    assert [intake.rate_hz for intake in output.intakes] == [48000, 32000]
    for intake in output.intakes:
        assert intake.ring.written / intake.rate_hz == pytest.approx(2.0, abs=0.1)


def test_a_paced_file(tmp_path: Path) -> None:
    """pace=realtime delivers as a live station would: a block each time it would have sounded, for all of the file."""
    path = write_wav(tmp_path / "x.wav", music(0.6))
    source, output, started_s = AudioFile(path, realtime=True), Collector(), time.monotonic()
    source.run(output)
    assert source.live
    assert time.monotonic() - started_s >= 0.6
    for stamp in output.intakes[0].stamps:
        assert stamp.monotonic_s - started_s >= stamp.position / RATE - 1e-3
    assert np.array_equal(output.samples(), heard(path)[0])


def test_a_file_that_vanishes_from_a_loop(tmp_path: Path) -> None:
    """A looped file that is gone or emptied meanwhile ends the attempt, instead of spinning."""
    for spoil in (Path.unlink, lambda p: p.write_bytes(HEADER)):
        path = write_wav(tmp_path / "x.wav", music(0.3))
        source = AudioFile(path, loop=True)
        spoil(path)
        with pytest.raises(SourceError, match=str(path)):
            source.run(Collector())


def test_the_demo_plays(tmp_path: Path) -> None:
    """The demo station delivers music in real time until it is stopped."""
    source, output = open_source("demo:").source, Collector(stop_after=8000)
    assert isinstance(source, Demo)
    assert (source.live, source.finite, source.clock) == (True, False, "arrival")
    source.run(output)
    assert np.abs(output.samples()).max() > 0.01


class Unread(Intake):
    """A small ring that nobody reads, and how much of it was overwritten."""

    def __init__(self, rate_hz: int, channels: int, stop: threading.Event) -> None:
        super().__init__(rate_hz, channels, stop=stop)
        self.ring = RingBuffer(4000, channels)
        self.overwritten = 0

    def overwrite(self, block: NDArray[np.float32], sounded_s: float | None = None) -> None:
        self.overwritten += max(len(block) - self.ring.free, 0)
        super().overwrite(block, sounded_s)


@pytest.mark.parametrize("uri", ["demo:", "file:{}", "file:{}?pace=realtime", "file:{}?loop=1"])
def test_only_devices_overwrite(wav: Path, uri: str) -> None:
    """Whatever is no device waits on a full ring, also what plays in real time."""
    intakes: list[Unread] = []

    class Deaf(Collector):
        def begin(self, rate_hz: int, channels: int = 1) -> Intake:
            intakes.append(Unread(rate_hz, channels, self.stop))
            return intakes[0]

    output = Deaf()
    with ThreadPoolExecutor() as pool:
        running = pool.submit(open_source(uri.format(wav)).source.run, output)
        while not intakes or intakes[0].ring.free > 0:
            assert not running.done()
            time.sleep(0.001)
        output.stop.set()
        running.result(10)
    assert (intakes[0].ring.written, intakes[0].overwritten) == (4000, 0)


# Pipes


@pytest.fixture
def pipe(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """The end to write to of a pipe that is stdin."""
    read_end, write_end = os.pipe()
    with os.fdopen(read_end) as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        yield write_end
        if Pipe._taken.locked():
            Pipe._taken.release()


def write_all(write_end: int, content: bytes, step: int = 10_000) -> None:
    with os.fdopen(write_end, "wb") as sink:
        for start in range(0, len(content), step):
            sink.write(content[start : start + step])
            sink.flush()


def run_pipe(uri: str, write_end: int, content: bytes, step: int = 10_000) -> Collector:
    """Deliver `content`, `step` bytes at a time, through a pipe to its end."""
    output, source = Collector(), open_source(uri).source
    with ThreadPoolExecutor() as pool:
        running = pool.submit(source.run, output)
        write_all(write_end, content, step)
        running.result(20)
    return output


@pytest.mark.parametrize(
    ("encoding", "table"),
    [
        ("s16le", (WAVE * 2**15).astype("<i2")),
        ("s32le", (WAVE * 2**31).astype("<i4")),
        ("f32le", WAVE.astype("<f4")),
        ("u8", (WAVE * 128 + 128).astype(np.uint8)),
    ],
)
@pytest.mark.parametrize("channels", [1, 2, 3])
def test_pipe_formats(pipe: int, encoding: str, table: NDArray[np.generic], channels: int) -> None:
    """Interleaved samples of each format come at the rate that was said; more than two channels are mixed."""
    frames = np.repeat(table[:, None], channels, axis=1)
    output = run_pipe(f"-?format={encoding}&rate=8000&channels={channels}", pipe, frames.tobytes())
    np.testing.assert_allclose(output.samples(), WAVE, atol=1 / 128 if encoding == "u8" else 1e-4)
    assert output.intakes[0].rate_hz == 8000
    assert output.intakes[0].ring.channels == (1 if channels == 3 else channels)
    assert output.errors == 0


def test_odd_numbers_in_a_pipe(pipe: int) -> None:
    """Numbers that cannot be mixed, or are too great for a sample, pass without a warning: the epoch counts them."""
    output = run_pipe("-?format=f32le&rate=8000&channels=2", pipe, ODD.astype("<f4").tobytes())
    assert not np.isfinite(output.samples()[:3]).any()
    assert output.samples()[3] == 0.25


def test_pipe_defaults(pipe: int) -> None:
    """Without options it is CD audio: 16 bit, stereo, 44100 Hz; and a writer that can wait."""
    frames = np.array([[1000, 3000], [-2000, -4000]], "<i2")
    output = run_pipe("-", pipe, frames.tobytes())
    np.testing.assert_allclose(output.samples(), np.array([2000, -3000]) / 32768, atol=1e-6)
    assert output.intakes[0].rate_hz == 44100


@pytest.mark.parametrize("step", [1, 3, 7, 1001])
def test_pipe_cut_anywhere(pipe: int, step: int) -> None:
    """Writers need not write whole samples at once."""
    samples = (music(0.1) * 2**15).astype("<i2")
    output = run_pipe("-?rate=22050&channels=1", pipe, samples.tobytes(), step)
    assert np.array_equal(output.samples(), samples.astype(np.float32) / 2**15)


def test_a_sample_that_is_cut_off(pipe: int) -> None:
    """Half a sample at the end is left out and counted."""
    output = run_pipe("-?channels=1", pipe, b"\x01\x02\x03\x04\x05")
    assert len(output.samples()) == 2
    assert output.errors == 1


def test_an_empty_pipe(pipe: int) -> None:
    """A writer that closes at once is an end like any other."""
    output = run_pipe("-", pipe, b"")
    assert (len(output.samples()), output.errors) == (0, 0)


def test_a_full_ring_stops_the_writer(pipe: int) -> None:
    """Nothing of a pipe is thrown away: what does not fit waits in it, and with it the writer."""
    source = open_source("-?rate=1000&channels=1").source
    samples = np.arange(30_000).astype("<i2")
    intakes: list[Intake] = []
    heard_: list[int] = []

    class Slow(Collector):
        def begin(self, rate_hz: int, channels: int = 1) -> Intake:
            intakes.append(Intake(rate_hz, channels, stop=self.stop))
            return intakes[0]

    with ThreadPoolExecutor() as pool:
        running = pool.submit(source.run, Slow())
        writing = pool.submit(write_all, pipe, samples.tobytes())
        while not intakes or intakes[0].ring.free:
            time.sleep(0.001)
        assert not running.done()
        while len(heard_) < len(samples):
            read = intakes[0].ring.read(intakes[0].ring.written)
            assert read.overwritten == 0
            heard_ += np.rint(read.block[:, 0] * 2**15).astype(int).tolist()
        writing.result(10)
        running.result(10)
    assert heard_ == samples.tolist()


def test_stdin_feeds_one_station(pipe: int) -> None:
    """Two stations cannot share stdin."""
    open_source("-")
    assert "one station only" in refusal("-")
    os.close(pipe)


def test_a_live_pipe(pipe: int) -> None:
    """live=1 is for writers that cannot wait, such as a radio: a late worker skips windows."""
    source = open_source("-?live=1").source
    assert (source.live, source.finite, source.clock) == (True, True, "arrival")
    os.close(pipe)


def test_a_pipe_that_does_not_wait(pipe: int) -> None:
    """A stdin that the writer made non-blocking is waited for."""
    os.set_blocking(sys.stdin.fileno(), False)
    output, source = Collector(), open_source("-?rate=8000&channels=1").source
    with ThreadPoolExecutor() as pool:
        running = pool.submit(source.run, output)
        time.sleep(0.05)
        write_all(pipe, bytes(2000))
        running.result(20)
    assert len(output.samples()) == 1000


def test_stdin_that_cannot_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stdin open for writing only, and a terminal, are refused with what to connect."""
    with Path("/dev/null").open("w") as sink:
        monkeypatch.setattr(sys, "stdin", sink)
        assert "writing only" in refusal("-")
    main_end, terminal = os.openpty()
    with os.fdopen(main_end), os.fdopen(terminal) as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        assert "is a terminal; pipe raw PCM into it" in refusal("-")


def test_stdin_that_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a stdin there is nothing to read, which is said at once."""
    monkeypatch.setattr(sys, "stdin", None)
    assert "stdin (-) is closed" in refusal("-")


def test_another_program_writes() -> None:
    """A real pipe from another process, as from arecord or ffmpeg, is heard to its end."""
    script = (
        "from genred.sources import open_source, Intake\n"
        "import threading\n"
        "class Output:\n"
        "    stop = threading.Event()\n"
        "    def begin(self, rate_hz, channels=1):\n"
        "        self.intake = Intake(rate_hz, channels)\n"
        "        return self.intake\n"
        "    def count_error(self): raise AssertionError\n"
        "output = Output()\n"
        "open_source('-?format=u8&rate=8000&channels=1').source.run(output)\n"
        "print(output.intake.ring.written)\n"
    )
    writer = subprocess.Popen(["head", "-c", "50000", "/dev/zero"], stdout=subprocess.PIPE)
    command = [sys.executable, "-c", script]
    reader = subprocess.run(command, stdin=writer.stdout, capture_output=True, text=True, check=True)
    assert writer.stdout is not None
    writer.stdout.close()
    assert writer.wait() == 0
    assert reader.stdout == "50000\n"


def test_a_stream_stays_as_wide_as_it_began() -> None:
    """Of two channels mono is both; of one, stereo is the mix: a change between them needs no new intake."""
    left, right = np.float32([1, 0]), np.float32([0, 0.5])
    both = np.stack([left, right], axis=1)
    mix = both.mean(axis=1, keepdims=True)
    stereo_piece, mono_piece = Piece(8000, both), Piece(8000, mix)
    assert (stereo_piece.width, mono_piece.width) == (2, 1)
    assert np.array_equal(stereo_piece.of_width(2), both)
    assert np.array_equal(stereo_piece.of_width(1), mix)
    assert np.array_equal(mono_piece.of_width(2), np.concatenate([mix, mix], axis=1))
