"""Radio: the server of the stations, as the soak speaks with it."""

from __future__ import annotations

import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import IO

import msgspec

from ..errors import GenredError
from .orders import Order


class Radio:
    """Context manager: the server in a process of its own.

    Parameters
    ----------
    folder : Path
        With the forms.
    times : float
        How many times as fast as it plays it sends.
    """

    def __init__(self, folder: Path, times: float) -> None:
        self._command = [sys.executable, "-m", "genred.soak.server", str(folder), f"{times:g}"]
        self._stack = ExitStack()
        self._orders: IO[bytes]
        self._answers: IO[bytes]
        self.port = 0

    def __enter__(self) -> Radio:
        process = self._stack.enter_context(
            subprocess.Popen(self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True)
        )
        self._stack.callback(process.terminate)
        assert process.stdin is not None, "a pipe"
        assert process.stdout is not None, "a pipe"
        self._orders, self._answers = process.stdin, process.stdout
        self.port = self._number()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def uri(self, path: str) -> str:
        """URI of station `path`."""
        return f"http://127.0.0.1:{self.port}/{path}"

    def tell(self, order: Order) -> int:
        """Give an order; return how many listeners it met.

        Raises
        ------
        GenredError
            If the server has ended.
        """
        self._orders.write(msgspec.json.encode(order) + b"\n")
        self._orders.flush()
        return self._number()

    def _number(self) -> int:
        line = self._answers.readline()
        if not line:
            raise GenredError("the soak's own radio server has ended")
        return int(line)
