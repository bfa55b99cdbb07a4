"""Export: the best epoch of a run -> one ONNX file with its card.

The file is self-contained, and batch and time are both dynamic: ``mfcc`` [B, T, C] -> ``probabilities`` [B, K]. It is
only left behind if it answers as the network did.
"""

from __future__ import annotations

import dataclasses
import subprocess
import warnings
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import torch
from torch import Tensor, nn

import genred
from genred.card import Horizon, ModelCard
from genred.classifier import Classifier
from genred.errors import BadInputError, GenredError
from genred.features import Frames, Mfcc

from . import card, checkpoint, dataset, gtzan, recipe
from .horizons import frames_judged
from .networks import STEPS, Rolled
from .recipe import Recipe

TOLERANCE = 1e-5  # of a probability, between torch and ONNX Runtime
_CHECKOUT = Path(__file__).parents[2]


class Probabilities(nn.Module):
    """A network whose answer is probabilities instead of logits, and the steps that they were made of."""

    def __init__(self, network: Rolled) -> None:
        super().__init__()
        self.network = network

    def forward(self, mfcc: Tensor) -> tuple[Tensor, Tensor]:
        """Probabilities [B, K] and steps [B, S, F] of `mfcc` [B, T, C]."""
        steps = self.network.steps(mfcc)
        return self.network.over_steps(steps).softmax(1), steps


def export(run_folder: Path, out: Path, data: Path = Path("data/gtzan")) -> None:
    """Write the best epoch of the run in `run_folder` to `out`, with its card in it and as ``.md`` beside it.

    `data` is what the run was fitted on: the card says how it was split.

    Raises
    ------
    BadInputError
        If the run has no finished epoch or is not a CRNN, or `data` is not GTZAN.
    GenredError
        If the file does not answer as the network does.
    """
    plan, network, record = checkpoint.load_best(run_folder)
    if not isinstance(network, Rolled):
        raise BadInputError(f"{run_folder} is a {plan.network}, but only a network that can be rolled is exported")
    split = gtzan.split(plan.split, list(dataset.load(data)), plan.seed)
    training = _training(plan, split, record, run_folder)
    model_card = _card(plan, network, training)
    out.parent.mkdir(parents=True, exist_ok=True)
    partial = out.with_name(f"{out.stem}.partial.onnx")
    try:
        _write_graph(network, plan, partial)
        card.store(partial, model_card)
        training["parity"] = _parity(network, plan, partial)
        model_card = msgspec.structs.replace(model_card, training=training)
        card.store(partial, model_card)
        partial.rename(out)
    finally:
        partial.unlink(missing_ok=True)
    card.set_out(out, model_card)
    print(f"{out}: epoch {record['epoch']}, differs from torch by at most {training['parity']:.1e}")


def _card(plan: Recipe, network: Rolled, training: dict[str, Any]) -> ModelCard:
    return ModelCard(
        labels=gtzan.GENRES,
        spec=plan.spec,
        gain=plan.gain,
        window_frames=plan.window,
        horizons=tuple(Horizon(frames) for frames in frames_judged(plan.window, plan.shortest)),
        geometry=network.geometry(),
        training=training,
        licence=_licence(),
    )


def _training(plan: Recipe, split: gtzan.Split, record: dict[str, Any], run_folder: Path) -> dict[str, Any]:
    return {
        "data": "GTZAN log-mels",
        "split": split.name,
        "seed": plan.seed,
        "tracks": {"train": len(split.train), "valid": len(split.valid), "test": len(split.test)},
        "held_out": split.held_out,
        "run": run_folder.resolve().name,
        "epoch": record["epoch"],
        "valid_accuracy": record["valid_accuracy"],
        "recipe": dataclasses.asdict(plan) | {"teachers": list(plan.teachers)},  # as JSON gives it back
        **_origin(),
        **_command(plan),
    }


def _write_graph(network: Rolled, plan: Recipe, path: Path) -> None:
    """Trace the network; torch's TorchScript exporter keeps weights in the file and axes as they are named."""
    with warnings.catch_warnings():
        # One about the exporter's age, one about LSTMs without a batch axis of their own: `_parity` has three sizes.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            Probabilities(network).eval(),
            (torch.zeros(2, plan.window, plan.spec.n_mfcc),),
            str(path),
            input_names=["mfcc"],
            output_names=["probabilities", STEPS],
            dynamic_axes={"mfcc": {0: "B", 1: "T"}, "probabilities": {0: "B"}, STEPS: {0: "B", 1: "S"}},
            dynamo=False,
        )
    _hide_steps(path)


def _hide_steps(path: Path) -> None:
    """Make the steps an inner tensor again: being an output gave it its name, and no user needs it."""
    import onnx

    model = onnx.load(path)
    (steps,) = [output for output in model.graph.output if output.name == STEPS]
    model.graph.output.remove(steps)
    onnx.save(model, path)


def _parity(network: Rolled, plan: Recipe, path: Path) -> float:
    """Greatest difference of a probability between the network and the file at `path`, as the daemon runs it."""
    classifier = Classifier(path, "cpu")
    differences = []
    for mfcc in _inputs(network, plan):
        with torch.no_grad():
            expected = Probabilities(network)(torch.from_numpy(mfcc))[0].numpy()  # [B, K]
        differences.append(float(np.abs(classifier.probabilities(mfcc) - expected).max()))
    if not max(differences) <= TOLERANCE:
        raise GenredError(
            f"the exported network differs from torch's by {max(differences):.1e} (allowed is {TOLERANCE:.0e}):"
            " nothing was written; look for an operator that this torch exports differently"
        )
    return max(differences)


def _inputs(network: Rolled, plan: Recipe) -> Iterator[Frames]:
    """Windows like the training set's in three batch sizes and three lengths, and one of silence."""
    rng = np.random.default_rng(0)
    mean, deviation = network.standardise.mean.numpy(), network.standardise.deviation.numpy()
    for batch, frames in ((1, plan.window), (3, plan.window + 8), (8, max(plan.window // 5, recipe.SMALLEST))):
        yield (mean + deviation * rng.normal(size=(batch, frames, len(mean)))).astype(np.float32)
    silence = np.full((plan.window, plan.spec.n_mels), dataset.FLOOR_DB)
    yield Mfcc(plan.spec).from_log_mel(silence)[None]


def _origin() -> dict[str, str]:
    """The commit that the code is of, if this is a checkout."""
    if _git("rev-parse", "--show-toplevel") != str(_CHECKOUT):
        return {}
    changed = _git("status", "--porcelain", "--", "daemon", "train", ":!train/results")
    return {"commit": f"{_git('rev-parse', '--short', 'HEAD')}{'-dirty' if changed else ''}"}


def _git(*arguments: str) -> str | None:
    try:
        return subprocess.run(
            ["git", "-C", str(_CHECKOUT), *arguments], capture_output=True, text=True, check=True
        ).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None


def _command(plan: Recipe) -> dict[str, str]:
    """The command that fits `plan`, if the checkout has its recipe."""
    for path in sorted((_CHECKOUT / "train" / "configs").glob("*.toml")):
        written = recipe.read(path)
        if dataclasses.replace(written, seed=plan.seed) == plan:
            seed = "" if written.seed == plan.seed else f" --seed {plan.seed}"
            return {"command": f"genretrain fit {path.relative_to(_CHECKOUT)}{seed}"}
    return {}


def _licence() -> str:
    """One line on the weights: the packaged file, else the checkout's."""
    packaged = Path(str(resources.files(genred))) / "models"
    for folder in (packaged, _CHECKOUT / "models"):
        path = folder / "LICENSE-WEIGHTS"
        if path.is_file():
            return " ".join(path.read_text().split())
    raise GenredError(f"no LICENSE-WEIGHTS in {packaged}: install genred again")
