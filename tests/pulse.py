"""A real PulseAudio of its own: sinks that come and go, sound that plays into them, and a server that dies."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

RATE = 44100
STAGES = ("stage0", "stage1", "stage2")


class Pulse:
    """A private PulseAudio with one null sink a stage."""

    def __init__(self, folder: Path) -> None:
        self.players: list[subprocess.Popen[bytes]] = []
        self.folder = folder
        self.environment = os.environ | {
            "XDG_RUNTIME_DIR": str(folder),
            "HOME": str(folder),
            "PULSE_SERVER": f"unix:{folder}/native",
        }
        self.start()

    def start(self) -> None:
        """Start the server, and wait for it."""
        modules = [f"module-native-protocol-unix socket={self.folder}/native auth-anonymous=1"]
        modules += [f"module-null-sink sink_name={stage} rate={RATE}" for stage in STAGES]
        command = ["pulseaudio", "-n", "--daemonize=no", "--exit-idle-time=-1", "--use-pid-file=no"]
        self.server = subprocess.Popen(
            [*command, *(f"--load={module}" for module in modules)],
            env=self.environment,
            stderr=subprocess.DEVNULL,
        )
        wait_until(lambda: not self.control("info").returncode, 20)

    def kill(self) -> None:
        """Kill the server, as a crash does."""
        self.server.kill()
        self.server.wait()

    def control(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(["pactl", *arguments], env=self.environment, capture_output=True, text=True, check=False)

    def add(self, stage: str) -> None:
        """Add a sink, and so its monitor."""
        assert not self.control("load-module", "module-null-sink", f"sink_name={stage}", f"rate={RATE}").returncode

    def remove(self, stage: str) -> None:
        """Remove a sink; the server moves its streams to others."""
        modules = self.control("list", "short", "modules").stdout.splitlines()
        (number,) = [line.split("\t")[0] for line in modules if f"sink_name={stage} " in f"{line} "]
        assert not self.control("unload-module", number).returncode

    def hearing(self, stage: str) -> dict[str, str]:
        """Environment of a daemon that records `stage`."""
        return self.environment | {"PULSE_SOURCE": f"{stage}.monitor"}

    def play(self, stage: str, path: Path) -> subprocess.Popen[bytes]:
        self.players.append(subprocess.Popen(["paplay", f"--device={stage}", path], env=self.environment))
        return self.players[-1]

    def close(self) -> None:
        for process in (*self.players, self.server):
            process.kill()
            process.wait()


def wait_until(condition: Callable[[], bool], timeout_s: float = 30) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "not in time"
        time.sleep(0.02)
