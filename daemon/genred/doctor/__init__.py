"""Doctor: is everything there that genred needs, and does it work? One finding a line, with its remedy.

A check is a function from what it looks at to findings: `machine` has those of Python, endpoint and terminal, `sound`
those of inputs, `model` those of the network and what runs it. None of them changes anything.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from functools import cache, partial
from textwrap import fill

import click
import msgspec
from rich.console import Console
from rich.text import Text

from .. import __version__
from ..card import find_model
from ..classifier import Classifier
from .finding import Check, Finding, guarded
from .machine import check_endpoint, check_python, check_terminal, check_versions
from .model import check_cpu, check_cuda, check_model
from .sound import HERE, Ears, check_inputs, check_portaudio, check_server

VERDICT = 8  # columns
STYLES = {"ok": "green", "warning": "yellow", "fault": "bold red"}


def examine_here(bind: str, model: str, *, as_json: bool) -> int:
    """Examine this machine and print the findings; return the exit code."""
    terminal = Console() if sys.stdout.isatty() else Console(stderr=True)
    return tell(examine(bind, model, terminal), Console(), as_json=as_json)


def examine(bind: str, model: str, console: Console, ears: Ears = HERE) -> Iterator[Finding]:
    """Make all checks, one after the other."""
    ears = Ears(cache(ears.list_inputs), cache(ears.ask_server), ears.listen)
    load = cache(lambda provider: Classifier(find_model(model), provider))
    checks: dict[str, Check] = {
        "python": check_python,
        "versions": check_versions,
        "portaudio": partial(check_portaudio, ears),
        "audio server": partial(check_server, ears),
        "inputs": partial(check_inputs, ears),
        "model": partial(check_model, load),
        "cpu": partial(check_cpu, load),
        "cuda": partial(check_cuda, load),
        "endpoint": partial(check_endpoint, bind),
        "terminal": partial(check_terminal, console),
    }
    return (finding for name, check in checks.items() for finding in guarded(name, check))


def tell(findings: Iterable[Finding], console: Console, *, as_json: bool) -> int:
    """Print `findings`, for people as they come; return the exit code: 1 if one is a fault."""
    told = []
    for finding in findings:
        told.append(finding)
        if not as_json:
            with console.capture() as printed:
                console.print(line(finding, console.width if console.is_terminal else None), soft_wrap=True)
            click.echo(printed.get().encode(console.encoding, "replace"), nl=False)
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode({"genred": __version__, "findings": told}), indent=2))
    return int(any(finding.verdict == "fault" for finding in told))


def line(finding: Finding, width: int | None = None) -> Text:
    """Verdict, check, text, and after a semicolon the remedy: in one line, or in `width` columns beside the verdict."""
    rest = f"{finding.check}: {finding.text}" + (f"; {finding.remedy}" if finding.remedy else "")
    if width is not None and width > 2 * VERDICT:
        rest = fill(rest, width - VERDICT, break_on_hyphens=False).replace("\n", "\n" + " " * VERDICT)
    return Text.assemble((f"{finding.verdict:{VERDICT}}", STYLES[finding.verdict]), rest)
