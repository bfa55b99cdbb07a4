"""Ogg chains: where one logical stream ends and the next, of any codec, rate and title, begins.

Broadcasters begin a new one with each track. libav takes the first one's codec for all of them, so each gets a decoder
of its own.
"""

from __future__ import annotations

from collections.abc import Iterator

from .body import BREAK, Chunk

MAGIC = b"OggS"
HEADER = 27  # bytes before the table of lengths
TYPE, TABLE = 5, 26  # where the type stands, and the length of the table
FIRST = 2  # type of a page that begins a logical stream


def by_chain(chunks: Iterator[bytes]) -> Iterator[Chunk]:
    """Whole pages of `chunks`, with a BREAK before the first one of each new stream.

    What is between pages, and is none, is passed on: libav finds its way.
    """
    held, beginning = b"", True
    for chunk in chunks:
        held += chunk
        while length := _length(held):
            page, held = held[:length], held[length:]
            first = page.startswith(MAGIC) and bool(page[TYPE] & FIRST)
            if first and not beginning:
                yield BREAK
            beginning = first
            yield page
    if held:
        yield held


def _length(held: bytes) -> int:
    """Bytes of the page, or of what is none, that `held` begins with; 0 if that cannot be said yet."""
    if not held.startswith(MAGIC):
        junk = held.find(MAGIC)
        return max(len(held) - len(MAGIC) + 1, 0) if junk < 0 else junk
    if len(held) < HEADER or len(held) < HEADER + held[TABLE]:
        return 0
    length = HEADER + held[TABLE] + sum(held[HEADER : HEADER + held[TABLE]])
    return length if length <= len(held) else 0
