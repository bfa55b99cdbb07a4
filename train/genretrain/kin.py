"""Kin: tracks that share an artist or a recording, which belong on one side of a split."""

from __future__ import annotations

import re

from . import gtzan, repeats

BETWEEN_NAMES = re.compile(r"\s*(?:,|&|/|\band\b|\bfeat\.|\bfeaturing\b|\bwith\b)\s*")


def groups_of(names: list[str]) -> list[int]:
    """Number of the group of each track: one group has whatever is connected by an artist or a repeat."""
    artists, pairs = gtzan.artists(), repeats.read()
    groups: list[tuple[set[str], set[str]]] = []  # tracks, and what connects them
    for name in names:
        tracks, ties = {name}, people(artists[name]) if name in artists else set()
        ties |= {f"{r.first} {r.second}" for r in pairs if name in (r.first, r.second)}
        for group in [group for group in groups if group[1] & ties]:
            groups.remove(group)
            tracks, ties = tracks | group[0], ties | group[1]
        groups.append((tracks, ties))
    number = {name: i for i, (tracks, _) in enumerate(groups) for name in tracks}
    return [number[name] for name in names]


def people(credit: str) -> set[str]:
    """Names in an artist's credit: two for ``Bob Marley & The Wailers``."""
    return {name for name in BETWEEN_NAMES.split(credit.lower()) if name}
