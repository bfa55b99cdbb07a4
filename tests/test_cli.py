"""The command line's own words."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from conftest import genred
from genred.cli import main
from genretrain import cli as genretrain


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


def test_help_is_whole() -> None:
    """On 80 columns no command's line is cut off, and every option of every command says what it does."""
    assert "..." not in CliRunner().invoke(main, ["--help"], terminal_width=80).output.replace("[ARGS]...", "")
    for name, command in main.commands.items():  # type: ignore[attr-defined]
        options = [parameter for parameter in command.params if isinstance(parameter, click.Option)]
        assert [option.name for option in options if not option.help] == [], name


@pytest.mark.parametrize(
    ("line", "completed"),
    [
        ("genred w", ["plain,watch"]),
        ("genred run --provider ", ["plain,auto", "plain,cuda", "plain,cpu"]),
        ("genred run ", ["plain,mic:", "plain,demo:", "plain,file:"]),
        ("genred run d", ["plain,demo:"]),
        ("genred run music/a", ["file,music/a"]),
        ("genred run --model mod", ["file,mod"]),
        ("genred classify so", ["file,so"]),
    ],
)
def test_words_are_completed(line: str, completed: list[str]) -> None:
    """Commands, choices and kinds of source are completed, and files where there can be one."""
    words = line.split(" ")
    number = str(len(words) - 1)
    result = genred(env=os.environ | {"_GENRED_COMPLETE": "bash_complete", "COMP_WORDS": line, "COMP_CWORD": number})
    assert result.stdout.splitlines() == completed


def test_a_fault_of_genred_is_70(tmp_path: Path) -> None:
    """Whatever the command, an error that nobody has thought of is told with a traceback, and the exit code is 70."""
    (tmp_path / "zmq.py").write_text("raise ZeroDivisionError('a fault')\n")
    for command in ("listen", "watch"):
        result = genred(command, env=os.environ | {"PYTHONPATH": f"{tmp_path}:{os.environ.get('PYTHONPATH', '')}"})
        assert result.returncode == 70
        assert "please report this" in result.stderr
        assert result.stderr.splitlines()[-1] == "ZeroDivisionError: a fault"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion(shell: str) -> None:
    """The shells get a completion script, as the README says."""
    result = genred(env=os.environ | {"_GENRED_COMPLETE": f"{shell}_source"})
    assert "genred" in result.stdout
    assert result.returncode == 0


@pytest.mark.parametrize("arguments", [["--help"], ["run", "--help"], ["devices"]], ids=" ".join)
def test_a_full_disk(arguments: list[str]) -> None:
    """Output that cannot be written is told in one sentence, with exit code 1."""
    with Path("/dev/full").open("w") as full:
        command = [sys.executable, "-m", "genred", *arguments]
        result = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert result.stderr == "genred: cannot write the output: No space left on device\n"
    assert result.returncode == 1


def test_letters_that_the_terminal_has_not() -> None:
    """They are written as escapes instead of ending the program."""
    result = genred("run", "--config", "\N{SNOWMAN}", env=os.environ | {"PYTHONIOENCODING": "latin-1"})
    assert "\\u2603" in result.stderr
    assert result.returncode == 2


@pytest.mark.parametrize("option", [["--hop", "0"], ["--hop", "100001"], ["--require", "0"]], ids=" ".join)
def test_numbers_out_of_range(option: list[str]) -> None:
    """They are refused by the name of the option."""
    result = CliRunner().invoke(main, ["run", "demo:", *option])
    assert f"invalid value for '{option[0]}'" in result.output
    assert result.exit_code == 2


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--hp"], "genred: no such option '--hp'. Did you mean '--help'? (see genred --help)\n"),
        (["hear"], "genred: no such command 'hear' (see genred --help)\n"),
        (["classify"], "genred: missing argument 'FILE...' (see genred classify --help)\n"),
        (["run", "demo:", "--bogus"], "genred: no such option '--bogus' (see genred run --help)\n"),
        (["run", "--bind"], "genred: option '--bind' requires an argument (see genred --help)\n"),
    ],
)
def test_what_is_no_command_line(arguments: list[str], said: str) -> None:
    """What genred does not understand is told in one line, with exit code 2, and where it is explained."""
    result = CliRunner().invoke(main, arguments, prog_name="genred")
    assert result.stderr == said
    assert result.stdout == ""
    assert result.exit_code == 2


def test_without_a_command() -> None:
    """Without a command genred says what there is."""
    result = CliRunner().invoke(main, [])
    assert "genred run mic:" in result.output
    assert result.exit_code == 2


def test_training_without_its_libraries(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """A command of genretrain that lacks a library names it, and how to install it."""
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(SystemExit) as caught:
        genretrain.main(["fit", "recipe.toml"])
    assert capsys.readouterr().err == "genretrain: this needs torch: pip install 'genred[train]'\n"
    assert caught.value.code == 2
