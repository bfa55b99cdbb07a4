"""``demo:``: a station that makes its own sound, for machines without a microphone."""

from __future__ import annotations

import time

from . import Clock, Output
from .synth import SAMPLE_RATE_HZ, Band

BLOCK = 1024  # samples


class Demo:
    """The band of `synth`, played in real time; its style changes every half minute."""

    clock: Clock = "arrival"
    live = True
    finite = False

    def run(self, output: Output) -> None:
        """Deliver a block each time it would have sounded."""
        band, intake = Band(), output.begin(SAMPLE_RATE_HZ)
        due_s = time.monotonic()
        while not output.stop.is_set():
            block = band.render(BLOCK)
            due_s += BLOCK / SAMPLE_RATE_HZ
            output.stop.wait(max(due_s - time.monotonic(), 0.0))
            intake.write(block[:, None])
