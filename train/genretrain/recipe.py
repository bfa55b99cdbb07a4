"""A recipe: everything a training run depends on, read from one TOML file."""

from __future__ import annotations

import dataclasses
import tomllib
from operator import attrgetter
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

from genred.errors import ConfigError
from genred.features import GainRule, MfccSpec

from .augment import Augmentation
from .dataset import ARCHIVED
from .gtzan import KINDS
from .networks import NETWORKS, Convolutions

R = TypeVar("R")
SMALLEST: int = Convolutions.SHRINKING  # frames and coefficients that the pooling leaves one step of
WORDS = {str: "text", int: "a whole number", float: "a number", bool: "true or false"}


@dataclasses.dataclass(frozen=True)
class Recipe:
    """One row of the results. The tables ``[spec]``, ``[gain]`` and ``[augment]`` fill the records of those names.

    Attributes
    ----------
    network : str
        Name in `networks.NETWORKS`.
    seed : int
        Fixes the random split, the initialisation and every draw.
    split : str
        ``random``, as the paper's; ``filtered``, the published lists without GTZAN's faults; ``fold``, of which the
        seed is the number: the test parts of folds 0 to 4 are all of GTZAN.
    window : int
        Frames that are judged, and of a crop.
    shortest : int
        If not 0, each batch is of crops of one length between this and the window, a multiple of the pooling.
    learning_rate, weight_decay : float
        AdamW's (Loshchilov and Hutter 2019); the rate rises over `warm_up` epochs and falls to 0 as a cosine.
    mixup : float
        Alpha of the beta distribution (Zhang et al. 2018); 0 leaves it out.
    replication : float
        Share of the loss that is the mean over the answers after every step, not the last alone: target replication
        (Lipton et al. 2016). The network that is judged is the same.
    average : float
        Decay per step of the averaged weights that are judged and exported; 0 takes the weights as they are.
    mixed_precision : bool
        bfloat16 in the convolutions.
    outliers : float
        For each track so many sounds that are no music, answered with every genre alike: `outliers`.
    start : str
        If not empty, the recipe whose run of the same split and seed, beside this one, is gone on from: its best
        weights by validation.
    teachers : tuple of str
        Recipes whose runs of the same split and seed, beside this one, are an ensemble to learn from.
    distillation : float
        Share that the ensemble's answer to a crop, the mean of its probabilities, has in what the crop is to be
        answered with (Hinton, Vinyals and Dean 2015); the genre has the rest. Outliers are left as they are.
    record_test : bool
        Note the accuracy on the test tracks after every epoch, for the figure. It is read by nothing, and is a look
        at the test tracks all the same.

    Raises
    ------
    ValueError
        For a setting that cannot be trained.
    """

    network: str = "crnn"
    seed: int = 0
    split: str = "random"
    window: int = 1000
    shortest: int = 0
    epochs: int = 70
    batch: int = 32
    learning_rate: float = 1e-3
    weight_decay: float = 0.0
    warm_up: int = 0
    cosine: bool = False
    label_smoothing: float = 0.0
    mixup: float = 0.0
    replication: float = 0.0
    average: float = 0.0
    mixed_precision: bool = False
    outliers: float = 0.0
    start: str = ""
    teachers: tuple[str, ...] = ()
    distillation: float = 0.0
    record_test: bool = False
    spec: MfccSpec = MfccSpec()
    gain: GainRule = GainRule()
    augment: Augmentation = Augmentation()

    def __post_init__(self) -> None:
        archived = dataclasses.replace(ARCHIVED, n_mfcc=self.spec.n_mfcc)
        positive = "epochs batch learning_rate gain.interval_frames gain.history gain.step_db"
        not_negative = (
            "weight_decay warm_up mixup augment.gain_db augment.equaliser_db augment.stretch augment.shift"
            " augment.mask_frames augment.mask_bands"
        )
        shares = "augment.room augment.noise augment.line replication outliers distillation"
        rules = [
            ("network", self.network in NETWORKS, f"one of {', '.join(NETWORKS)}"),
            ("split", self.split in KINDS, f"one of {', '.join(KINDS)}"),
            ("window", self.window >= SMALLEST, f"at least {SMALLEST}"),
            ("shortest", not self.shortest or SMALLEST <= self.shortest <= self.window, "0, or up to the window"),
            ("shortest", not self.shortest or self.network != "dnn", "0: a dnn knows one length only"),
            ("augment.stretch", self.augment.stretch < 1, "below 1"),
            ("augment.shift", self.augment.shift < 1, "below 1"),
            ("spec.n_mfcc", self.spec.n_mfcc >= SMALLEST, f"at least {SMALLEST}"),
            ("spec", self.spec == archived, "what the log-mels were made with; only n_mfcc can be chosen"),
            ("label_smoothing", 0 <= self.label_smoothing < 1, "at least 0 and below 1"),
            ("replication", not self.replication or self.network == "crnn", "0: only a crnn answers after every step"),
            ("distillation", bool(self.teachers) == (self.distillation > 0), "above 0 with teachers, and 0 without"),
            ("average", 0 <= self.average < 1, "at least 0 and below 1"),
            ("augment.mask_frames", self.augment.mask_frames <= self.window, "at most the window"),
            *((name, attrgetter(name)(self) > 0, "positive") for name in positive.split()),
            *((name, attrgetter(name)(self) >= 0, "at least 0") for name in not_negative.split()),
            *((name, 0 <= attrgetter(name)(self) <= 1, "from 0 to 1") for name in shares.split()),
        ]
        for name, fits, must_be in rules:
            if not fits:
                raise ValueError(f"{name} is {attrgetter(name)(self)!r}, but must be {must_be}")


def read(path: Path) -> Recipe:
    """Read a recipe.

    Raises
    ------
    ConfigError
        If the file is missing, is not TOML, or has a key or value that a recipe cannot have.
    """
    try:
        table = tomllib.loads(path.read_text())
        return from_dict(table)
    except FileNotFoundError as error:
        raise ConfigError(f"no recipe {path}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, TypeError, ValueError) as error:
        raise ConfigError(f"recipe {path}: {error}") from error


def from_dict(table: dict[str, Any]) -> Recipe:
    """Build a recipe from nested tables; TypeError or ValueError names what does not fit."""
    return _record(Recipe, table, "")


def _record(kind: type[R], table: dict[str, Any], place: str) -> R:
    types = get_type_hints(kind)
    if unknown := sorted(set(table) - set(types)):
        raise ValueError(f"unknown key {place + unknown[0]!r}; known are {', '.join(sorted(types))}")
    return kind(**{key: _value(types[key], value, place + key) for key, value in table.items()})


def _value(kind: Any, value: Any, name: str) -> Any:
    if dataclasses.is_dataclass(kind):
        if not isinstance(value, dict):
            raise TypeError(f"{name} is {value!r}, but must be a table, [{name}]")
        return _record(kind, value, f"{name}.")  # type: ignore[arg-type]  # a class: it is a type annotation
    if kind == tuple[str, ...]:
        if not isinstance(value, list) or not all(type(text) is str for text in value):
            raise TypeError(f"{name} is {value!r}, but must be a list of texts")
        return tuple(value)
    if kind is float and type(value) is int:
        return float(value)
    if type(value) is not kind:
        raise TypeError(f"{name} is {value!r}, but must be {WORDS[kind]}")
    return value
