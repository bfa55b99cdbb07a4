"""Shipped: the model files of the checkout, each with the recipe and the command that it came from."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path

from genred.card import ModelCard
from genred.classifier import Classifier
from genred.errors import BadInputError

from . import gtzan, recipe
from .markdown import table

MODELS = Path(__file__).parents[2] / "models"
CONFIGS = Path(__file__).parents[1] / "configs"
LARGEST = 8_000_000  # bytes of a file that is committed


@dataclass(frozen=True)
class Shipped:
    """One model file.

    Attributes
    ----------
    config : str
        Name of the recipe in ``train/configs`` that is the card's own; empty if there is none.
    """

    file: Path
    card: ModelCard
    config: str


def models(folder: Path = MODELS) -> list[Shipped]:
    """Every ONNX file in `folder`."""
    every = []
    for path in sorted(folder.glob("*.onnx")):
        card = Classifier(path, "cpu").card
        every.append(Shipped(path, card, config_of(card)))
    return every


def config_of(card: ModelCard) -> str:
    """Name of the recipe in ``train/configs`` that a card's model was made by; empty if there is none."""
    plan = recipe.from_dict(card.training["recipe"])
    for path in sorted(CONFIGS.glob("*.toml")):
        if dataclasses.replace(recipe.read(path), seed=plan.seed, split=plan.split) == plan:
            return path.stem
    return ""


def split_of(model_card: ModelCard, tracks: list[str], data: Path) -> gtzan.Split:
    """Split of `tracks` that the model of this card was trained on; BadInputError if `data` does not give it."""
    training = model_card.training
    if not {"seed", "held_out"} <= training.keys():
        raise BadInputError("the model's card does not say how its data were split; make it with genretrain export")
    split = gtzan.split(kind_of(model_card), tracks, training["seed"])
    if split.held_out != training["held_out"]:
        raise BadInputError(
            f"{data} ({len(tracks)} tracks) does not hold out the tracks that the model was not trained on;"
            " evaluate on the tracks it was fitted on"
        )
    return split


def kind_of(model_card: ModelCard) -> str:
    """Kind of split; the first cards knew the random one only."""
    return str(model_card.training.get("recipe", {}).get("split", "random"))


def text(every: list[Shipped]) -> str:
    """One line a file: what it is, how it is made, how it was judged."""
    lines = [
        (
            model.file.name,
            f"{model.file.stat().st_size / 1e6:.1f} MB",
            f"`train/configs/{model.config}.toml`" if model.config else "none: its recipe has changed since",
            f"{model.card.training['split']}, epoch {model.card.training['epoch']}",
            f"`{model.card.training.get('command', '')}`",
            "; ".join(f"{r.input} {r.correct} of {r.tracks}" for r in model.card.results),
        )
        for model in every
    ]
    return table(("file in models/", "size", "configuration", "split", "command", "held-out tracks right"), lines)
