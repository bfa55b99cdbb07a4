"""The wheel, as a stranger installs it."""

from __future__ import annotations

import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

from conftest import ROOT, music, write_wav

pytestmark = [pytest.mark.timeout(600), pytest.mark.xdist_group("wheel")]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    subprocess.run(command, check=True, capture_output=True)
    return next(folder.glob("*.whl"))


def test_wheel_holds_what_it_should(wheel: Path) -> None:
    """The wheel has the typed packages, the one default model, its licence and the code's."""
    names = zipfile.ZipFile(wheel).namelist()
    assert [name for name in names if name.endswith(".onnx")] == ["genred/models/crnn.onnx"]
    for wanted in ("genred/py.typed", "genretrain/py.typed", "genred/models/LICENSE-WEIGHTS"):
        assert wanted in names
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert not [name for name in names if name.startswith(("tests", "train/", "daemon/"))]


def test_wheel_runs_in_an_empty_environment(wheel: Path, tmp_path: Path) -> None:
    """Installed alone into an empty virtual environment, genred judges a file with the model it carries."""
    home = tmp_path / "venv"
    venv.create(home, with_pip=True)
    lock = ROOT / ".ci" / "requirements.lock"
    pip = [str(home / "bin" / "python"), "-m", "pip", "install", "--quiet", "--constraint", str(lock), str(wheel)]
    subprocess.run(pip, check=True, capture_output=True)
    path = write_wav(tmp_path / "music.wav", music(25.0))
    command = [str(home / "bin" / "genred"), "classify", str(path)]
    result = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert str(path) in result.stdout
    installed = subprocess.run([*pip[:3], "list"], capture_output=True, text=True, check=True).stdout.lower()
    assert not {"torch", "librosa", "scikit-learn"} & set(installed.split())
