"""Stations: where the bench's daemon hears its MP3 from."""

from __future__ import annotations

import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

from .process import on_cores

KIND = "MP3 from a server on this machine, 128 kbit/s, a burst of 25 s first and then in real time"


class Stations:
    """Context manager: any number of stations that play in real time, each from another place; see `server`.

    Parameters
    ----------
    music : Path
        MP3.
    bit_rate : int
        Of it, bits a second.
    cores : set of int
        That the server may use.
    """

    def __init__(self, music: Path, bit_rate: int, cores: set[int]) -> None:
        self._command = [sys.executable, "-m", "genred.bench.server", str(music), str(bit_rate // 8)]
        self._cores, self._stack = cores, ExitStack()
        self._port = 0

    def __enter__(self) -> Stations:
        with on_cores(self._cores):
            process = self._stack.enter_context(
                subprocess.Popen(self._command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
            )
        self._stack.callback(process.kill)
        assert process.stdout is not None, "a pipe"
        self._port = int(process.stdout.readline())
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def uri(self, number: int) -> str:
        """URI of station `number`."""
        return f"http://127.0.0.1:{self._port}/{number}"
