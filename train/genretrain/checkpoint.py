"""Checkpoints: what a run leaves in its folder, read and written in one place.

``checkpoint.pt`` is the last epoch with everything needed to go on, ``best.pt`` the best by validation. Both hold
their recipe, so a network comes back without the TOML file.
"""

from __future__ import annotations

import dataclasses
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch

from genred.errors import BadInputError

from . import atomic, gtzan, recipe
from .networks import NETWORKS, Network
from .recipe import Recipe


@dataclasses.dataclass
class Run:
    """Everything that moves while training, saved and restored as one."""

    network: Network
    averaged: Network
    optimiser: torch.optim.Optimizer
    rng: np.random.Generator
    epoch: int = 0
    best: tuple[float, float] = (-1.0, 0.0)  # validation accuracy, minus its loss

    def state(self) -> dict[str, Any]:
        """Everything a later process needs to go on."""
        return {
            "network": self.network.state_dict(),
            "averaged": self.averaged.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "rng": self.rng.bit_generator.state,
            "torch_rng": torch.get_rng_state(),
            "epoch": self.epoch,
            "best": self.best,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Become the run that `state` was taken of."""
        self.network.load_state_dict(state["network"])
        self.averaged.load_state_dict(state["averaged"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.rng.bit_generator.state = state["rng"]
        torch.set_rng_state(state["torch_rng"])
        self.epoch, self.best = state["epoch"], tuple(state["best"])


def load_best(folder: Path) -> tuple[Recipe, Network, dict[str, Any]]:
    """Recipe, network and record of the best epoch by validation of the run in `folder`.

    Raises
    ------
    BadInputError
        If there is none.
    """
    plan, network, saved = _load(folder / "best.pt")
    return plan, network, {key: saved[key] for key in ("epoch", "valid_accuracy", "valid_loss")}


def load_last(folder: Path) -> tuple[Recipe, Network, int]:
    """Recipe, network and number of the last epoch of the run in `folder`: what the paper reads.

    Raises
    ------
    BadInputError
        If the run is not at its end.
    """
    plan, network, saved = _load(folder / "checkpoint.pt")
    if saved["epoch"] < plan.epochs:
        raise BadInputError(f"{folder} is at epoch {saved['epoch']} of {plan.epochs}: run genretrain fit to its end")
    return plan, network, saved["epoch"]


def _load(path: Path) -> tuple[Recipe, Network, dict[str, Any]]:
    if not path.exists():
        raise BadInputError(f"no finished epoch in {path.parent}: run genretrain fit first")
    saved = _read(path)
    try:
        plan = recipe.from_dict(json.loads(saved["recipe"]))
    except (KeyError, TypeError, ValueError) as error:
        raise BadInputError(f"{path} is not a checkpoint of this genretrain: {error}") from error
    network = untrained(plan)
    network.load_state_dict(saved["averaged"])
    return plan, network.eval(), saved


def untrained(plan: Recipe) -> Network:
    """Build the network of `plan`, as torch draws its weights."""
    return NETWORKS[plan.network](plan.spec.n_mfcc, len(gtzan.GENRES), plan.window)


def identity(plan: Recipe) -> dict[str, str]:
    """Entry of a checkpoint that says what it is of."""
    return {"recipe": json.dumps(dataclasses.asdict(plan))}


def resume(run: Run, plan: Recipe, path: Path) -> None:
    """Make `run` the one at `path`, if there is one; BadInputError if that is of another recipe."""
    if not path.exists():
        return
    state = _read(path)
    if not _is_of(state, plan):
        raise BadInputError(f"{path} is a checkpoint of another recipe; choose another --out, or remove it")
    run.restore(state)
    print(f"going on after epoch {run.epoch}")


def _is_of(state: dict[str, Any], plan: Recipe) -> bool:
    """Whether a checkpoint is of `plan`; what its recipe does not name had its default then."""
    try:
        return recipe.from_dict(json.loads(state["recipe"])) == plan
    except (KeyError, TypeError, ValueError):
        return False


def _read(path: Path) -> dict[str, Any]:
    """A checkpoint, on the CPU; loading it into a network or an optimiser moves it to where they are."""
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except OSError:
        raise
    except Exception as error:  # the unpickler raises whatever it stumbles over
        raise BadInputError(f"the checkpoint {path} is damaged; remove it, and fit begins again") from error
    return state


def save(state: dict[str, Any], path: Path) -> None:
    """Write whole or not at all; BadInputError if it cannot be written.

    Torch, writing a file itself, tells a full disk by a RuntimeError.
    """
    whole = io.BytesIO()
    torch.save(state, whole)
    atomic.write(path, whole.getbuffer())
