"""ModelCard: what a model file says of itself, in its metadata; and where the models are that come with genred.

A model is one self-contained ONNX file. Everything that the daemon must know of it is in the file's metadata, under
``genred.card``, as JSON.
"""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import Any

import msgspec

from .errors import ModelError
from .features import GainRule, MfccSpec

CARD_KEY = "genred.card"
SHIPPED = ("genred", "crnn")  # names of the models that come with genred: its own, and the paper's
DEFAULT_MODEL = "genred"


class Result(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Accuracy on held-out tracks that were judged once.

    Attributes
    ----------
    input : str
        ``log-mel`` or ``audio``.
    tracks, correct : int
    accuracy, low, high : float
        With its 95 % interval (Wilson 1927).
    """

    split: str
    input: str
    tracks: int
    correct: int
    accuracy: float
    low: float
    high: float


class Horizon(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How answers to windows of `frames` and more are judged, up to the next horizon.

    Attributes
    ----------
    frames : int
    temperature : float
        Calibration: probabilities are taken to the power 1 / temperature.
    unsure_below : float
        Answers whose greatest probability, calibrated, is below this have no label.
    """

    frames: int
    temperature: float = 1.0
    unsure_below: float = 0.0


class ModelCard(msgspec.Struct, frozen=True, kw_only=True):
    """What a model file says of itself.

    Attributes
    ----------
    labels : tuple of str
        One for each output.
    spec, gain : MfccSpec, GainRule
        The features it was trained on.
    window_frames : int
        Length of a full window.
    horizons : tuple of Horizon
        Ascending; the last one's frames are `window_frames`, the first one's the fewest that it answers. A card
        without them has the one of full windows, which changes nothing.
    geometry : dict
        Kernels, padding, pooling and recurrent sizes.
    training : dict
        Data, split, seed, recipe, epoch, commit, command.
    results : tuple of Result
    licence : str

    Raises
    ------
    ValueError
        For what no model can have.
    """

    labels: tuple[str, ...]
    spec: MfccSpec
    gain: GainRule
    window_frames: int
    horizons: tuple[Horizon, ...] = ()
    geometry: dict[str, Any]
    training: dict[str, Any]
    results: tuple[Result, ...] = ()
    licence: str

    def __post_init__(self) -> None:
        if not self.labels or len(set(self.labels)) < len(self.labels):
            raise ValueError("its labels must be different, and at least one")
        if not all(label and label.isprintable() for label in self.labels):
            raise ValueError("its labels must be words that can be printed")
        for name, value, least, most in (
            ("window_frames", self.window_frames, 1, 100_000),
            ("sample_rate", self.spec.sample_rate, 1, 768_000),
            ("n_fft", self.spec.n_fft, 1, 65_536),
            ("n_mels", self.spec.n_mels, 1, 1024),
            ("interval_frames", self.gain.interval_frames, 1, 100_000),
            ("history", self.gain.history, 1, 100_000),
            ("step_db", self.gain.step_db, 0.1, 120.0),
            ("max_db", self.gain.max_db, 0.0, 120.0),
        ):
            _check(name, value, least, most)
        if not self.horizons:
            msgspec.structs.force_setattr(self, "horizons", (Horizon(self.window_frames),))
        self._check_horizons()

    def _check_horizons(self) -> None:
        frames = [horizon.frames for horizon in self.horizons]
        if frames != sorted(set(frames)) or frames[-1] != self.window_frames:
            raise ValueError(f"its horizons are {frames}, but must ascend to window_frames, {self.window_frames}")
        for horizon in self.horizons:
            _check("frames of a horizon", horizon.frames, 1, self.window_frames)
            _check("temperature", horizon.temperature, 0.05, 100.0)
            _check("unsure_below", horizon.unsure_below, 0.0, 1.0)

    def horizon(self, frames: int) -> Horizon:
        """Return the horizon that judges windows of `frames`: the greatest that is not longer."""
        reached = [horizon for horizon in self.horizons if horizon.frames <= frames]
        return reached[-1] if reached else self.horizons[0]


def _check(name: str, value: float, least: float, most: float) -> None:
    if not least <= value <= most:
        raise ValueError(f"{name} is {value}, but must be from {least} to {most}")


def find_model(wanted: str = "") -> Path:
    """Path of the model that `wanted` names: one of SHIPPED, a file, or the default model if it is empty.

    Raises
    ------
    ModelError
        If it should have come with genred, but is missing.
    """
    name = wanted or DEFAULT_MODEL
    if name not in SHIPPED:
        return Path(name)
    packaged = Path(str(resources.files("genred"))) / "models" / f"{name}.onnx"
    checkout = Path(__file__).parents[2] / "models" / f"{name}.onnx"
    for path in (packaged, checkout):
        if path.is_file():
            return path
    raise ModelError(f"the model {name} is missing at {packaged}; install genred again, or give --model FILE")
