"""What is wrong is said in one sentence, with the exit code that DESIGN gives it, and never with a traceback."""

from __future__ import annotations

import _ctypes
import ctypes.util
import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from wholly import Start, statuses, windows

from conftest import collect, genred, make_model, subscribed, write_wav
from conftest import music as sound

LOG_LINE = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} (DEBUG|INFO|WARNING|ERROR) ")


def complaint(result: subprocess.CompletedProcess[str], code: int) -> str:
    """The one sentence of a run that ended with `code`; besides it there are log lines only."""
    said = [line for line in result.stderr.splitlines() if not LOG_LINE.match(line)]
    assert len(said) == 1, result.stderr
    assert said[0].startswith("genred: ")
    assert "Traceback" not in result.stderr
    assert result.stdout == ""
    assert result.returncode == code, result.stderr
    return said[0]


@pytest.fixture
def good(tmp_path: Path) -> Path:
    return write_wav(tmp_path / "good.wav", sound(3.0))


@pytest.mark.parametrize(
    ("sources", "words"),
    [
        (["ftp://radio.example/"], ["unknown scheme 'ftp'", "mic:, file:, http:, https:, demo:"]),
        (["http://user:secret@/x?token=secret"], ["http://***@/x?***", "names no host"]),
        (["missing.wav"], ["no file missing.wav"]),
        (["."], ["folder"]),
        (["empty.wav"], ["empty.wav is empty"]),
        (["file:%00"], ["No file can have that name"]),
        (["noise.wav"], ["noise.wav", "not audio"]),
        (["a=demo:", "a=good.wav"], ["'a'", "2 times"]),
        (["Radio=demo:"], ["'Radio' is not a station name", "a-z"]),
        (["demo:?pace=max"], ["demo:?pace=max", "unknown option 'pace'"]),
        (["file:good.wav?pace=slow"], ["pace=slow", "realtime, max"]),
        (["file:good.wav?loop=2"], ["loop=2", "0, 1"]),
        (["file:good.wav?loop"], ["'loop' is not one key=value"]),
        (["demo:?gain=loud"], ["gain=loud"]),
        (["-?rate=1"], ["rate=1", "from 1000 to 768000"]),
        (["-?format=mp3"], ["format=mp3", "s16le, s32le, f32le, u8"]),
        (["a=-", "b=-"], ["stdin (-) can feed one station only"]),
        (["demo:", "--require", "nan"], ["$.require"]),
        (["demo:", "--bind", "tcp://127.0.0.1"], ["tcp://HOST:PORT"]),
        (["demo:", "--bind", "http://127.0.0.1:80"], ["tcp://HOST:PORT"]),
        (["demo:", "--bind", "tcp://0.0.0.0:5557"], ["0.0.0.0", "--insecure"]),
        (["demo:", "--bind", "ipc://missing/socket"], ["missing is not a folder"]),
        (["demo:", "--bind", "ipc://empty.wav"], ["ipc://empty.wav"]),
        (["demo:", "--model", "missing.onnx"], ["missing.onnx", "No such file"]),
        (["demo:", "--model", "noise.wav"], ["noise.wav", "not an ONNX model"]),
        (["demo:", "--model", "no-card.onnx"], ["no-card.onnx", "genred.card"]),
        (["demo:", "--model", "other-shape.onnx"], [", 7]", "10 labels"]),
        (["--config", "missing.toml"], ["missing.toml", "No such file"]),
        (["--config", "noise.wav"], ["noise.wav", "not TOML"]),
        (["--config", "unknown.toml"], ["unknown.toml", "`colour`", "$.station[0]"]),
        (["--config", "wrong.toml"], ["wrong.toml", "$.hop"]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_what_cannot_work_is_refused(good: Path, endpoint: str, sources: list[str], words: list[str]) -> None:
    """Exit code 2, at once; the sentence names what is wrong."""
    folder = good.parent
    (folder / "empty.wav").touch()
    (folder / "noise.wav").write_bytes(bytes(range(256)) * 10)
    (folder / "unknown.toml").write_text('[[station]]\nname = "a"\nuri = "demo:"\ncolour = "red"\n')
    (folder / "wrong.toml").write_text('hop = "often"\n[[station]]\nname = "a"\nuri = "demo:"\n')
    if "onnx" in sources[-1]:
        make_model(folder / "no-card.onnx", card=False)
        make_model(folder / "other-shape.onnx", outputs=7)
    bind = [] if "--bind" in sources else ["--bind", endpoint]
    said = complaint(genred("run", *sources, *bind, cwd=folder, stdin=subprocess.DEVNULL), 2)
    for word in words:
        assert word in said


def test_a_named_pipe_is_refused(tmp_path: Path, endpoint: str) -> None:
    """A FIFO as a file would make the daemon wait for a writer; it is refused, and stdin named instead."""
    os.mkfifo(tmp_path / "fifo")
    said = complaint(genred("run", tmp_path / "fifo", "--bind", endpoint), 2)
    assert "stdin (-)" in said


def test_a_closed_stdin_is_refused(endpoint: str) -> None:
    """With stdin closed there is nothing that - could read."""
    command = f"{sys.executable} -m genred run - --bind {endpoint} <&-"
    assert "closed" in complaint(subprocess.run(command, shell=True, capture_output=True, text=True, check=False), 2)


def test_closed_streams_do_no_harm(good: Path, endpoint: str, small_model: Path) -> None:
    """A daemon that is started with all standard streams closed works: no socket takes their place."""
    command = f"{sys.executable} -m genred run {good} --bind {endpoint} --model {small_model} <&- >&- 2>&-"
    assert subprocess.run(command, shell=True, timeout=30, check=False).returncode == 0


def test_a_port_in_use_is_told(daemon: Start, endpoint: str, small_model: Path) -> None:
    """The second daemon at a port ends with 2 and names the port; the first goes on."""
    daemon("demo:", "--model", small_model)
    with subscribed(endpoint) as subscriber:
        collect(subscriber, lambda ms: bool(ms))
        said = complaint(genred("run", "demo:", "--model", small_model, "--bind", endpoint), 2)
        assert endpoint in said
        collect(subscriber, lambda ms: len(statuses(ms)) >= 2)


def test_insecure_is_taken_at_its_word(good: Path, endpoint: str, small_model: Path) -> None:
    """With --insecure the daemon serves all addresses."""
    bind = f"tcp://0.0.0.0:{endpoint.rpartition(':')[2]}"
    result = genred("run", good, "--bind", bind, "--insecure", "--model", small_model)
    assert result.returncode == 0, result.stderr
    assert bind in result.stderr


def test_cuda_is_not_pretended(good: Path, endpoint: str, small_model: Path) -> None:
    """--provider cuda without CUDA ends with 2 instead of running on the CPU."""
    try:
        ctypes.CDLL("libcuda.so.1")
    except OSError:
        said = complaint(genred("run", good, "--bind", endpoint, "--provider", "cuda", "--model", small_model), 2)
        assert "--provider cuda" in said
    else:
        pytest.skip("this machine has CUDA's driver")


def test_a_driver_without_cuda_is_told(tmp_path: Path, good: Path, endpoint: str, small_model: Path) -> None:
    """Where libcuda loads but CUDA does not run the session is asked: cuda is refused, and auto tells of the CPU."""
    (tmp_path / "driver").mkdir()
    (tmp_path / "driver" / "libcuda.so.1").symlink_to(_ctypes.__file__)  # it loads, and is no driver
    environment = os.environ | {"LD_LIBRARY_PATH": str(tmp_path / "driver")}
    arguments = ("run", good, "--bind", endpoint, "--model", small_model)
    said = complaint(genred(*arguments, "--provider", "cuda", env=environment), 2)
    assert "ONNX Runtime could not use it" in said
    result = genred(*arguments, env=environment)
    assert "on cpu: libcuda loads, but ONNX Runtime cannot use it" in result.stderr
    assert result.returncode == 0


def test_missing_portaudio_is_named(tmp_path: Path, good: Path, endpoint: str, small_model: Path) -> None:
    """Without PortAudio's library a microphone is refused, with the package to install; files work."""
    (tmp_path / "stub").mkdir()
    (tmp_path / "stub" / "sounddevice.py").write_text("raise OSError('PortAudio library not found')\n")
    environment = os.environ | {"PYTHONPATH": str(tmp_path / "stub")}
    assert "libportaudio2" in complaint(genred("run", "mic:", "--bind", endpoint, env=environment), 2)
    assert genred("run", good, "--bind", endpoint, "--model", small_model, env=environment).returncode == 0


needs_portaudio = pytest.mark.skipif(
    ctypes.util.find_library("portaudio") is None, reason="PortAudio is not installed (apt install libportaudio2)"
)


@needs_portaudio
def test_an_absent_device_is_retried(daemon: Start, endpoint: str, small_model: Path) -> None:
    """A device that is not there is lost, with the reason, again and again; the other station does not mind."""
    one = daemon("mic:nosuchdevice", "demo:", "--model", small_model, "--hop", "10")

    def lost_twice(messages: list) -> bool:
        return any(s.faults.losses >= 2 for s in statuses(messages, "nosuchdevice")) and bool(windows(messages, "demo"))

    with subscribed(endpoint) as subscriber:
        messages = collect(subscriber, lost_twice)
    status = statuses(messages, "nosuchdevice")[-1]
    assert status.state == "lost"
    assert "nosuchdevice" in str(status.text)
    assert status.faults.crashes == 0  # it is no error, but absent
    assert {s.state for s in statuses(messages, "demo")} <= {"connecting", "running"}
    assert one.stop() == 0


@needs_portaudio
@pytest.mark.parametrize("device", ["nosuchdevice", "99999999999999999999"])
def test_a_required_device_must_come(device: str, endpoint: str, small_model: Path) -> None:
    """With --require the daemon gives up a station that is absent for so long: exit code 3, and why."""
    arguments = (f"mic:{device}", "--bind", endpoint, "--model", small_model, "--require", "1")
    result = genred("run", *arguments)
    said = [line for line in result.stderr.splitlines() if line.startswith("genred: ")]
    assert len(said) == 1, (result.returncode, result.stderr)
    assert f"{device} is lost for 1 s" in said[0]
    assert "Traceback" not in result.stderr
    assert result.returncode == 3


@needs_portaudio
def test_a_damaged_alsa_configuration_may_be_repaired(
    daemon: Start, endpoint: str, tmp_path: Path, small_model: Path
) -> None:
    """Where PortAudio cannot start, a microphone is lost, with the reason, and no fault; once it can, that is told."""
    damaged = tmp_path / "asoundrc"
    damaged.write_text("pcm.!default {\n type [[[\n")
    environment = os.environ | {"ALSA_CONFIG_PATH": str(damaged)}
    one = daemon("mic:", "--model", small_model, env=environment)
    with subscribed(endpoint) as subscriber:
        messages = collect(subscriber, lambda ms: any(s.faults.losses >= 2 for s in statuses(ms)))
        assert "PortAudio cannot be started" in str(statuses(messages)[-1].text)
        assert statuses(messages)[-1].faults.crashes == 0
        damaged.write_text("pcm.default { type hw card 31 }\n")
        collect(subscriber, lambda ms: any("the default input is not there" in str(s.text) for s in statuses(ms)))
    assert one.stop() == 0
    assert "Traceback" not in one.log


def test_what_is_said_is_not_lost(tmp_path: Path, endpoint: str, small_model: Path) -> None:
    """While PortAudio starts, sounddevice points file 2 to /dev/null; what genred says is still read."""
    starting = "def _initialize():\n    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)\n    time.sleep(3600)\n"
    head = (
        "import os, time\nPortAudioError = OSError\n_terminate = int\n\ndef query_devices(*_):\n    raise ValueError\n"
    )
    (tmp_path / "sounddevice.py").write_text(f"{head}\n{starting}")
    environment = os.environ | {"PYTHONPATH": str(tmp_path)}
    result = genred("run", "mic:", "--bind", endpoint, "--model", small_model, "--require", "1", env=environment)
    assert "mic is connecting for 1 s" in complaint(result, 3)


def test_a_required_stream_must_begin(endpoint: str, small_model: Path) -> None:
    """--require also means a stdin on which nothing comes."""
    here, there = socket.socketpair()
    with here, there:
        arguments = ("-", "--bind", endpoint, "--model", small_model, "--require", "1")
        said = complaint(genred("run", *arguments, stdin=here), 3)
    assert "stdin is connecting for 1 s" in said
