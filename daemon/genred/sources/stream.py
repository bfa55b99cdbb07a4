"""Streams: libav decodes what it reads from a Body. It opens nothing by itself, whatever the bytes tell it to."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import av
from av.container import InputContainer

from .body import Body
from .frames import Piece, as_piece

BUFFER_BYTES = 4096  # read at once: what is read ahead makes a title come early
OPTIONS = {
    "format_whitelist": "aac,flac,mov,mp3,mp4,mpegts,ogg,wav",  # no playlists, no devices
    "protocol_whitelist": "none",
    "formatprobesize": "65536",  # bytes, to find out what it is
    "probesize": "262144",  # bytes, to find the streams in it
}


def decode(body: Body, tell: Callable[[str], None], on_error: Callable[[], None]) -> Iterator[Piece]:
    """Pieces of the containers of `body`, in order.

    Parameters
    ----------
    body : Body
    tell : callable
        Takes the title that a container has in its own head.
    on_error : callable
        Called for each piece that is damaged.

    Raises
    ------
    SourceLost
        As `body` does.
    """
    while not body.over:
        body.begin()
        try:
            with av.open(body, "r", metadata_errors="replace", buffer_size=BUFFER_BYTES, options=OPTIONS) as container:
                yield from _pieces(container, body, tell, on_error)
        except (av.FFmpegError, ArithmeticError, LookupError, NotImplementedError, ValueError):
            if not body.over:  # what the end cuts off is no damage
                on_error()


def _pieces(
    container: InputContainer, body: Body, tell: Callable[[str], None], on_error: Callable[[], None]
) -> Iterator[Piece]:
    if not container.streams.audio:
        on_error()
        return
    stream = container.streams.audio[0]
    title = _title({**container.metadata, **stream.metadata})
    if title or container.format.name == "ogg":  # whose title stands nowhere else
        tell(title)
    for packet in container.demux(stream):
        try:
            pieces = [as_piece(frame) for frame in packet.decode()]
        except av.error.EOFError:
            return
        except av.FFmpegError:
            on_error()
            continue
        yield from pieces
        if pieces:
            body.heard()  # after they have been handed over, which may take its time


def _title(tags: dict[str, str]) -> str:
    """``ARTIST - TITLE``, or what there is of it."""
    found = {name.lower(): text.strip() for name, text in tags.items()}
    return " - ".join(filter(None, (found.get("artist", ""), found["title"]))) if found.get("title") else ""
