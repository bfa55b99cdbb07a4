"""ModelCard: what a model file says of itself, in its metadata; and where the default model is.

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
DEFAULT_MODEL = "crnn.onnx"


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


class ModelCard(msgspec.Struct, frozen=True, kw_only=True):
    """What a model file says of itself.

    Attributes
    ----------
    labels : tuple of str
        One for each output.
    spec, gain : MfccSpec, GainRule
        The features it was trained on.
    window_frames : int
        Length of the windows it was trained on.
    temperature : float
        Calibration: probabilities are taken to the power 1 / temperature.
    unsure_below : float
        Answers whose greatest probability, calibrated, is below this have no label.
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
    temperature: float = 1.0
    unsure_below: float = 0.0
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
            ("temperature", self.temperature, 0.05, 100.0),
            ("unsure_below", self.unsure_below, 0.0, 1.0),
            ("sample_rate", self.spec.sample_rate, 1, 768_000),
            ("n_fft", self.spec.n_fft, 1, 65_536),
            ("n_mels", self.spec.n_mels, 1, 1024),
            ("interval_frames", self.gain.interval_frames, 1, 100_000),
            ("history", self.gain.history, 1, 100_000),
            ("step_db", self.gain.step_db, 0.1, 120.0),
            ("max_db", self.gain.max_db, 0.0, 120.0),
        ):
            if not least <= value <= most:
                raise ValueError(f"{name} is {value}, but must be from {least} to {most}")


def find_model() -> Path:
    """Path of the default model: the packaged copy, else the checkout's.

    Raises
    ------
    ModelError
        If neither is there.
    """
    packaged = Path(str(resources.files("genred"))) / "models" / DEFAULT_MODEL
    checkout = Path(__file__).parents[2] / "models" / DEFAULT_MODEL
    for path in (packaged, checkout):
        if path.is_file():
            return path
    raise ModelError(f"the default model is missing at {packaged}; install genred again, or give --model FILE")
