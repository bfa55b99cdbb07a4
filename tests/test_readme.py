"""What the README says is so."""

from __future__ import annotations

import json
import re
import tomllib

import msgspec
import pytest

from conftest import ROOT
from genred.cli import main
from genred.config import Config

README = (ROOT / "README.md").read_text()


def test_figures_are_the_cards() -> None:
    """Every row of the README's table of results stands in the model's card, and the other way round."""
    figures = README.split("<!-- figures")[1].split("<!-- end of figures -->")[0]
    card = (ROOT / "models" / "genred.md").read_text().split("## Training")[0]
    rows = [line for line in figures.splitlines() if line.startswith("|")]
    assert rows == [line for line in card.splitlines() if line.startswith("|")]
    assert len(rows) > 2


def test_commands_exist() -> None:
    """Every genred command that the README shows is one."""
    shown = set(re.findall(r"^    (?:.*\| )?genred ([a-z]+)", README, re.MULTILINE))
    assert {"run", "listen", "classify"} <= shown <= set(main.commands)  # type: ignore[attr-defined]


def test_message_is_a_real_one() -> None:
    """The message that the README shows is the golden one."""
    shown = README.split("```json")[1].split("```")[0]
    assert json.loads(shown) == json.loads((ROOT / "tests" / "golden" / "estimate.json").read_text())


def test_configuration_is_valid() -> None:
    """The configuration that the README shows can be used."""
    shown = README.split("```toml")[1].split("```")[0]
    config = msgspec.convert(tomllib.loads(shown), Config)
    assert [station.name for station in config.station] == ["kitchen", "evening"]


@pytest.mark.parametrize("target", re.findall(r"\]\(([^)]+)\)", README))
def test_links_lead_somewhere(target: str) -> None:
    """Every link of the README names a file that is there."""
    assert (ROOT / target.partition("#")[0]).exists()
