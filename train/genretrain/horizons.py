"""Horizons: how right and how sure a network is after 3, 5, 10 and 23 seconds, and after calibration.

What is judged is what the daemon publishes: the probabilities of one window. A temperature (Guo et al. 2017) for each
horizon is fitted on validation tracks and applied to held-out ones. Calibration is measured on one window of each
track, the middle one: windows of a track are right or wrong together, and would count as evidence many times.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from genred.classify import HOP_FRAMES
from genred.errors import BadInputError
from genred.features import Frames, MfccSpec

from . import atomic, dataset, gtzan, loop
from .progress import Progress

Table = NDArray[np.float64]  # [N, K], probabilities
TEMPERATURES = np.exp(np.linspace(np.log(0.3), np.log(4.0), 200))
BATCH = 32


Ask = Callable[[Frames], Table]  # windows [B, T, C] -> probabilities [B, K]


@dataclass(frozen=True)
class Heard:
    """What a network says of some tracks at one horizon.

    Attributes
    ----------
    probabilities : Table
        Of every window.
    track : NDArray
        Number of the track of each window.
    truth : NDArray
        Genre number of each track.
    """

    probabilities: Table
    track: NDArray[np.int64]
    truth: NDArray[np.int64]

    def calibrated(self, temperature: float) -> Heard:
        """The same with probabilities to the power 1 / `temperature`."""
        powers = np.log(np.maximum(self.probabilities, 1e-12)) / temperature
        sharpened = np.exp(powers - powers.max(axis=1, keepdims=True))
        return Heard(sharpened / sharpened.sum(axis=1, keepdims=True), self.track, self.truth)

    def middle(self) -> Heard:
        """One window of each track: the middle one."""
        counts = np.bincount(self.track)
        chosen = np.cumsum(counts) - counts + counts // 2
        return Heard(self.probabilities[chosen], self.track[chosen], self.truth)

    @property
    def right(self) -> NDArray[np.bool_]:
        """Whether each window is answered with the genre of its track; [N]."""
        right: NDArray[np.bool_] = self.probabilities.argmax(axis=1) == self.truth[self.track]
        return right

    @property
    def likelihood(self) -> NDArray[np.float64]:
        """Probability of the genre of its track, by window; [N]."""
        chosen: NDArray[np.float64] = self.probabilities[np.arange(len(self.track)), self.truth[self.track]]
        return chosen

    def loss(self) -> float:
        """Mean negative log-likelihood of windows."""
        return float(-np.log(np.maximum(self.likelihood, 1e-12)).mean())

    def brier(self) -> float:
        """Mean squared distance of probabilities from the truth (Brier 1950)."""
        square = (self.probabilities**2).sum(axis=1) - 2 * self.likelihood + 1
        return float(square.mean())

    def answers(self) -> NDArray[np.int64]:
        """Genre number by track: the greatest of the mean probabilities over its windows."""
        table = np.zeros((len(self.truth), self.probabilities.shape[1]))
        np.add.at(table, self.track, self.probabilities)
        best: NDArray[np.int64] = table.argmax(axis=1)
        return best

    def genres(self) -> list[str]:
        """The same by name."""
        return [gtzan.GENRES[number] for number in self.answers()]

    def tracks_right(self) -> float:
        """Share of tracks that are answered with their own genre."""
        return float((self.answers() == self.truth).mean())


@dataclass(frozen=True)
class Horizon:
    """How a run did at one horizon; accuracies and losses are of held-out tracks, calibrated.

    Attributes
    ----------
    frames, seconds : int, float
    temperature : float
        Fitted on the validation tracks.
    windows_right, tracks_right : float
        Share of single windows, and of tracks by the mean over their windows.
    loss, brier : float
        Of windows.
    raw_confidence, confidence, right : list
        Of the middle window of each track: greatest probability before and after calibration, and whether it is right.
    """

    frames: int
    seconds: float
    temperature: float
    windows_right: float
    tracks_right: float
    loss: float
    brier: float
    raw_confidence: list[float]
    confidence: list[float]
    right: list[bool]


def hear(ask: Ask, crops: dataset.Crops, truth: NDArray[np.int64], frames: int) -> Heard:
    """Ask for windows of `frames` of all tracks: the daemon's hop apart if they are whole, else one after the other."""
    hop = HOP_FRAMES if frames == crops.window else frames
    tables, counts = [], []
    for index in Progress(range(len(crops)), f"{frames} frames"):
        windows = _windows(crops, index, frames, hop)
        tables += [ask(windows[start : start + BATCH]) for start in range(0, len(windows), BATCH)]
        counts.append(len(windows))
    return Heard(np.concatenate(tables), np.repeat(np.arange(len(counts)), counts), truth)


def of_network(network: nn.Module) -> Ask:
    """How a network is asked."""
    network.eval()

    @torch.no_grad()
    def ask(windows: Frames) -> Table:
        probabilities: Table = network(torch.from_numpy(windows)).softmax(1).double().numpy()
        return probabilities

    return ask


def _windows(crops: dataset.Crops, index: int, frames: int, hop: int) -> NDArray[np.float32]:
    """Windows [N, frames, C] of a track that come before its end, `hop` apart; one at least."""
    whole = crops.windows(index, HOP_FRAMES)  # [N, window, C], the last of them at the end of the track
    track = np.concatenate([whole[0], *(window[-HOP_FRAMES:] for window in whole[1:])])
    starts = range(0, len(track) - frames + 1, hop)
    return np.stack([track[start : start + frames] for start in starts])


def fit_temperature(heard: Heard) -> float:
    """The temperature at which `heard` is likeliest."""
    losses = [heard.calibrated(temperature).loss() for temperature in TEMPERATURES]
    return float(TEMPERATURES[int(np.argmin(losses))])


def frames_judged(plan_window: int, shortest: int) -> tuple[int, ...]:
    """Horizons in frames of a network for windows of `plan_window`: the shorter ones only if it learned from such."""
    return (*(frames for frames in loop.HORIZONS if shortest and shortest <= frames < plan_window), plan_window)


Part = tuple[dataset.Crops, NDArray[np.int64]]  # tracks, and the genre number of each


def study(ask: Ask, valid: Part, test: Part, spec: MfccSpec, shortest: int) -> list[Horizon]:
    """Judge at each horizon of a network that learned from crops of `shortest` frames and more."""
    judged = frames_judged(test[0].window, shortest)
    return [
        judge(hear(ask, *valid, frames), hear(ask, *test, frames), frames, spec.seconds(frames)) for frames in judged
    ]


def judge(valid: Heard, test: Heard, frames: int, seconds: float) -> Horizon:
    """Fit on `valid`, measure on `test`."""
    temperature = fit_temperature(valid)
    calibrated, before = test.calibrated(temperature), test.middle()
    sample = calibrated.middle()
    return Horizon(
        frames=frames,
        seconds=round(seconds, 2),
        temperature=round(temperature, 3),
        windows_right=round(float(calibrated.right.mean()), 4),
        tracks_right=round(calibrated.tracks_right(), 4),
        loss=round(calibrated.loss(), 4),
        brier=round(calibrated.brier(), 4),
        raw_confidence=[round(float(p), 4) for p in before.probabilities.max(axis=1)],
        confidence=[round(float(p), 4) for p in sample.probabilities.max(axis=1)],
        right=[bool(r) for r in sample.right],
    )


def save(horizons: list[Horizon], path: Path) -> None:
    """Write `horizons` to `path`, one to a line."""
    lines = ",\n".join(json.dumps(asdict(horizon)) for horizon in horizons)
    atomic.write(path, f"[\n{lines}\n]\n")


def load(path: Path) -> list[Horizon]:
    """Read what `save` wrote.

    Raises
    ------
    BadInputError
        If it is not that.
    """
    try:
        return [Horizon(**entry) for entry in json.loads(path.read_text())]
    except (OSError, ValueError, TypeError) as error:
        raise BadInputError(f"{path} is not a file of horizons; restore it, or evaluate the run again") from error
