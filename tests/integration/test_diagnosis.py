"""genred devices and genred doctor, with a real audio server and without one."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from conftest import Daemon, genred, subscribed, write_wav
from genred.messages import Hello
from pulse import RATE, STAGES, Pulse, wait_until

pytestmark = [pytest.mark.timeout(240)]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pulse]:
    if not shutil.which("pulseaudio") or not shutil.which("pactl"):
        pytest.skip("PulseAudio is not installed (apt install pulseaudio pulseaudio-utils)")
    server = Pulse(tmp_path_factory.mktemp("pulse"))
    yield server
    server.close()


@pytest.fixture
def deaf(tmp_path: Path) -> dict[str, str]:
    """Environment without an audio server."""
    return os.environ | {"PULSE_SERVER": f"unix:{tmp_path}/none", "XDG_RUNTIME_DIR": str(tmp_path)}


@pytest.fixture
def without_portaudio(tmp_path: Path, deaf: dict[str, str]) -> dict[str, str]:
    """Environment in which importing sounddevice fails as it does where libportaudio2 is not installed."""
    (tmp_path / "sounddevice.py").write_text("raise OSError('PortAudio library not found')\n")
    return deaf | {"PYTHONPATH": str(tmp_path)}


def examined(result: subprocess.CompletedProcess[str]) -> dict[str, dict[str, str]]:
    """Findings of ``genred doctor --json``, by their check."""
    return {finding["check"]: finding for finding in json.loads(result.stdout)["findings"]}


@pytest.mark.audio_server
def test_devices_names_the_sources(server: Pulse) -> None:
    """The monitor of every sink is named and the default is marked; ALSA's complaints are not seen."""
    server.control("set-default-source", f"{STAGES[1]}.monitor")
    result = genred("devices", env=server.environment)
    assert (result.returncode, result.stderr) == (0, "")
    lines = [line.split() for line in result.stdout.splitlines()]
    assert ["*", f"{STAGES[1]}.monitor", "monitor"] in [line[:3] for line in lines]
    for stage in (STAGES[0], STAGES[2]):
        assert [f"{stage}.monitor", "monitor"] in [line[:2] for line in lines]
    assert any(line[:1] == ["*"] and line[1].startswith("mic:") for line in lines), "no default input"


@pytest.mark.audio_server
def test_devices_as_json(server: Pulse) -> None:
    """The JSON has every source and input by name, with rates as numbers."""
    record = json.loads(genred("devices", "--json", env=server.environment).stdout)
    assert {source["name"] for source in record["server"]["sources"]} == {f"{stage}.monitor" for stage in STAGES}
    assert all(source["monitor"] for source in record["server"]["sources"])
    through = next(one for one in record["inputs"] if one["name"] == "pulse")
    assert (through["host_api"], RATE in through["rates_hz"]) == ("ALSA", True)


@pytest.mark.audio_server
def test_doctor_measures_what_plays(server: Pulse, small_model: Path, tmp_path: Path) -> None:
    """A sine of amplitude 0.25 that plays into one sink is heard at -15.1 dBFS there, and not at the next."""
    sine = 0.25 * np.sin(2 * np.pi * 441 * np.arange(60 * RATE) / RATE)
    player = server.play(STAGES[0], write_wav(tmp_path / "sine.wav", np.stack([sine, sine], axis=1), RATE))
    wait_until(lambda: plays(server))
    result = genred("doctor", "--json", "--model", small_model, env=server.environment)
    player.kill()
    findings = examined(result)
    assert findings["audio server"]["verdict"] == "ok"
    heard = findings[f"source {STAGES[0]}.monitor"]
    level, peak = (float(part.split()[-2]) for part in heard["text"].split(",")[:2])
    assert (heard["verdict"], level, peak) == ("ok", pytest.approx(-15.1, abs=0.5), pytest.approx(-12.0, abs=0.5))
    silent = findings[f"source {STAGES[2]}.monitor"]
    assert (silent["verdict"], "digital silence" in silent["text"]) == ("warning", True)


def plays(server: Pulse) -> bool:
    sinks = server.control("list", "short", "sinks").stdout.splitlines()
    return any(line.split()[1] == STAGES[0] and line.endswith("RUNNING") for line in sinks)


def test_doctor_finds_a_running_daemon(
    daemon: Callable[..., Daemon], endpoint: str, small_model: Path, deaf: dict[str, str]
) -> None:
    """Where a genred publishes already, the endpoint is a warning that says so; no other check is disturbed."""
    daemon("demo:", "--model", small_model)
    with subscribed(endpoint, "hello") as subscriber:
        assert isinstance(subscriber.receive(30), Hello)
    found = examined(genred("doctor", "--json", "--bind", endpoint, "--model", small_model, env=deaf))
    assert found["endpoint"]["verdict"] == "warning"
    assert "genred" in found["endpoint"]["text"]
    assert found["cpu"]["verdict"] == "ok"


def test_doctor_finds_a_damaged_model(deaf: dict[str, str], endpoint: str, small_model: Path, tmp_path: Path) -> None:
    """A truncated model is a fault with a remedy, and exit code 1."""
    path = tmp_path / "cut.onnx"
    path.write_bytes(small_model.read_bytes()[:200])
    result = genred("doctor", "--bind", endpoint, "--model", path, env=deaf)
    assert result.returncode == 1
    (line,) = [line for line in result.stdout.splitlines() if line.startswith("fault")]
    assert line.startswith("fault   model: ")
    assert "--model FILE" in line


def test_doctor_without_sound_is_content(deaf: dict[str, str], endpoint: str, small_model: Path) -> None:
    """Without audio server and microphone there are warnings, but no fault: files and the demo station work."""
    pytest.importorskip(
        "sounddevice", exc_type=OSError, reason="PortAudio is not installed (apt install libportaudio2)"
    )
    result = genred("doctor", "--json", "--bind", endpoint, "--model", small_model, env=deaf)
    found = examined(result)
    assert (result.returncode, result.stderr) == (0, "")
    assert found["audio server"]["verdict"] == "warning"
    assert all(finding["verdict"] == "ok" or finding["remedy"] for finding in found.values())


def test_doctor_tells_no_user(deaf: dict[str, str], endpoint: str, tmp_path: Path) -> None:
    """The report does not have the home folder in it."""
    home = tmp_path / "anna"
    home.mkdir()
    environment = deaf | {"HOME": str(home), "USER": "anna"}
    result = genred("doctor", "--json", "--bind", endpoint, "--model", home / "my.onnx", env=environment)
    assert "~/my.onnx" in examined(result)["model"]["text"]
    assert "anna" not in result.stdout


def test_devices_without_portaudio(without_portaudio: dict[str, str]) -> None:
    """Without PortAudio the package that has it is named in one line, and the exit code is 2."""
    result = genred("devices", env=without_portaudio)
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.splitlines() == [
        "genred: PortAudio is missing; install libportaudio2 (apt install libportaudio2)"
    ]


def test_doctor_without_portaudio(without_portaudio: dict[str, str], endpoint: str, small_model: Path) -> None:
    """Without PortAudio that is the one fault, with the remedy, and everything else is still looked at."""
    result = genred("doctor", "--json", "--bind", endpoint, "--model", small_model, env=without_portaudio)
    found = examined(result)
    assert result.returncode == 1
    assert [check for check, finding in found.items() if finding["verdict"] == "fault"] == ["portaudio"]
    assert "libportaudio2" in found["portaudio"]["remedy"]
    assert {"model", "cpu", "endpoint", "terminal"} <= found.keys()


@pytest.mark.parametrize("command", ["devices", "doctor"])
def test_help_has_an_example(command: str) -> None:
    """The help of each command shows how it is called."""
    assert f"\n  genred {command}\n" in genred(command, "--help").stdout
