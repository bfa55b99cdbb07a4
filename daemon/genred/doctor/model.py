"""Checks of the model, and of what can run it, by a timed run."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable
from statistics import median

import numpy as np

from ..classifier import Classifier
from ..errors import ModelError
from ..runtime import CUDA_DRIVER, Provider, has_driver
from .finding import Finding, failed

MOST_RUNS = 15
RUNS_S = 1.0  # no new run is begun after so long
HOP_FRAMES = 40  # between two answers, by default

Load = Callable[[Provider], Classifier]


def check_model(load: Load) -> Iterable[Finding]:
    """The model loads, and says what it is."""
    try:
        classifier = load("cpu")
    except ModelError as error:
        return [failed("model", "fault", error, "install genred again, or give a whole one with --model FILE")]
    claim = classifier.claim()
    text = f"{classifier.name} {classifier.digest[:12]}, labels: {', '.join(classifier.card.labels)}"
    if claim is None:
        return [Finding("model", "warning", f"{text}, claims no accuracy", "measure it with genretrain evaluate")]
    tracks = f"{claim.tracks} held-out tracks of the split {claim.split}"
    accuracy = f"{claim.accuracy:.0%} ({claim.low:.0%} to {claim.high:.0%}) of {tracks}"
    return [Finding("model", "ok", f"{text}, claims {accuracy}")]


def check_cpu(load: Load) -> Iterable[Finding]:
    """The processor keeps up with one station."""
    try:
        classifier = load("cpu")
    except ModelError:
        return []  # check_model tells
    return [_timed("cpu", classifier)]


def check_cuda(load: Load, driver: str = CUDA_DRIVER) -> Iterable[Finding]:
    """Where there is an NVIDIA driver, its device is truly used."""
    try:
        load("cpu")
    except ModelError:
        return []  # check_model tells
    if not has_driver(driver):
        return [Finding("cuda", "ok", f"not tried: there is no NVIDIA driver ({driver})")]
    try:
        return [_timed("cuda", load("cuda"))]
    except ModelError as error:
        return [failed("cuda", "warning", error)]


def _timed(provider: str, classifier: Classifier) -> Finding:
    card = classifier.card
    hop_ms = 1000 * HOP_FRAMES * card.spec.hop_length / card.spec.sample_rate
    window_ms = 1000 * _median_s(classifier)
    text = f"{window_ms:.1f} ms a window; each station has one every {hop_ms:.0f} ms"
    if window_ms > hop_ms:
        return Finding(
            provider, "warning", text, f"give --hop {HOP_FRAMES * math.ceil(2 * window_ms / hop_ms)} or more"
        )
    return Finding(provider, "ok", text)


def _median_s(classifier: Classifier) -> float:
    """Median time for one window of noise; loading has warmed it up."""
    card = classifier.card
    shape = (1, card.window_frames, card.spec.n_mfcc)
    windows = np.random.default_rng(0).normal(scale=20.0, size=shape).astype(np.float32)
    times_s: list[float] = []
    while len(times_s) < MOST_RUNS and sum(times_s) < RUNS_S:
        started_s = time.perf_counter()
        classifier.probabilities(windows)
        times_s.append(time.perf_counter() - started_s)
    return median(times_s)
