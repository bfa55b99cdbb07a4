"""Classifier: windows of MFCC -> probabilities, by ONNX Runtime.

A model is one self-contained ONNX file. Everything the daemon must know of it is in the file's metadata, under
``genred.card``, as JSON: see ModelCard. A file without a card is refused.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import msgspec
import numpy as np
from numpy.typing import NDArray

from .card import CARD_KEY, Horizon, ModelCard, Result
from .epoch import Window
from .errors import BatchError, ConfigError, ModelError
from .features import Doubles, Frames
from .messages import Reason, plain
from .rolling import Rolling, Run, in_batches, rolling_engine
from .runtime import Array, Graph, Provider, check_weights, choose, lacks_memory, quiet_stderr, read
from .segments import Heard

BATCH = {"cpu": 8, "cuda": 256}  # windows: what runs best, bounds memory, and how long others wait
LEAST_BATCH = 4  # windows: smaller ones cost more than a second core wins
CONVOLVED = {"cpu": 300, "cuda": 256_000}  # frames at once: bounds memory, and on a CPU more is not faster


class Engine(Protocol):
    """What answers windows."""

    def whole(self, windows: Array, /) -> Array:
        """Answer `windows` [B, T, C], each by itself; [B, K]."""
        ...

    def roll(self, windows: Sequence[Window], /) -> Array:
        """Answer windows of epochs, with what their pasts hold; [B, K]."""
        ...


class Whole:
    """An engine that keeps nothing: for models whose card does not say how to."""

    def __init__(self, network: Run) -> None:
        self.whole = network

    def roll(self, windows: Sequence[Window]) -> Array:
        """Answer each window by a whole pass."""
        return np.stack(in_batches(self.whole, [window.mfcc for window in windows], most=len(windows)))


@dataclass(frozen=True)
class Verdict:
    """The answer to one window: a label, or the `reason` why there is none. ``unsure`` has its probabilities.

    `unsure_below` is what the greatest of them had to reach.
    """

    label: str | None = None
    confidence: float | None = None
    probabilities: dict[str, float] | None = None
    reason: Reason | None = None
    unsure_below: float = 0.0

    def heard(self, window: Window, sample_rate: int) -> Heard:
        """Return it as that of `window`, whose samples are counted at `sample_rate`, for segments."""
        return Heard(window.first_sample, window.last_sample, sample_rate, self.probabilities, self.unsure_below)

    @property
    def likeliest(self) -> str | None:
        """Label of the greatest probability, given as an answer or not; None if there are no probabilities."""
        return max(self.probabilities, key=self.probabilities.__getitem__) if self.probabilities else None


class Classifier:
    """A loaded and warmed-up model.

    Parameters
    ----------
    path : Path
    provider : {"auto", "cuda", "cpu"}
        ``cuda`` must truly be in use; ``auto`` tries it only where the driver's library loads.
    threads : int
        Batches answered at the same time. Each runs in one thread: the steps of an LSTM are too short to be shared.

    Attributes
    ----------
    card : ModelCard
    provider : str
        ``cuda`` or ``cpu``: what runs.
    at_once : int
        Windows that are best given together.
    choice, passes : str
        One line: what was chosen and why; how windows are answered.
    digest : str
        SHA-256 of the file, hexadecimal.

    Raises
    ------
    ModelError
        If the file is not a model that genred can trust, or `provider` cannot be had.
    """

    def __init__(self, path: Path, provider: Provider = "auto", threads: int = 1) -> None:
        content = read(path)
        self.name = plain(path.stem)
        self.digest = hashlib.sha256(content).hexdigest()
        graph, self.choice = choose(content, path, provider)
        self.provider = graph.provider
        self._batch, self._threads = BATCH[self.provider], threads
        self._pool = ThreadPoolExecutor(threads, "model") if threads > 1 else None
        self.at_once = self._batch * threads
        self.card = _card(graph, path)
        check_weights(content, path)
        self._engine: Engine = Whole(graph)
        self._check_shapes(path)
        try:
            open_part = partial(self._part, path)
            self._engine = rolling_engine(self.card, open_part, content, CONVOLVED[self.provider])
            self.passes = f"rolling windows, in steps of {self._engine.reach.pooling} frames"
        except ValueError as error:
            self.passes = f"whole windows: {error}"

    def _part(self, path: Path, content: bytes) -> Graph:
        """Open a part of the model where the whole of it runs."""
        part = Graph(content, path, self.provider)
        if part.provider != self.provider:
            raise ValueError(f"a part of the model runs on {part.provider} only")
        return part

    def probabilities(self, windows: Frames) -> Doubles:
        """Calibrated probabilities [B, K] of `windows` [B, T, C], each by a whole pass.

        Raises
        ------
        BatchError
            If the network fails, or what it answers is not a set of probabilities.
        """
        horizon = self.card.horizon(windows.shape[1])
        return self._calibrated(self._ask(self._engine.whole, windows), [horizon] * len(windows))

    def _calibrated(self, raw: Doubles, horizons: Sequence[Horizon]) -> Doubles:
        """Calibrate `raw` [B, K], each answer as its horizon wants it."""
        n = len(raw)
        if not np.isfinite(raw).all():
            raise BatchError(f"the model's answer to {n} windows is not finite")
        if (raw < 0).any() or (np.abs(raw.sum(axis=1) - 1.0) > 1e-3).any():
            raise BatchError(f"the model's answer to {n} windows does not sum to 1")
        temperatures = np.array([horizon.temperature for horizon in horizons])[:, None]
        powers = np.log(np.maximum(raw, 1e-12)) / temperatures
        sharpened: Doubles = np.exp(powers - powers.max(axis=1, keepdims=True))
        normalised: Doubles = sharpened / sharpened.sum(axis=1, keepdims=True)
        return normalised

    def _ask(self, run: Callable[[Any], Array], windows: Sequence[Any] | Frames) -> Doubles:
        """Return what the network itself says of `windows`."""
        try:
            raw = np.asarray(run(windows), np.float64)
        except Exception as error:  # ONNX Runtime has a kind for each of its own faults
            why = plain(str(error).partition("\n")[0])
            raise BatchError(f"the model failed on {len(windows)} windows: {type(error).__name__}: {why}") from error
        if raw.shape != (len(windows), len(self.card.labels)):
            raise BatchError(f"the model's answer to {len(windows)} windows has shape {list(raw.shape)}")
        return raw

    def judge(self, windows: Sequence[Window]) -> list[Verdict | BatchError]:
        """Answer each window; silence is answered without asking the network."""
        verdicts: list[Verdict | BatchError] = [Verdict(reason="silence")] * len(windows)
        sounding = [i for i, window in enumerate(windows) if not window.silent]
        size = min(max(-(-len(sounding) // self._threads), LEAST_BATCH), self._batch)
        batches = [sounding[start : start + size] for start in range(0, len(sounding), size)]
        run = self._pool.map if self._pool and len(batches) > 1 else map
        answers = run(self._judge_batch, [[windows[i] for i in batch] for batch in batches])
        for batch, answer in zip(batches, answers, strict=True):
            for i, verdict in zip(batch, answer, strict=True):
                verdicts[i] = verdict
        return verdicts

    def _judge_batch(self, windows: list[Window]) -> list[Verdict | BatchError]:
        horizons = [self.card.horizon(len(window.mfcc)) for window in windows]
        try:
            table = self._calibrated(self._ask(self._engine.roll, windows), horizons)
        except BatchError as error:
            if len(windows) == 1:
                return [error]
            return [answer for window in windows for answer in self._judge_batch([window])]  # it harms only itself
        return [self.verdict(row, horizon) for row, horizon in zip(table, horizons, strict=True)]

    def verdict(self, probabilities: NDArray[np.float64], horizon: Horizon | None = None) -> Verdict:
        """Label and confidence of `probabilities` [K]; ``unsure`` where `horizon` finds the greatest too small.

        Without a horizon it is that of full windows.
        """
        best = int(probabilities.argmax())
        by_label = dict(zip(self.card.labels, probabilities.tolist(), strict=True))
        least = (horizon or self.card.horizons[-1]).unsure_below
        if probabilities[best] < least:
            return Verdict(probabilities=by_label, reason="unsure", unsure_below=least)
        return Verdict(self.card.labels[best], float(probabilities[best]), by_label, unsure_below=least)

    def claim(self) -> Result | None:
        """Return the result of the filtered split, which does not flatter, else the one that the card puts first."""
        filtered = [result for result in self.card.results if result.split == "filtered"]
        return next(iter([*filtered, *self.card.results]), None)

    @property
    def step_frames(self) -> int:
        """Frames of one step of the engine: windows begin at multiples of it."""
        return self._engine.reach.pooling if isinstance(self._engine, Rolling) else 1

    def check_hop(self, hop_frames: int) -> None:
        """Refuse hops at which no window would begin with a step of the engine.

        Raises
        ------
        ConfigError
        """
        step = self.step_frames
        if hop_frames % step:
            below = max(hop_frames // step, 1) * step
            raise ConfigError(
                f"--hop {hop_frames}: {self.name} makes one step of {step} frames, and windows must begin with one;"
                f" use a multiple, as {below}"
            )

    def _check_shapes(self, path: Path) -> None:
        """Run two windows of zeros of each length: that warms up, and shows what the network really takes and gives."""
        for horizon in self.card.horizons:
            self._check_shape(path, horizon.frames)

    def _check_shape(self, path: Path, frames: int) -> None:
        card = self.card
        try:
            with quiet_stderr():
                answer = self._engine.whole(np.zeros((2, frames, card.spec.n_mfcc), np.float32))
        except Exception as error:
            if lacks_memory(error):
                raise ModelError(f"not enough memory to run the model {path}") from error
            raise ModelError(
                f"{path} does not take batches of {frames} frames x {card.spec.n_mfcc} coefficients"
                " as its card says; export it again"
            ) from error
        if answer.shape != (2, len(card.labels)):
            raise ModelError(
                f"{path} answers two windows with shape {list(answer.shape)}, but its card has"
                f" {len(card.labels)} labels; export it again"
            )


def _card(graph: Graph, path: Path) -> ModelCard:
    try:
        text = graph.metadata(CARD_KEY)
        if text is not None:
            return msgspec.json.decode(text, type=ModelCard)
    except (msgspec.DecodeError, ValueError) as error:
        raise ModelError(f"the card of the model {path} is not valid: {error}") from error
    raise ModelError(f"the model {path} has no card ({CARD_KEY} in its metadata); make it with genretrain export")
