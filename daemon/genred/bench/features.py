"""Features: what a second of audio costs, genred's beside its peers'."""

from __future__ import annotations

import time

from ..card import ModelCard
from ..features import FrameStream, Mfcc, Samples
from .peers import TORCH, Peers
from .rounds import Cost, Go, alternate

STREAMING = "genred, streaming"


def compare(audio: Samples, card: ModelCard, hop_frames: int, peers: Peers, rounds: int) -> tuple[Cost, ...]:
    """CPU milliseconds for a second of `audio`, which is at the model's rate."""
    others = {name: peers.go(name) for name in peers.found.present if name != TORCH}
    return alternate({STREAMING: streaming(audio, card, hop_frames)} | others, rounds)


def streaming(audio: Samples, card: ModelCard, hop_frames: int) -> Go:
    """Make what takes `audio` [N] as the daemon does, a hop at a time."""
    mfcc, step = Mfcc(card.spec), hop_frames * card.spec.hop_length

    def go() -> float:
        stream, began_s = FrameStream(mfcc), time.process_time()
        for start in range(0, len(audio), step):
            stream.push(audio[start : start + step])
        return 1000 * (time.process_time() - began_s) / (len(audio) / card.spec.sample_rate)

    return go
