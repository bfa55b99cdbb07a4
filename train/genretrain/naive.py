"""The naive loop: radio stations judged as one would write it first. ``genred bench`` starts it as its baseline.

    python -m genretrain.naive MODEL.onnx MUSIC.mp3 STATIONS SECONDS HOP_FRAMES

Each hop, for each station: decode what has come, resample it, compute librosa's MFCC of the whole window, run the
whole network on them. One process, one thread. The stations play the same MP3, each from another place, in real
time, and their windows fall due evenly over the hop; the first windows are there from the start. One line of JSON says
what it cost.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import av
import librosa
import msgspec
import numpy as np
import onnxruntime as ort
import soxr

from genred.card import CARD_KEY, ModelCard
from genred.features import Samples

APART = 7  # packets between the places from which two stations begin


def packets(path: Path) -> Iterator[Samples]:
    """Samples [N], mono, of each packet of `path`, again and again."""
    while True:
        with av.open(str(path)) as container:
            for frame in container.decode(audio=0):
                yield frame.to_ndarray().mean(axis=0)


class Station:
    """The last window of what one station has sent by now.

    Parameters
    ----------
    path : Path
        Of the MP3.
    rate_hz : int
        Of the MP3.
    sample_rate : int
        Of the model.
    samples : int
        In a window, at the model's rate.
    place : int
        Packet to begin with.
    """

    def __init__(self, path: Path, rate_hz: int, sample_rate: int, samples: int, place: int) -> None:
        self._packets = islice(packets(path), place, None)
        self._resampler = soxr.ResampleStream(rate_hz, sample_rate, 1, dtype="float32")
        self._rate_hz, self._decoded = rate_hz, 0
        self.window: Samples = np.zeros(samples, np.float32)
        self.hear(samples / sample_rate)

    def hear(self, until_s: float) -> None:
        """Decode what is sent up to `until_s` of its own time."""
        decoded = []
        while self._decoded < until_s * self._rate_hz:
            decoded.append(next(self._packets))
            self._decoded += len(decoded[-1])
        if decoded:
            new = self._resampler.resample_chunk(np.concatenate(decoded))
            self.window = np.concatenate([self.window, new])[-len(self.window) :]


def main(model: Path, music: Path, stations: int, seconds: float, hop_frames: int) -> None:
    """Run it for `seconds`, and print what it cost."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    card = msgspec.json.decode(session.get_modelmeta().custom_metadata_map[CARD_KEY], type=ModelCard)
    spec = card.spec
    hop_s, window_s = hop_frames * spec.hop_length / spec.sample_rate, spec.seconds(card.window_frames)
    with av.open(str(music)) as container:
        rate_hz = container.streams.audio[0].rate
    heard = [
        Station(music, rate_hz, spec.sample_rate, spec.samples(card.window_frames), APART * i) for i in range(stations)
    ]

    def judge(window: Samples) -> None:
        mfcc = librosa.feature.mfcc(
            y=window,
            sr=spec.sample_rate,
            n_mfcc=spec.n_mfcc,
            n_fft=spec.n_fft,
            hop_length=spec.hop_length,
            n_mels=spec.n_mels,
            center=False,
        )
        session.run(None, {session.get_inputs()[0].name: mfcc.T[None].astype(np.float32)})

    judge(heard[0].window)  # librosa compiles and caches at its first call
    latencies_ms, skipped, turn = [], 0, 0
    began_s, began_cpu_s = time.monotonic(), time.process_time()
    while (due_s := turn * hop_s / stations) < seconds:
        time.sleep(max(began_s + due_s - time.monotonic(), 0.0))
        now_s = time.monotonic() - began_s
        if now_s - due_s > hop_s:  # its next window is due: that one is judged instead
            skipped += 1
        else:
            station = heard[turn % stations]
            station.hear(window_s + now_s)
            judge(station.window)
            latencies_ms.append(1000 * (time.monotonic() - began_s - due_s))
        turn += 1
    cpu_s, elapsed_s = time.process_time() - began_cpu_s, time.monotonic() - began_s
    print(json.dumps({"cpu_s": cpu_s, "elapsed_s": elapsed_s, "latencies_ms": latencies_ms, "skipped": skipped}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4]), int(sys.argv[5]))
