"""Imports run one way, and each outside library that does I/O has one home (DESIGN, section 2)."""

from __future__ import annotations

import ast
import shutil
import subprocess
import sys
from fnmatch import fnmatch
from pathlib import Path

import pytest

from conftest import ROOT

DAEMON = ROOT / "daemon" / "genred"
LEAVES = {"genred.errors", "genred.config", "genred.messages"}
HOMES = {
    "av": ["bench.tune", "soak.forms", "sources.file", "sources.frames", "sources.stream"],
    "click": ["cli", "listen", "timeline", "devices", "doctor", "check"],
    "matplotlib": ["timeline"],
    "onnx": ["runtime"],
    "onnxruntime": ["runtime"],
    "prometheus_client": ["metrics"],
    "rich": ["cli", "timeline", "dashboard.*", "doctor", "doctor.*"],
    "sounddevice": ["sources.portaudio"],
    "soxr": ["epoch"],
    "urllib3": ["sources.client", "sources.why"],
    # door and handshake are the publisher's and the subscriber's; keys are arithmetic.
    "zmq": ["publisher", "door", "subscriber", "handshake", "keys"],
}
ANYWHERE = {"numpy", "msgspec"}
FEATURES_NEED = {"numpy"}


def imports_of(package: Path) -> dict[str, set[str]]:
    """Every module of `package`, and what it imports by full name, also within functions and for type checkers only."""
    found: dict[str, set[str]] = {}
    for path in sorted(package.rglob("*.py")):
        place = [package.name, *path.relative_to(package).with_suffix("").parts]
        name = ".".join(place[:-1] if place[-1] == "__init__" else place)
        above = place[:-1]  # what a dot means
        found[name] = set()
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Import):
                found[name] |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                base = (
                    [*above[: len(above) - node.level + 1], *filter(None, [node.module])]
                    if node.level
                    else [node.module]
                )
                origin = ".".join(str(part) for part in base)
                found[name] |= {f"{origin}.{alias.name}" for alias in node.names}
    return found


def outside(names: set[str]) -> set[str]:
    """Top-level packages among `names` that are neither Python's nor genred."""
    return {name.partition(".")[0] for name in names} - sys.stdlib_module_names - {"genred"}


def broken_rules(package: Path) -> list[str]:
    """A line for each import that the design does not allow."""
    modules = imports_of(package)
    broken = []
    for module, names in modules.items():
        short = module.removeprefix("genred.")
        for library in sorted(outside(names) - ANYWHERE):
            if not any(fnmatch(short, home) for home in HOMES.get(library, [])):
                broken.append(f"{module} imports {library}")
        inside = {
            other for other in modules if other != "genred" and any(f"{n}.".startswith(f"{other}.") for n in names)
        }
        if module in LEAVES and not inside <= LEAVES:
            broken.append(f"the leaf {module} imports {min(inside - LEAVES)}")
        if module == "genred.features" and (inside or outside(names) != FEATURES_NEED):
            broken.append("genred.features needs more than numpy")
    return broken


def test_the_daemon_keeps_the_rules() -> None:
    """Leaves import leaves, features need numpy only, libraries are imported at home; nobody needs training's."""
    assert broken_rules(DAEMON) == []


def test_every_home_is_lived_in() -> None:
    """No rule is about something that is not there."""
    modules = imports_of(DAEMON)
    assert LEAVES | {"genred.features"} <= set(modules)
    for library, homes in HOMES.items():
        users = [name.removeprefix("genred.") for name, names in modules.items() if library in outside(names)]
        assert users, library
        assert any(fnmatch(user, home) for user in users for home in homes)


@pytest.mark.parametrize(
    ("module", "line"),
    [
        ("station", "import zmq"),
        ("epoch", "from av import open"),
        ("worker", "def f():\n    import onnxruntime as ort"),
        ("publisher", "import sounddevice"),
        ("station", "from rich.text import Text"),
        ("classifier", "import torch"),
        ("features", "import librosa"),
        ("features", "import msgspec"),
        ("features", "from .levels import Peak"),
        ("cli", "from genretrain.cli import main"),
        ("messages", "from .station import Station"),
        ("messages", "from . import load"),
        ("errors", "import genred.ring"),
        ("config", "if TYPE_CHECKING:\n    from .sources import Source"),
        ("sources/file", "from onnx import load"),
        ("sources/__init__", "import soxr"),
        ("sources/demo", "from ..epoch import soxr\nimport soxr"),
    ],
)
def test_rules_are_kept(tmp_path: Path, module: str, line: str) -> None:
    """Each import that the design forbids is found, wherever it hides."""
    copy = tmp_path / "genred"
    shutil.copytree(DAEMON, copy, ignore=shutil.ignore_patterns("__pycache__"))
    with (copy / f"{module}.py").open("a") as file:
        file.write(f"\n\n{line}\n")
    assert broken_rules(copy)


def threads(package: Path) -> list[str]:
    """Each class of `package` that derives from Thread."""
    return [
        f"{path.stem}.{node.name}"
        for path in sorted(package.rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.ClassDef) and any(ast.unparse(base).endswith("Thread") for base in node.bases)
    ]


def test_nothing_is_a_thread(tmp_path: Path) -> None:
    """What runs in a thread has one, but is none: its `_stop` would take the place of Thread's own."""
    (tmp_path / "reader.py").write_text("class Reader(threading.Thread):\n    _stop = None\n")
    assert threads(tmp_path) == ["reader.Reader"]
    assert threads(DAEMON) == []


def test_layers() -> None:
    """The layers that pyproject.toml draws are kept, the way `make check` looks at them."""
    linter = Path(sys.executable).with_name("lint-imports")
    run = subprocess.run([linter, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    assert " 0 broken" in run.stdout


def test_features_run_with_numpy_alone() -> None:
    """Training machines need nothing else: features are computed without any other library."""
    script = (
        "import sys\n"
        "before = set(sys.modules)\n"
        "import numpy\n"
        "from genred.features import Mfcc, MfccSpec\n"
        "Mfcc(MfccSpec())(numpy.zeros(4096, 'f4'))\n"
        "new = {name.partition('.')[0] for name in set(sys.modules) - before}\n"
        "print(*sorted(name for name in new - sys.stdlib_module_names if not name.startswith('_')))\n"
    )
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert run.stdout.split() == ["genred", "numpy"]


def test_files_are_judged_without_portaudio() -> None:
    """A machine without a sound library can classify: nothing on that way imports it, nor the sockets."""
    script = (
        "import sys\n"
        "sys.modules.update(dict.fromkeys(('sounddevice', 'zmq', 'matplotlib', 'torch', 'librosa')))\n"
        "import genred.timeline, genred.classify\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
