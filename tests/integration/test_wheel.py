"""The wheel, as a stranger installs it."""

from __future__ import annotations

import os
import signal
import subprocess
import venv
import zipfile
from pathlib import Path
from typing import Any

import pytest

from conftest import ROOT, collect, music, subscribed, write_wav
from genred.card import SHIPPED
from genred.messages import Estimate

pytestmark = [pytest.mark.timeout(600), pytest.mark.xdist_group("wheel")]


def test_wheel_holds_what_it_should(wheel: Path) -> None:
    """The wheel has the typed packages, the models, their licence and the code's."""
    names = zipfile.ZipFile(wheel).namelist()
    assert {name for name in names if name.endswith(".onnx")} == {f"genred/models/{name}.onnx" for name in SHIPPED}
    for wanted in ("genred/py.typed", "genretrain/py.typed", "genred/models/LICENSE-WEIGHTS"):
        assert wanted in names
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert not [name for name in names if name.startswith(("tests", "train/", "daemon/"))]


def test_wheel_runs_in_an_empty_environment(wheel: Path, tmp_path: Path, endpoint: str) -> None:
    """Installed alone into an empty virtual environment, genred judges a file and a station, with either model."""
    home = tmp_path / "venv"
    venv.create(home, with_pip=True)
    lock = ROOT / ".ci" / "requirements.lock"
    pip = [str(home / "bin" / "python"), "-m", "pip", "install", "--quiet", "--constraint", str(lock), str(wheel)]
    subprocess.run(pip, check=True, capture_output=True)
    path = write_wav(tmp_path / "music.wav", music(5.0))
    program = str(home / "bin" / "genred")
    outside: dict[str, Any] = {"cwd": tmp_path, "env": {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}}
    for model, answer in (("genred", "00:00.0-00:03.0  "), ("crnn", f"{path}: too-short")):
        command = [program, "classify", "--model", model, path]
        result = subprocess.run(command, capture_output=True, text=True, check=False, **outside)
        assert result.returncode == 0, result.stderr
        assert result.stdout.startswith(answer)
    with subprocess.Popen([program, "run", "demo:", "--no-dashboard", "--bind", endpoint], **outside) as station:
        with subscribed(endpoint) as subscriber:
            collect(subscriber, lambda ms: any(isinstance(m, Estimate) for m in ms))
        station.send_signal(signal.SIGTERM)
        assert station.wait(20) == 0
    installed = subprocess.run([*pip[:3], "list"], capture_output=True, text=True, check=True).stdout.lower()
    assert not {"torch", "librosa", "scikit-learn"} & set(installed.split())
