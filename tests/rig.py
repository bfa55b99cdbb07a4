"""A station without threads: the test is its driver, its clock and its worker.

The features are small and quick: 2000 Hz, windows of 0.336 s, one every 80 ms.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from dataclasses import replace

import numpy as np

from genred.config import Thresholds
from genred.epoch import Epoch, Geometry
from genred.features import GainRule, Mfcc, MfccSpec
from genred.messages import Event, Process, State
from genred.ring import Block
from genred.sources import Clock, Intake, Opened, Output, Stamp
from genred.station import Due, NewEpoch, Station
from genred.supervisor import Attempt, Notice, Supervisor

SPEC = MfccSpec(sample_rate=2000, n_fft=64, hop_length=32, n_mels=8, n_mfcc=4)
MFCC = Mfcc(SPEC)
GEOMETRY = Geometry(window_frames=20, hop_frames=5)
HOP = GEOMETRY.hop_frames * SPEC.hop_length  # samples between two windows
SPAN = SPEC.samples(GEOMETRY.window_frames)  # samples in a window
THRESHOLDS = Thresholds(silence_s=1.2)  # longer than a gap that is filled with zeros
BLOCK_S = 0.02
WORKER_S = 0.04  # between two rounds of a worker that is never late
DELAY_S = 0.005  # of every delivery
PROCESS = Process(uptime_s=1.0, cpu_percent=2.0, memory_mb=30.0, subscriptions=0)


class FakeSource:
    """A source whose `run` is nothing: the test delivers."""

    def __init__(self, clock: Clock = "device", *, live: bool = True, finite: bool = False) -> None:
        self.clock: Clock = clock
        self.live, self.finite = live, finite

    def run(self, output: Output) -> None:
        """Deliver nothing."""


def new_epoch(rate_hz: int, gain_db: float | None, thresholds: Thresholds = THRESHOLDS) -> Epoch:
    return Epoch(MFCC, GEOMETRY, GainRule(), rate_hz, gain_db, thresholds)


def new_early_epoch(rate_hz: int, gain_db: float | None, thresholds: Thresholds = THRESHOLDS) -> Epoch:
    """One with a window from 8 frames on, 0.144 s: then there are windows of 10, 15 and 20 frames."""
    return Epoch(MFCC, replace(GEOMETRY, fewest_frames=8), GainRule(), rate_hz, gain_db, thresholds)


class Directed(Supervisor):
    """A supervisor that starts nothing: the test is its source."""

    def __init__(self, source: FakeSource) -> None:
        super().__init__("s", source, threading.Event(), threading.Event())
        self.attempt = Attempt(source, self.arrivals, threading.Event(), threading.Event())
        self.notices: deque[Notice] = deque()

    def attend(self, now_s: float) -> Notice | None:  # noqa: ARG002 - the Supervisor's
        return self.notices.popleft() if self.notices else None

    @property
    def undecoded(self) -> int:
        return self.attempt.undecoded


class Rig:
    """A station named ``s``; `now_s` is the time, and moves only by what the test does."""

    def __init__(
        self,
        source: FakeSource | None = None,
        *,
        gain_db: float | None = None,
        thresholds: Thresholds = THRESHOLDS,
        epochs: NewEpoch = new_epoch,
    ) -> None:
        self.source = source or FakeSource()
        self.supervisor = Directed(self.source)
        self.station = Station("s", "fake:", Opened(self.source, gain_db), epochs, self.supervisor, thresholds)
        self.now_s = time.monotonic()
        self.delivered = 0  # samples, all in all
        self.intake: Intake | None = None
        self._rng = np.random.default_rng(0)

    def connect(self, rate_hz: int = 2000, channels: int = 1) -> None:
        self.intake = self.supervisor.attempt.begin(rate_hz, channels)

    def noise(self, n: int, dbfs: float = -20.0) -> Block:
        assert self.intake is not None
        shape = n, self.intake.ring.channels
        return (self._rng.normal(size=shape) * 10 ** (dbfs / 20)).astype(np.float32)

    def deliver(self, seconds: float, dbfs: float = -20.0) -> None:
        """Sound for so long, handed over in blocks as it comes."""
        assert self.intake is not None
        left = round(seconds * self.intake.rate_hz)
        while left:
            n = min(left, round(BLOCK_S * self.intake.rate_hz))
            self.hand_over(self.noise(n, dbfs))
            left -= n

    def hand_over(self, block: Block) -> None:
        """Deliver one block, which took as long as it is."""
        assert self.intake is not None
        self.wait(len(block) / self.intake.rate_hz)
        self.intake.ring.write(block)
        self.intake.stamps.append(Stamp(self.intake.ring.written, self.now_s + DELAY_S, self.now_s + DELAY_S))
        self.delivered += len(block)

    def wait(self, seconds: float) -> None:
        """Let time pass in which nothing is delivered: at a device, audio that is lost."""
        self.now_s += seconds

    def end(self, state: State = "lost", text: str = "gone") -> None:
        """The attempt ends, as the supervisor tells it."""
        self.supervisor.attempt.close()
        self.supervisor.notices.append(Notice(state, text))

    def listen(self) -> list[Due]:
        """Hear what has come, and publish an estimate for each window that is due."""
        dues = self.station.listen(self.now_s + DELAY_S)
        for due in dues:
            due.stretch.published += 1
        return dues

    def play(self, seconds: float, dbfs: float = -20.0) -> list[Due]:
        """Deliver, and listen in between as a worker does that is never late."""
        dues = []
        for _ in range(round(seconds / WORKER_S)):
            self.deliver(WORKER_S, dbfs)
            dues += self.listen()
        return dues

    def events(self) -> list[Event]:
        """Take what happened."""
        events = [event for event, _ in self.station.events]
        self.station.events.clear()
        return events

    def states(self) -> list[str]:
        """Take the changes of state."""
        return [str(event.state) for event in self.events() if event.event == "state"]
