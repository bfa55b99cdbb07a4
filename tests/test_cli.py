"""The command line's own words."""

from __future__ import annotations

import os

import pytest
from click.testing import CliRunner

from conftest import genred
from genred.cli import main


@pytest.mark.parametrize("name", sorted(main.commands))  # type: ignore[attr-defined]
def test_help_has_an_example(name: str) -> None:
    """The help of every command shows the command in use."""
    text = CliRunner().invoke(main, [name, "--help"]).output
    description, options = text.split("Options:")
    examples = [line for line in description.splitlines()[1:] if line.startswith(f"  genred {name}")]
    assert examples, description
    assert "--help" in options


def test_help_lists_every_command() -> None:
    """`genred --help` names every command, with examples."""
    text = CliRunner().invoke(main, ["--help"]).output
    assert all(f"\n  {name} " in text for name in main.commands)  # type: ignore[attr-defined]
    assert "  genred run mic:" in text


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion(shell: str) -> None:
    """The shells get a completion script, as the README says."""
    result = genred(env=os.environ | {"_GENRED_COMPLETE": f"{shell}_source"})
    assert "genred" in result.stdout
    assert result.returncode == 0
