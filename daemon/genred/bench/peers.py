"""Peers: what is measured beside genred, and must not be imported by it, behind one seam.

librosa, torch and others run in a process of their own (``python -m genretrain.peers``), which this asks; so does the
naive loop (``python -m genretrain.naive``). Both come with genred; what they need comes with ``genred[train]``, the
other peers with ``genred[bench]``.
"""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any

import msgspec
import numpy as np

from ..card import ModelCard
from ..features import Samples
from .process import one_thread
from .rounds import Go

TORCH = "torch, eager"


class Found(msgspec.Struct, frozen=True):
    """Which peers are there, and why the others are not."""

    present: tuple[str, ...] = ()
    missing: dict[str, str] = {}


class Peers:
    """Context manager: the process.

    Parameters
    ----------
    audio : Samples
        At the model's rate.
    card : ModelCard
    hop_frames : int
    folder : Path
        For the files that it reads.
    """

    def __init__(self, audio: Samples, card: ModelCard, hop_frames: int, folder: Path) -> None:
        np.save(folder / "audio.npy", audio)
        network = card.training.get("recipe", {}).get("network", "")
        task = {"spec": asdict(card.spec), "network": network, "window": card.window_frames, "hop": hop_frames}
        (folder / "task.json").write_text(json.dumps(task))
        self._command = [sys.executable, "-m", "genretrain.peers", str(folder / "audio.npy"), str(folder / "task.json")]
        self._stack = ExitStack()
        self._questions: IO[str]
        self._answers: IO[str]
        self.found = Found()

    def __enter__(self) -> Peers:
        pipe = subprocess.PIPE
        process = self._stack.enter_context(
            subprocess.Popen(
                self._command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, env=one_thread(), text=True
            )
        )
        assert process.stdin is not None, "a pipe"
        assert process.stdout is not None, "a pipe"
        self._questions, self._answers = process.stdin, process.stdout
        first = self._answers.readline()
        self.found = msgspec.json.decode(first, type=Found) if first else Found(missing={"all": "they do not start"})
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()  # closes its stdin, at which it ends

    def go(self, peer: str, batch: int = 1) -> Go:
        """Make what lets `peer` work once."""

        def ask() -> float:
            print(json.dumps({"peer": peer, "batch": batch}), file=self._questions, flush=True)
            answer: dict[str, Any] = json.loads(self._answers.readline())
            return float(answer["ms"])

        return ask
