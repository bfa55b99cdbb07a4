"""A recipe: everything a training run depends on, read from one TOML file."""

from __future__ import annotations

import dataclasses
import tomllib
from pathlib import Path
from typing import Any

from genred.errors import ConfigError
from genred.features import GainRule, MfccSpec

from .dataset import Augmentation


@dataclasses.dataclass(frozen=True)
class Recipe:
    """One row of the results. The file's tables ``[spec]``, ``[gain]`` and ``[augment]`` fill the records of those names.

    Attributes
    ----------
    network : str
        Name in `networks.NETWORKS`.
    seed : int
        Fixes the split, the initialisation and every draw.
    window : int
        Frames of a crop.
    learning_rate, weight_decay : float
        AdamW's (Loshchilov and Hutter 2019); the rate rises over `warm_up` epochs and falls to 0 as a cosine.
    mixup : float
        Alpha of the beta distribution (Zhang et al. 2018); 0 leaves it out.
    average : float
        Decay per step of the averaged weights that are judged and exported; 0 takes the weights as they are.
    mixed_precision : bool
        bfloat16 in the convolutions.
    """

    network: str = "crnn"
    seed: int = 0
    window: int = 1000
    epochs: int = 70
    batch: int = 32
    learning_rate: float = 1e-3
    weight_decay: float = 0.0
    warm_up: int = 0
    cosine: bool = False
    label_smoothing: float = 0.0
    mixup: float = 0.0
    average: float = 0.0
    mixed_precision: bool = False
    spec: MfccSpec = MfccSpec()
    gain: GainRule = GainRule()
    augment: Augmentation = Augmentation()


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
    parts = {"spec": MfccSpec, "gain": GainRule, "augment": Augmentation}
    known = {field.name for field in dataclasses.fields(Recipe)}
    if unknown := sorted(set(table) - known):
        raise ValueError(f"unknown key {unknown[0]!r}; known are {', '.join(sorted(known))}")
    return Recipe(**{key: parts[key](**value) if key in parts else value for key, value in table.items()})
