"""Rounds: contenders measured in turn, so that what disturbs the machine disturbs them all."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping

import msgspec

Go = Callable[[], float]  # does the work once; returns what it cost


class Cost(msgspec.Struct, frozen=True):
    """What a contender costs.

    Attributes
    ----------
    ratio : float
        Times as much as the first one of its section.
    ms : float
        Median over the rounds, in the unit of its section.
    least_ms, most_ms : float
        Of all rounds.
    """

    name: str
    ratio: float
    ms: float
    least_ms: float
    most_ms: float


def alternate(goes: Mapping[str, Go], rounds: int) -> tuple[Cost, ...]:
    """Let each of `goes` go once a round, after one round that warms up and is not counted."""
    spent: dict[str, list[float]] = {name: [] for name in goes}
    for number in range(1 + rounds):
        for name, go in goes.items():
            cost = go()
            if number:
                spent[name].append(cost)
    first = statistics.median(next(iter(spent.values())))
    return tuple(_cost(name, costs, first) for name, costs in spent.items())


def _cost(name: str, costs: list[float], first: float) -> Cost:
    middle = statistics.median(costs)
    return Cost(name, middle / first, middle, min(costs), max(costs))


def quantile(values: list[float], share: float) -> float:
    """Smallest of `values` that at least `share` of them do not exceed; 0 for none."""
    ordered = sorted(values)
    return ordered[min(int(share * len(ordered)), len(ordered) - 1)] if ordered else 0.0
