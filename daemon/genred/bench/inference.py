"""Inference: what a window costs, rolled to, by a whole pass, and in torch."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec
import numpy as np

from ..classifier import Classifier, Verdict
from ..epoch import Past, Window
from ..features import Frames, Mfcc, Samples
from ..runtime import Graph, Provider, read
from .peers import TORCH, Peers
from .rounds import Cost, Go, alternate

BATCHES = {"cpu": (1, 8, 64), "cuda": (1, 8, 64, 256, 512)}
ROLLING, WHOLE = "genred, rolling", "ONNX Runtime, whole windows"
GO_S = 0.1  # a contender works about so long at once
MAX_HOPS = 8


class Agreement(msgspec.Struct, frozen=True):
    """How near the answers of rolled windows are to those of whole passes on the CPU.

    Attributes
    ----------
    windows, same_label : int
    greatest_difference : float
        Of a probability.
    """

    windows: int
    same_label: int
    greatest_difference: float


class Batch(msgspec.Struct, frozen=True):
    """Milliseconds a window, `size` windows at once."""

    size: int
    costs: tuple[Cost, ...]


class Tracks:
    """Several stations that play `audio`, each from another place; their windows move on by a hop.

    Parameters
    ----------
    mfcc : Frames
    window_frames, hop_frames : int
    n : int
    """

    def __init__(self, mfcc: Frames, window_frames: int, hop_frames: int, n: int) -> None:
        self._mfcc, self._window, self._hop = mfcc, window_frames, hop_frames
        self._places = [len(mfcc) // 2 // max(n, 1) // 8 * 8 * i for i in range(n)]
        self._hops = (len(mfcc) // 2 - window_frames) // hop_frames
        self._turn = 0
        self._pasts = [Past() for _ in range(n)]

    def windows(self) -> list[Window]:
        """Windows that are due next; after the last ones of the audio the first follow, in new epochs."""
        if self._turn == self._hops:
            self._turn, self._pasts = 0, [Past() for _ in self._places]
        first, self._turn = self._turn * self._hop, self._turn + 1
        return [self._of(place, first, past) for place, past in zip(self._places, self._pasts, strict=True)]

    @property
    def next_is_first(self) -> bool:
        """Whether nothing is kept of the next windows."""
        return self._turn in (0, self._hops)

    def _of(self, place: int, first: int, past: Past) -> Window:
        mfcc = self._mfcc[place + first :][: self._window]
        return Window(0, first, 0, 0, mfcc, 0.0, 0.0, lost_ms=0.0, silent=False, past=past)


class Bench:
    """See the module.

    Parameters
    ----------
    audio : Samples
        At the model's rate; twice as long as a window at least.
    path : Path
        The model's.
    provider : {"auto", "cuda", "cpu"}
    hop_frames : int
    """

    def __init__(self, audio: Samples, path: Path, provider: Provider, hop_frames: int) -> None:
        self.classifier = Classifier(path, provider)
        self.classifier.check_hop(hop_frames)
        self._path, self._hop, self._window = path, hop_frames, self.classifier.card.window_frames
        self._mfcc = Mfcc(self.classifier.card.spec)(audio)
        self._graph = Graph(read(path), path, self.classifier.provider)
        on_cpu = self.classifier.provider == "cpu"
        self._clock = time.process_time if on_cpu else time.perf_counter  # a GPU's time is nobody's CPU time

    def compare(self, peers: Peers, rounds: int, batches: Sequence[int] = ()) -> tuple[Batch, ...]:
        """Milliseconds a window: CPU time, or on a GPU the time that passes."""
        sizes = batches or BATCHES[self.classifier.provider]
        return tuple(Batch(size, alternate(self._goes(peers, size), rounds)) for size in sizes)

    def agreement(self, n: int, hops: int) -> Agreement:
        """Compare the answers of `n` stations over `hops` hops."""
        same, greatest, tracks = 0, 0.0, self._tracks(n)
        on_cpu = Classifier(self._path, "cpu")
        for _ in range(hops):
            windows = tracks.windows()
            whole = on_cpu.probabilities(np.stack([window.mfcc for window in windows]))
            for verdict, row in zip(self.classifier.judge(windows), whole, strict=True):
                assert isinstance(verdict, Verdict), verdict
                rolled = np.array(list((verdict.probabilities or {}).values()))
                same += int(rolled.argmax() == row.argmax())
                greatest = max(greatest, float(np.abs(rolled - row).max()))
        return Agreement(n * hops, same, greatest)

    def _goes(self, peers: Peers, size: int) -> dict[str, Go]:
        tracks, batch = self._tracks(size), np.stack([window.mfcc for window in self._tracks(size).windows()])
        goes: dict[str, Go] = {ROLLING: lambda: self._rolled(tracks, size)}
        goes[WHOLE] = lambda: self._timed(lambda: self._graph(batch)) / size
        return goes | ({TORCH: peers.go(TORCH, size)} if TORCH in peers.found.present else {})

    def _rolled(self, tracks: Tracks, size: int) -> float:
        """Milliseconds a window over some hops, of epochs that are running."""
        if tracks.next_is_first:
            self.classifier.judge(tracks.windows())
        hops, spent_ms = 0, 0.0
        while hops < MAX_HOPS and spent_ms < 1000 * GO_S and not tracks.next_is_first:
            windows = tracks.windows()
            spent_ms += self._timed(lambda due=windows: self.classifier.judge(due))  # type: ignore[misc]
            hops += 1
        return spent_ms / hops / size

    def _timed(self, work: Callable[[], object]) -> float:
        began_s = self._clock()
        work()
        return 1000 * (self._clock() - began_s)

    def _tracks(self, n: int) -> Tracks:
        return Tracks(self._mfcc, self._window, self._hop, n)
