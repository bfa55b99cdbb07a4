"""ICY titles: text that SHOUTcast and Icecast put between the audio, every so many bytes; taken out again here."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

UNIT = 16  # bytes; the length of a block is one byte that counts these
TITLE = re.compile(rb"StreamTitle='(.*?)';(?=Stream|\0|\Z)", re.DOTALL)


def without_titles(chunks: Iterator[bytes], interval: int, tell: Callable[[str], None]) -> Iterator[bytes]:
    """Audio alone: after every `interval` bytes of it stands a block of text, whose title is told, also an empty one.

    Blocks are short by themselves, 4080 bytes at most.
    """
    audio, wanted, block = interval, -1, b""
    for chunk in chunks:
        rest = chunk
        while rest:
            if audio:
                part, rest = rest[:audio], rest[audio:]
                audio -= len(part)
                yield part
                continue
            if wanted < 0:
                wanted, block, rest = UNIT * rest[0], b"", rest[1:]
            missing = wanted - len(block)
            block, rest = block + rest[:missing], rest[missing:]
            if len(block) == wanted:
                if title := TITLE.search(block):
                    tell(as_text(title[1]))
                audio, wanted = interval, -1


def as_text(title: bytes) -> str:
    """Text of `title`; what is no UTF-8 is what old senders use."""
    try:
        return title.decode().strip()
    except UnicodeDecodeError:
        return title.decode("cp1252", errors="replace").strip()
