"""Streams cut into pieces."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import cycle

from hypothesis import strategies as st

from genred.features import Samples

# Empty pieces, single samples, seconds at once; around n_fft and hop_length more often. Fewer than 100 on average
# would only take long: what a sample at a time gives has tests of its own.
sizes = st.lists(
    st.one_of(st.sampled_from([0, 1, 2, 511, 512, 513, 2047, 2048, 2049]), st.integers(0, 30_000)),
    min_size=1,
    max_size=8,
).filter(lambda lengths: sum(lengths) >= 100 * len(lengths))


def cut(samples: Samples, lengths: list[int]) -> Iterator[Samples]:
    """Pieces of `samples` with these lengths, over and over."""
    start = 0
    for length in cycle(lengths):
        yield samples[start : start + length]
        start += length
        if start >= len(samples):
            return
