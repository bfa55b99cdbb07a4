"""Finding: what a check says."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Literal

import msgspec

from ..errors import GenredError
from ..messages import plain

Trouble = Literal["warning", "fault"]
REPORT = "this is a fault of genred; please report it with what genred doctor --json prints"


class Finding(msgspec.Struct, frozen=True, omit_defaults=True):
    """What one check found; `remedy` is empty where nothing need be done."""

    check: str
    verdict: Literal["ok"] | Trouble
    text: str
    remedy: str = ""


Check = Callable[[], Iterable[Finding]]


def guarded(name: str, check: Check) -> Iterator[Finding]:
    """Findings of `check`, fit to be shown; an error that ends it is one of them."""
    try:
        for finding in check():
            yield _presentable(finding)
    except GenredError as error:
        yield _presentable(failed(name, "fault", error))
    except Exception as error:
        yield _presentable(Finding(name, "fault", f"{type(error).__name__}: {error}", REPORT))


def failed(name: str, verdict: Trouble, error: GenredError, remedy: str = "") -> Finding:
    """Finding from an error of genred, which may say after a semicolon what to do."""
    text, _, advice = str(error).partition("; ")
    return Finding(name, verdict, text, advice or remedy)


def _presentable(finding: Finding) -> Finding:
    """Without control characters, and without the home folder, which tells the user's name."""
    text, remedy = (plain(_without_home(part)) for part in (finding.text, finding.remedy))
    return Finding(plain(finding.check), finding.verdict, text, remedy)


def _without_home(text: str) -> str:
    home = str(Path.home())
    return text if home == "/" else text.replace(home, "~")
