"""Audio is never written to disk: what a daemon writes to files is watched from outside while it hears."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import pytest
from aftermath import assert_serves
from wholly import Start, statuses, windows

from audio_files import stream
from conftest import collect, music, subscribed, write_wav
from genred.messages import Message
from pulse import Pulse
from web import live, serving

RATE = 44100
WINDOWS = 10
HOP = "10"  # frames: each 0.23 s the files are looked at
MEMORY = ("/memfd:", "/dev/shm/pulse-shm-")  # an audio server hands over by it


class Disk:
    """What a process does to files from now on; `found` is what `look` has seen of it."""

    def __init__(self, process: int, folder: Path) -> None:
        self._process, self._folder = Path(f"/proc/{process}"), folder
        self._there = set(folder.rglob("*"))
        self._bytes = self._counted()
        self.found: set[str] = set()

    @property
    def written(self) -> int:
        """Bytes of pages that it has made dirty, of a file that is closed or deleted as well."""
        return self._counted() - self._bytes

    def look(self) -> bool:
        """Look for files that are open for writing, or shared with its memory; and for new ones in the folder."""
        self.found |= {name for name in (*self._open(), *self._shared()) if not name.startswith(MEMORY)}
        self.found |= {str(path) for path in self._folder.rglob("*") if path not in self._there}
        return True

    def _counted(self) -> int:
        fields = dict(line.split(": ") for line in (self._process / "io").read_text().splitlines())
        return int(fields["write_bytes"])

    def _open(self) -> Iterator[str]:
        for descriptor in (self._process / "fd").iterdir():
            try:
                about = (self._process / "fdinfo" / descriptor.name).read_text()
                if stat.S_ISREG(descriptor.stat().st_mode) and access(about) != os.O_RDONLY:
                    yield str(descriptor.readlink())
            except FileNotFoundError:  # closed meanwhile
                continue

    def _shared(self) -> Iterator[str]:
        for line in (self._process / "maps").read_text().splitlines():
            _, permissions, _, _, _, *name = line.split(maxsplit=5)
            if permissions[1] + permissions[3] == "ws" and name and name[0].startswith("/"):
                yield name[0]


def access(about: str) -> int:
    """How a descriptor is open, from its fdinfo."""
    (flags,) = [line.split()[1] for line in about.splitlines() if line.startswith("flags:")]
    return int(flags, 8) & os.O_ACCMODE


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """An empty folder that a daemon is given for everything; its log goes nowhere."""
    (tmp_path / "daemon0.log").symlink_to(os.devnull)
    folder = tmp_path / "home"
    folder.mkdir()
    return folder


def at(home: Path, **more: str) -> dict[str, object]:
    """Options for a daemon whose folder of any kind is `home`; the test's own output is a file, and none of it."""
    names = ("HOME", "TMPDIR", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME")
    environment = os.environ | dict.fromkeys(names, str(home)) | {"PYTHONDONTWRITEBYTECODE": "1"} | more
    return {"cwd": home, "env": environment, "stdout": subprocess.DEVNULL}


def test_audio_is_never_written(daemon: Start, endpoint: str, small_model: Path, tmp_path: Path, home: Path) -> None:
    """While a file, a pipe, a network station and the demo are heard no file is written, and none is made."""
    path = write_wav(tmp_path / "loop.wav", music(5.0))
    names = ("file", "stdin", "net", "demo")
    with (
        serving({"/live": live(stream("mp3", music(60.0, RATE), RATE))}) as server,
        playing(path) as sound,
        subscribed(endpoint) as subscriber,
    ):
        sources = f"file=file:{path}?loop=1&pace=realtime", "-?rate=22050&channels=1", f"net={server.url('/live')}"
        one = daemon(*sources, "demo:", "--model", small_model, "--hop", HOP, stdin=sound, **at(home))
        disk = Disk(one.process.pid, home)
        messages = collect(subscriber, lambda ms: disk.look() and heard(ms, *names))
        assert disk.written == 0
        messages += assert_serves(one, subscriber, names, messages)
    assert disk.found == set()
    assert list(home.iterdir()) == []


@pytest.mark.audio_server
def test_a_microphone_is_never_written(
    daemon: Start, endpoint: str, small_model: Path, tmp_path: Path, home: Path
) -> None:
    """Nor is what a microphone hears: its audio server hands it over in shared memory."""
    if not shutil.which("pulseaudio") or not shutil.which("pactl"):
        pytest.skip("PulseAudio is not installed (apt install pulseaudio pulseaudio-utils)")
    folder = tmp_path / "pulse"
    folder.mkdir()
    server = Pulse(folder)
    try:
        server.play("stage0", write_wav(tmp_path / "music.wav", music(60.0, RATE), RATE))
        environment = {name: server.environment[name] for name in ("XDG_RUNTIME_DIR", "PULSE_SERVER")}
        one = daemon("hall=mic:stage0.monitor", "--model", small_model, "--hop", HOP, **at(home, **environment))
        with subscribed(endpoint) as subscriber:
            messages = collect(subscriber, lambda ms: heard(ms, "hall", least=1))
            disk = Disk(one.process.pid, home)  # the server's client has its cookie by now
            messages += collect(subscriber, lambda ms: disk.look() and heard(ms, "hall"))
            assert disk.written == 0
            assert_serves(one, subscriber, ["hall"], messages)
    finally:
        server.close()
    assert disk.found == set()


@contextmanager
def playing(path: Path) -> Iterator[IO[bytes]]:
    """Raw PCM of `path`, for ever and in real time, to be read from a pipe."""
    command = ["ffmpeg", "-nostdin", "-v", "quiet", "-re", "-stream_loop", "-1", "-i", path, "-f", "s16le", "-"]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as player:
        assert player.stdout is not None
        try:
            yield player.stdout
        finally:
            player.kill()


def heard(messages: list[Message], *names: str, least: int = WINDOWS) -> bool:
    return all(len(windows(messages, name)) >= least for name in names)


LEAK = """
import mmap, os, pathlib, tempfile
from genred.ring import RingBuffer
hear, path = RingBuffer.write, pathlib.Path.home() / "audio"
{}
def leaking(ring, block):
    leak(block.tobytes())
    hear(ring, block)
RingBuffer.write = leaking
"""
LEAKS = {
    "open": "leak = path.open('wb', buffering=0).write",
    "nameless": "leak = tempfile.TemporaryFile(buffering=0).write",
    "appended": "def leak(audio):\n    with path.open('ab') as file:\n        file.write(audio)",
    "deleted": "def leak(audio):\n    path.write_bytes(audio)\n    path.unlink()",
    "mapped": """
with path.open("w+b") as file:
    file.truncate(1 << 20)
    map = mmap.mmap(file.fileno(), 0)
path.unlink()
def leak(audio):
    map[: len(audio)] = audio
""",
}


@pytest.mark.parametrize("leak", LEAKS)
def test_a_leak_would_be_found(
    daemon: Start, endpoint: str, small_model: Path, tmp_path: Path, home: Path, leak: str
) -> None:
    """Audio that does go to a file is seen, whether that is open, nameless, closed, deleted or mapped into memory."""
    if leak == "deleted" and not on_disk(home):
        pytest.skip("temporary files are in memory here, where what is written is not counted")
    (tmp_path / "sitecustomize.py").write_text(LEAK.format(LEAKS[leak]))
    path = f"{tmp_path}:{os.environ.get('PYTHONPATH', '')}"
    one = daemon("demo:", "--model", small_model, **at(home, PYTHONPATH=path))
    disk = Disk(one.process.pid, home)
    with subscribed(endpoint) as subscriber:
        collect(subscriber, lambda ms: disk.look() and len(statuses(ms, "demo")) >= 3)
        assert disk.found or disk.written > RATE
    assert one.stop() == 0


def on_disk(folder: Path) -> bool:
    """Whether what is written there is counted."""
    disk = Disk(os.getpid(), folder)
    (folder / "probe").write_bytes(bytes(1 << 16))
    (folder / "probe").unlink()
    return disk.written > 0
