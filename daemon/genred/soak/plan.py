"""Plan: which fault comes when. The same seed gives the same plan."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass

APART_S = 2.0  # between two faults, on the average, of a long run
DECK = {  # how often each kind comes, in a round of all of them
    "gone": 4,  # a station vanishes, and comes back
    "codec": 3,  # it comes back in another codec, or at another rate
    "splice": 1,  # it changes codec in the middle of its stream
    "stall": 2,
    "trickle": 1,
    "garbage": 2,
    "nan": 1,
    "silence": 1,
    "reader stopped": 2,  # SIGSTOP, and SIGCONT later
    "daemon stopped": 1,
    "storm of connects": 2,
    "random bytes": 2,
    "reload: add": 2,
    "reload: remove": 2,
    "reload: change": 1,
    "reload: not TOML": 1,
    "reload: model": 1,
    "reload: garbage for a model": 1,
    "unpaced station": 1,  # a file as fast as it can be taken
}


@dataclass(frozen=True)
class Fault:
    """One fault.

    Attributes
    ----------
    at_s, for_s : float
        From the start of the run; how long it lasts, where it lasts.
    kind : str
        Of DECK.
    dice : random.Random
        For all that is left open.
    """

    at_s: float
    kind: str
    for_s: float
    dice: random.Random


def plan(seed: int, duration_s: float) -> Iterator[Fault]:
    """Faults without end: round after round of all kinds, shuffled; a short run has at least one round."""
    dice = random.Random(seed)
    apart_s = min(APART_S, 0.7 * duration_s / sum(DECK.values()))
    longest_s = min(20.0, duration_s / 10)
    at_s = apart_s
    while True:
        kinds = [kind for kind, n in DECK.items() for _ in range(n)]
        dice.shuffle(kinds)
        for kind in kinds:
            yield Fault(at_s, kind, dice.uniform(longest_s / 10, longest_s), random.Random(dice.random()))
            at_s += dice.uniform(0.0, 2 * apart_s)
