"""``make install``, what systemd says of the units that it installs, and ``make uninstall``."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sysconfig
from pathlib import Path

import pytest

from conftest import ROOT

pytestmark = [pytest.mark.timeout(600), pytest.mark.xdist_group("wheel")]

UNITS = ("system/genred.service", "system/genred@.service", "user/genred.service")
MOST_EXPOSED = 2.0  # of 10
SYSTEM_TARGETS = Path("/lib/systemd/system")


def make(target: str, stage: Path, *variables: str) -> str:
    """Run make for a machine whose root is `stage`; return what it prints."""
    command = ["make", "-C", str(ROOT), target, f"DESTDIR={stage}", *variables]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


@pytest.fixture(scope="module")
def stage(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Root of a machine with genred and systemd's own targets; genred's libraries are those of this environment."""
    stage = tmp_path_factory.mktemp("stage")
    make("install", stage, f"WHEEL={wheel}", "PIP_ARGS=--no-deps")
    (site,) = (stage / "opt/genred/lib").glob("python*/site-packages")
    (site / "libraries.pth").write_text(sysconfig.get_path("purelib") + "\n")
    if SYSTEM_TARGETS.is_dir():
        (stage / "lib/systemd/system").mkdir(parents=True)
        for target in SYSTEM_TARGETS.glob("*.target"):
            shutil.copy(target, stage / "lib/systemd/system")
    (stage / "bin").mkdir()
    shutil.copy("/bin/kill", stage / "bin/kill")
    return stage


@pytest.fixture
def analyze() -> str:
    program = shutil.which("systemd-analyze")
    if program is None:
        pytest.skip("systemd-analyze is not installed (apt install systemd)")
    return program


def test_everything_is_where_it_should_be(stage: Path) -> None:
    """The program, the units, the sample as configuration, a folder for keys that only root opens, one for clients."""
    for path in ("opt/genred/bin/genred", *(f"usr/local/lib/systemd/{unit}" for unit in UNITS)):
        assert (stage / path).is_file(), path
    assert (stage / "etc/genred/genred.toml").read_bytes() == (ROOT / "systemd/genred.toml").read_bytes()
    assert (stage / "etc/genred/keys").stat().st_mode & 0o777 == 0o700
    assert (stage / "etc/genred/clients").stat().st_mode & 0o777 == 0o755
    shebang = (stage / "opt/genred/bin/genred").read_text().splitlines()[0]
    assert shebang == "#!/opt/genred/bin/python"


def test_the_installed_program_runs(stage: Path) -> None:
    """With nothing of the checkout in its way it has its model, and finds its configuration good."""
    clean = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    command = [stage / "opt/genred/bin/python", "-P", "-m", "genred", "check", stage / "etc/genred/genred.toml"]
    result = subprocess.run(command, capture_output=True, text=True, check=False, env=clean, cwd=stage)
    assert result.stdout.endswith("can be used: 1 station\n"), result.stderr
    where = subprocess.run(
        [stage / "opt/genred/bin/python", "-c", "import genred; print(genred.__file__)"],
        capture_output=True, text=True, check=True, env=clean, cwd=stage,
    )  # fmt: skip
    assert where.stdout.startswith(str(stage / "opt/genred/lib"))


@pytest.mark.parametrize("name", ["genred.service", "genred@studio.service"])
def test_systemd_has_nothing_to_say(stage: Path, analyze: str, name: str) -> None:
    """``systemd-analyze verify`` finds every word of the system's units right, and every program there."""
    path = stage / "usr/local/lib/systemd/system" / name
    if not path.exists():  # systemd itself finds the template
        shutil.copy(path.with_name("genred@.service"), path)
    command = [analyze, "--system", "verify", f"--root={stage}", "--man=no", str(path)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (result.stdout + result.stderr, result.returncode) == ("", 0)


def test_systemd_has_nothing_to_say_to_users(stage: Path, analyze: str, tmp_path: Path) -> None:
    """So of the user unit. A user manager knows no other root, so the program's path is where it is staged."""
    path = tmp_path / "genred.service"
    unit = (stage / "usr/local/lib/systemd/user/genred.service").read_text()
    path.write_text(unit.replace("/opt/genred/bin", f"{stage}/opt/genred/bin"))
    command = [analyze, "--user", "verify", "--man=no", str(path)]
    environment = os.environ | {"XDG_RUNTIME_DIR": str(tmp_path), "HOME": str(tmp_path)}
    result = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert (result.stdout + result.stderr, result.returncode) == ("", 0)


@pytest.mark.parametrize("unit", UNITS[:2])
@pytest.mark.parametrize("with_cuda", [False, True])
def test_the_sandbox_is_tight(stage: Path, analyze: str, tmp_path: Path, unit: str, with_cuda: bool) -> None:
    """Its exposure is at most 2.0, also with what CUDA needs."""
    path = tmp_path / Path(unit).name.replace("@", "@studio")
    extra = (stage / "opt/genred/share/genred/cuda.conf").read_text() if with_cuda else ""
    path.write_text((stage / "usr/local/lib/systemd" / unit).read_text() + extra)
    threshold = f"--threshold={round(10 * MOST_EXPOSED)}"
    command = [analyze, "security", "--offline=true", threshold, "--no-pager", str(path)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    overall = re.search(r"Overall exposure level for \S+: ([\d.]+)", result.stdout)
    assert overall, result.stderr
    assert float(overall[1]) <= MOST_EXPOSED
    assert result.returncode == 0


def test_the_template_is_the_service() -> None:
    """genred@.service differs from genred.service only in what it is called and what it reads."""
    service, template = ((ROOT / f"systemd/genred{at}.service").read_text().splitlines() for at in ("", "@"))
    words = [line for line in service if not line.startswith(("#", "Description="))]
    of_template = [line for line in template if not line.startswith(("#", "Description="))]
    assert of_template == [line.replace("/etc/genred/genred.toml", "/etc/genred/%i.toml") for line in words]


def test_microphones_can_be_heard() -> None:
    """The system units let sound cards through and do not forbid what PortAudio's callbacks need."""
    for name in ("genred.service", "genred@.service"):
        lines = (ROOT / "systemd" / name).read_text().splitlines()
        assert {"DeviceAllow=char-alsa rw", "SupplementaryGroups=audio"} <= set(lines)
        assert not [line for line in lines if line.startswith(("MemoryDenyWriteExecute", "PrivateDevices"))]


def test_uninstall_removes_it(stage: Path, wheel: Path, tmp_path: Path) -> None:
    """Nothing of it is left but the configuration, which a second install does not touch."""
    copy = tmp_path / "copy"
    shutil.copytree(stage, copy, symlinks=True)
    (copy / "etc/genred/genred.toml").write_text("hop = 80\n")
    make("install", copy, f"WHEEL={wheel}", "PIP_ARGS=--no-deps")
    said = make("uninstall", copy)
    left = {path.relative_to(copy) for path in copy.rglob("*") if not path.is_dir()}
    ours = {path for path in left if path.parts[0] not in ("bin", "lib") and path.name != "genred@studio.service"}
    assert ours == {Path("etc/genred/genred.toml")}
    assert (copy / "etc/genred/genred.toml").read_text() == "hop = 80\n"
    assert f"still in {copy}/etc/genred" in said
