"""Peers: what others need for the work that genred does. ``genred bench`` starts it and asks.

    python -m genretrain.peers AUDIO.npy TASK.json          one line: which peers there are, and why others are missing
    {"peer": "librosa", "batch": 1} -> {"ms": 9.7}           CPU time, on one core

A process of its own, because the daemon must not import what is measured here, and so that no library's threads or
memory are counted as genred's. Libraries keep to one thread: whoever starts it says so in the environment.

A peer of the features hears the same audio and is set as like genred's features as it can be. ``AUDIO.npy`` is at the
rate of the ``spec`` in ``TASK.json``, a MfccSpec; beside it stand ``window`` and ``hop``, in frames, and ``network``,
the name of the model's own.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from genred.features import MfccSpec, Samples

Go = Callable[[], float]  # does the work once; returns CPU milliseconds, in the unit of its section


def timed(work: Callable[[], object], units: float) -> Go:
    """Make what does `work`, which is `units` seconds of audio or windows, once."""

    def go() -> float:
        began_s = time.process_time()
        work()
        return 1000 * (time.process_time() - began_s) / units

    return go


class Task:
    """What is asked: MFCC of `audio` [N], cut as genred's `spec`, windows and hops say; windows of `network`."""

    def __init__(self, audio: Samples, spec: MfccSpec, network: str, window_frames: int, hop_frames: int) -> None:
        self.audio, self.spec, self.network = audio, spec, network
        self.window_frames, self.hop_frames = window_frames, hop_frames
        self.window = audio[: spec.samples(window_frames)]
        self.hop_s = hop_frames * spec.hop_length / spec.sample_rate
        self.audio_s = len(audio) / spec.sample_rate


def librosa_per_window(task: Task) -> Go:
    """Make what computes the whole window anew each hop, as the naive loop does."""
    return timed(lambda: _librosa(task.window, task.spec), task.hop_s)


def librosa_once(task: Task) -> Go:
    """Make what computes each second once: librosa on all of the audio."""
    return timed(lambda: _librosa(task.audio, task.spec), task.audio_s)


def _librosa(samples: Samples, spec: MfccSpec) -> object:
    from librosa.feature import mfcc

    return mfcc(
        y=samples,
        sr=spec.sample_rate,
        n_mfcc=spec.n_mfcc,
        n_fft=spec.n_fft,
        hop_length=spec.hop_length,
        n_mels=spec.n_mels,
        fmin=spec.fmin,
        fmax=spec.top_hz,
        center=False,
    )


def kaldi(task: Task) -> Go:
    """Make what streams the audio a hop at a time through kaldi-native-fbank; each second once."""
    import kaldi_native_fbank as knf

    spec, options = task.spec, knf.MfccOptions()
    options.num_ceps, options.use_energy = spec.n_mfcc, False
    options.frame_opts.samp_freq, options.frame_opts.dither = spec.sample_rate, 0.0
    options.frame_opts.frame_length_ms = 1000 * spec.n_fft / spec.sample_rate
    options.frame_opts.frame_shift_ms = 1000 * spec.hop_length / spec.sample_rate
    options.frame_opts.window_type = "hann"
    options.mel_opts.num_bins, options.mel_opts.low_freq, options.mel_opts.high_freq = spec.n_mels, spec.fmin, 0.0
    step = task.hop_frames * spec.hop_length

    def work() -> None:
        stream, read = knf.OnlineMfcc(options), 0
        for start in range(0, len(task.audio), step):
            stream.accept_waveform(spec.sample_rate, task.audio[start : start + step])
            ready = stream.num_frames_ready
            np.stack([stream.get_frame(frame) for frame in range(read, ready)] or [np.empty(0)])
            stream.pop(ready - read)
            read = ready

    return timed(work, task.audio_s)


def essentia(task: Task) -> Go:
    """Make what runs essentia's standard algorithms over the audio; each second once."""
    import essentia.standard as es

    spec = task.spec
    window = es.Windowing(type="hann", normalized=False, zeroPhase=False, size=spec.n_fft)
    power = es.PowerSpectrum(size=spec.n_fft)
    cepstrum = es.MFCC(
        inputSize=spec.n_fft // 2 + 1,
        sampleRate=spec.sample_rate,
        numberBands=spec.n_mels,
        numberCoefficients=spec.n_mfcc,
        lowFrequencyBound=spec.fmin,
        highFrequencyBound=spec.top_hz,
        warpingFormula="slaneyMel",
        type="power",
        normalize="unit_sum",
        logType="dbpow",
        dctType=2,
    )

    def work() -> None:
        frames = es.FrameGenerator(task.audio, frameSize=spec.n_fft, hopSize=spec.hop_length, startFromZero=True)
        np.stack([cepstrum(power(window(frame)))[1] for frame in frames])

    return timed(work, task.audio_s)


SMILE = """
[componentInstances:cComponentManager]
instance[dataMemory].type=cDataMemory
instance[frames].type=cFramer
instance[taper].type=cWindower
instance[fft].type=cTransformFFT
instance[magnitude].type=cFFTmagphase
instance[mel].type=cMelspec
instance[mfcc].type=cMfcc
\\{{\\cm[source{{?}}:include external source]}}
\\{{\\cm[sink{{?}}:include external sink]}}
[frames:cFramer]
reader.dmLevel=wave
writer.dmLevel=frames
frameSize={length_s}
frameStep={step_s}
[taper:cWindower]
reader.dmLevel=frames
writer.dmLevel=tapered
winFunc=hann
[fft:cTransformFFT]
reader.dmLevel=tapered
writer.dmLevel=fft
[magnitude:cFFTmagphase]
reader.dmLevel=fft
writer.dmLevel=magnitude
[mel:cMelspec]
reader.dmLevel=magnitude
writer.dmLevel=mel
nBands={n_mels}
lofreq={fmin}
hifreq={top_hz}
usePower=1
[mfcc:cMfcc]
reader.dmLevel=mel
writer.dmLevel=lld
firstMfcc=0
lastMfcc={last}
"""


def opensmile(task: Task) -> Go:
    """Make what runs openSMILE over the audio; each second once."""
    import opensmile as smile

    spec = task.spec
    path = Path(tempfile.mkdtemp()) / "mfcc.conf"
    path.write_text(
        SMILE.format(
            length_s=spec.n_fft / spec.sample_rate,
            step_s=spec.hop_length / spec.sample_rate,
            n_mels=spec.n_mels,
            fmin=spec.fmin,
            top_hz=spec.top_hz,
            last=spec.n_mfcc - 1,
        )
    )
    extractor = smile.Smile(feature_set=str(path), feature_level="lld", num_workers=1)
    return timed(lambda: extractor.process_signal(task.audio, spec.sample_rate), task.audio_s)


def torch_eager(task: Task, batch: int) -> Go:
    """Make what runs the model's network in torch, a whole window at a time; what its weights are does not matter."""
    import torch

    from genretrain.networks import NETWORKS

    torch.set_num_threads(1)
    network = NETWORKS[task.network](task.spec.n_mfcc, 10, task.window_frames).eval()
    windows = torch.randn(batch, task.window_frames, task.spec.n_mfcc)

    def work() -> None:
        with torch.inference_mode():
            network(windows)

    return timed(work, batch)


FEATURES: dict[str, tuple[str, Callable[[Task], Go]]] = {
    "librosa, on each window": ("librosa", librosa_per_window),
    "librosa, each second once": ("librosa", librosa_once),
    "kaldi-native-fbank, each second once": ("kaldi_native_fbank", kaldi),
    "openSMILE, each second once": ("opensmile", opensmile),
    "essentia, each second once": ("essentia", essentia),
}
TORCH = "torch, eager"


def main(audio: Path, settings: Path) -> None:
    """Answer questions on stdin until it ends."""
    told = json.loads(settings.read_text())
    task = Task(np.load(audio), MfccSpec(**told["spec"]), told["network"], told["window"], told["hop"])
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print is no answer
    goes: dict[tuple[str, int], Go] = {}
    missing = {name: why for name, (module, _) in FEATURES.items() if (why := _missing(module))}
    missing |= {TORCH: why} if (why := _missing_network(task.network)) else {}
    present = [name for name in (*FEATURES, TORCH) if name not in missing]
    print(json.dumps({"present": present, "missing": missing}), file=answers, flush=True)
    for line in sys.stdin:
        question: dict[str, Any] = json.loads(line)
        key = question["peer"], question["batch"]
        if key not in goes:
            goes[key] = torch_eager(task, key[1]) if key[0] == TORCH else FEATURES[key[0]][1](task)
        print(json.dumps({"ms": goes[key]()}), file=answers, flush=True)


def _missing(module: str) -> str:
    """Why `module` cannot be used; empty if it can."""
    try:
        __import__(module)
    except Exception as error:  # a library that is there may still fail in its own way
        return f"{type(error).__name__}: {error}"
    return ""


def _missing_network(name: str) -> str:
    """Why the network cannot be run in torch; empty if it can."""
    if why := _missing("torch"):
        return why
    from genretrain.networks import NETWORKS

    return "" if name in NETWORKS else "the model's card names no network of genretrain"


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
