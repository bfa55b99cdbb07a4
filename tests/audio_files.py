"""Audio files of many kinds, written for tests."""

from __future__ import annotations

import struct
import subprocess
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from genred.features import Samples

PCM, FLOAT = 1, 3  # WAVE format tags


def raw_wav(path: Path, table: NDArray[Any], rate: int, tag: int = PCM, bits: int | None = None) -> Path:
    """Write [N] or [N, channels] as it is; 24 bits are given as int32 and lose their lowest byte."""
    table = table.reshape(len(table), -1)
    bits = bits or 8 * table.itemsize
    data = table.astype("<i4").view(np.uint8).reshape(-1, 4)[:, 1:].tobytes() if bits == 24 else table.tobytes()
    width = table.shape[1] * bits // 8
    form = struct.pack("<HHIIHH", tag, table.shape[1], rate, rate * width, width, bits)
    chunks = b"WAVEfmt " + struct.pack("<I", len(form)) + form + b"data" + struct.pack("<I", len(data)) + data
    path.write_bytes(b"RIFF" + struct.pack("<I", len(chunks)) + chunks)
    return path


def encode(path: Path, samples: Samples, rate: int, codec: str, layout: str = "mono") -> Path:
    """Compress [N] or [N, channels] with FFmpeg."""
    table = samples.reshape(len(samples), -1)
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate, layout=layout)
        resampler = av.AudioResampler(format=stream.format.name, layout=layout, rate=rate)
        size = stream.codec_context.frame_size or 1152
        for start in range(0, len(table), size):
            block = np.ascontiguousarray(table[start : start + size], np.float32).reshape(1, -1)
            frame = av.AudioFrame.from_ndarray(block, format="flt", layout=layout)
            frame.sample_rate, frame.pts, frame.time_base = rate, start, Fraction(1, rate)
            for ready in resampler.resample(frame):
                container.mux(stream.encode(ready))
        container.mux(stream.encode())
    return path


STREAMS = {  # what stations send: FFmpeg's options for it
    "mp3": ("-c:a", "libmp3lame", "-b:a", "128k", "-f", "mp3"),
    "aac": ("-c:a", "aac", "-b:a", "128k", "-f", "adts"),
    "vorbis": ("-c:a", "libvorbis", "-f", "ogg"),
    "opus": ("-c:a", "libopus", "-f", "ogg"),
    "flac": ("-c:a", "flac", "-f", "flac"),
    "oggflac": ("-c:a", "flac", "-f", "ogg"),
    "ts": ("-c:a", "aac", "-f", "mpegts"),
}


def stream(kind: str, samples: Samples, rate: int, *options: str) -> bytes:
    """Compress [N] as a station does, with the ffmpeg program: PyAV cannot write Vorbis."""
    source = ("-f", "f32le", "-ar", str(rate), "-ac", "1", "-i", "-")
    command = ("ffmpeg", "-v", "error", *source, *options, *STREAMS[kind], "-")
    return subprocess.run(command, input=samples.tobytes(), stdout=subprocess.PIPE, check=True).stdout


def video(path: Path) -> Path:
    """Write a second of picture without sound."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width = stream.height = 64
        stream.pix_fmt = "yuv420p"
        for _ in range(10):
            picture = av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8), format="rgb24")
            container.mux(stream.encode(picture))
        container.mux(stream.encode())
    return path
