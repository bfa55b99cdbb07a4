"""Forms: the same music as several stations send it, so that a station can come back as another one.

What ends is sent again and again: MP3 and AAC go on, Ogg becomes a chain, and a WAV says of itself that it is endless.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import msgspec
import numpy as np
from av.audio.stream import AudioStream
from numpy.typing import NDArray

from ..features import Samples
from ..sources.synth import SAMPLE_RATE_HZ, Band

TUNE_S = 20
PCM, FLOAT = 1, 3  # format tags of WAV
ENDLESS = 0xFFFFFFFF
CODED = {  # codec, container, Hz, options of the container
    "mp3": ("libmp3lame", "mp3", 44100, {"id3v2_version": "0", "write_xing": "0"}),
    "aac": ("aac", "adts", 32000, {}),
    "flac": ("flac", "ogg", 48000, {}),
    "opus": ("libopus", "ogg", 48000, {}),
}
PLAIN_HZ = {"wav-8000": 8000, "wav-22050": 22050, "wav-48000": 48000}
MUSIC = (*CODED, *PLAIN_HZ)  # what a station may send; nan and silence are lent to it for a while
TYPES = {"mp3": "audio/mpeg", "aac": "audio/aac", "flac": "application/ogg", "opus": "application/ogg"}


class Entry(msgspec.Struct, frozen=True):
    """One form on disk: `head` bytes are sent once, what follows again and again, `rate` bytes a second of music."""

    file: str
    head: int
    rate: float
    content_type: str


@dataclass(frozen=True)
class Form:
    """One form in memory."""

    name: str
    entry: Entry
    content: bytes

    def piece(self, start: int, n: int) -> bytes:
        """`n` bytes from `start`, of the stream without end."""
        piece = b""
        while len(piece) < n:
            at = start + len(piece)
            if at >= len(self.content):
                at = self.entry.head + (at - self.entry.head) % (len(self.content) - self.entry.head)
            piece += self.content[at : at + n - len(piece)]
        return piece


def write_forms(folder: Path) -> None:
    """Write every form, and ``forms.json``, into `folder`."""
    music = Band().render(TUNE_S * SAMPLE_RATE_HZ)
    entries = {}
    for name, (codec, container, hz, options) in CODED.items():
        _encode(folder / name, music, codec, container, hz, options)
        entries[name] = Entry(name, 0, (folder / name).stat().st_size / TUNE_S, TYPES[name])
    for name, hz in PLAIN_HZ.items():
        entries[name] = _wav(folder / name, _at(music, hz), hz)
    entries["silence"] = _wav(folder / "silence", np.zeros(TUNE_S * 22050, np.int16), 22050)
    entries["nan"] = _wav(folder / "nan", _with_nonsense(music), SAMPLE_RATE_HZ)
    (folder / "forms.json").write_bytes(msgspec.json.encode(entries))


def read_forms(folder: Path) -> dict[str, Form]:
    """Read what `write_forms` has written."""
    entries = msgspec.json.decode((folder / "forms.json").read_bytes(), type=dict[str, Entry])
    return {name: Form(name, entry, (folder / entry.file).read_bytes()) for name, entry in entries.items()}


def _frame(music: Samples) -> av.AudioFrame:
    frame = av.AudioFrame.from_ndarray(music[None], format="fltp", layout="mono")
    frame.sample_rate, frame.pts, frame.time_base = SAMPLE_RATE_HZ, 0, Fraction(1, SAMPLE_RATE_HZ)
    return frame


def _encode(path: Path, music: Samples, codec: str, container: str, hz: int, options: dict[str, str]) -> None:
    with av.open(str(path), "w", format=container, options=options) as output:
        stream = output.add_stream(codec, rate=hz, layout="stereo")
        assert isinstance(stream, AudioStream)
        encoder = stream.codec_context
        encoder.open()  # only then it knows its frame size
        resampler = av.AudioResampler(encoder.format, "stereo", hz, frame_size=encoder.frame_size or 1152)
        for frame in (*resampler.resample(_frame(music)), *resampler.resample(None), None):
            output.mux(stream.encode(frame))


def _at(music: Samples, hz: int) -> NDArray[np.int16]:
    """`music` at another rate, as 16-bit integers."""
    resampler = av.AudioResampler("s16", "mono", hz)
    frames = (*resampler.resample(_frame(music)), *resampler.resample(None))
    whole: NDArray[np.int16] = np.concatenate([frame.to_ndarray()[0] for frame in frames])
    return whole


def _with_nonsense(music: Samples) -> Samples:
    """`music` with stretches of what is no number, is infinite, or beyond all sense."""
    spoilt = music.copy()
    for start, value in enumerate((np.nan, np.inf, -np.inf, 1e30)):
        spoilt[start * SAMPLE_RATE_HZ : start * SAMPLE_RATE_HZ + 500] = value
    return spoilt


def _wav(path: Path, samples: NDArray[np.int16] | Samples, hz: int) -> Entry:
    """Write mono `samples` [N] below a head that promises more than anyone will send."""
    width = samples.itemsize
    tag = FLOAT if samples.dtype.kind == "f" else PCM
    form = struct.pack("<4sIHHIIHH", b"fmt ", 16, tag, 1, hz, hz * width, width, 8 * width)
    head = struct.pack("<4sI4s", b"RIFF", ENDLESS, b"WAVE") + form + struct.pack("<4sI", b"data", ENDLESS)
    path.write_bytes(head + samples.tobytes())
    return Entry(path.name, len(head), float(hz * width), "audio/wav")
