from __future__ import annotations

from pathlib import Path

import pytest

from genretrain import recipe, rows, shipped
from genretrain.cli import _parser
from genretrain.shipped import Shipped

EVERY = shipped.models()


def test_there_is_a_model():
    """Without one, the tests below would show nothing."""
    assert (shipped.MODELS / "crnn.onnx") in [model.file for model in EVERY]


@pytest.mark.parametrize("model", EVERY, ids=lambda model: model.file.name)
def test_every_shipped_model_has_a_configuration_and_a_command(model: Shipped):
    """The recipe in its card is one in train/configs, and its command fits that one with the card's seed."""
    assert model.config
    command, *arguments = model.card.training["command"].split()
    typed = _parser().parse_args(arguments)
    assert command == "genretrain"
    assert typed.recipe == Path("train/configs") / f"{model.config}.toml"
    plan = recipe.read(shipped.CONFIGS / f"{model.config}.toml")
    assert (plan.seed if typed.seed is None else typed.seed) == model.card.training["seed"]


@pytest.mark.parametrize("model", EVERY, ids=lambda model: model.file.name)
def test_every_shipped_model_is_a_line_of_the_report(model: Shipped):
    """With its configuration and its command; what it is a network of is a row of the report."""
    [line] = [line for line in shipped.text(EVERY).splitlines() if line.startswith(f"| {model.file.name} |")]
    assert f"train/configs/{model.config}.toml" in line
    assert model.card.training["command"] in line
    assert model.card.training["recipe"]["network"] in (*rows.NETWORKS, "genred")


@pytest.mark.parametrize("path", sorted(shipped.MODELS.glob("*")), ids=lambda path: path.name)
def test_no_file_of_the_models_is_too_large(path: Path):
    """Eight megabytes: the repository is cloned whole."""
    assert path.stat().st_size <= shipped.LARGEST
