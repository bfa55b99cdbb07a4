"""Streams: libav decodes what it reads from a Body. It opens nothing by itself, whatever the bytes tell it to.

What one read has brought is handed over as one: a packet of MP3 is only 26 ms, and each hand-over costs as much as
decoding it.
"""

from __future__ import annotations

from collections.abc import Callable

import av
from av.container import InputContainer

from .body import Body, nothing
from .frames import Piece, as_piece

LUMP_S = 0.25  # the most that is handed over as one
BUFFER_BYTES = 4096  # read at once: what is read ahead makes a title come early
OPTIONS = {
    "format_whitelist": "aac,flac,mov,mp3,mp4,mpegts,ogg,wav",  # no playlists, no devices
    "protocol_whitelist": "none",
    "formatprobesize": "65536",  # bytes, to find out what it is
    "probesize": "262144",  # bytes, to find the streams in it
}


def decode(
    body: Body, take: Callable[[Piece], None], tell: Callable[[str], None], on_error: Callable[[], None]
) -> None:
    """Decode the containers of `body`, in order.

    Parameters
    ----------
    body : Body
    take : callable
        Takes the audio, before more bytes are waited for.
    tell : callable
        Takes the title that a container has in its own head.
    on_error : callable
        Called for each piece that is damaged.

    Raises
    ------
    SourceLost
        As `body` and `take` do.
    """
    lump = _Lump(take, body.heard)
    body.before_wait = lump.end
    try:
        while not body.over:
            body.begin()
            try:
                with av.open(
                    body, "r", metadata_errors="replace", buffer_size=BUFFER_BYTES, options=OPTIONS
                ) as container:
                    _decode(container, lump, tell, on_error)
            except (av.FFmpegError, ArithmeticError, LookupError, NotImplementedError, ValueError):
                if not body.over:  # what the end cuts off is no damage
                    on_error()
            lump.end()
    finally:
        body.before_wait = nothing  # the two would keep each other, and a whole ring, until the next collection


class _Lump:
    """Frames that are handed over as one."""

    def __init__(self, take: Callable[[Piece], None], taken: Callable[[], None]) -> None:
        self._take, self._taken = take, taken
        self._frames = av.AudioFifo()
        self._kind: tuple[object, ...] = ()

    def add(self, frame: av.AudioFrame) -> None:
        """Take a frame; hand over first if it is of another kind, and after it if it is enough."""
        kind = (frame.sample_rate, frame.format.name, frame.layout.name)
        if kind != self._kind:
            self.end()
            self._frames, self._kind = av.AudioFifo(), kind
        frame.pts = None  # what a server says of time may have holes
        self._frames.write(frame)
        if self._frames.samples >= LUMP_S * frame.sample_rate:
            self.end()

    def end(self) -> None:
        """Hand over what there is."""
        if frame := self._frames.read():
            self._take(as_piece(frame))
            self._taken()  # only now: to hand over may take its time


def _decode(container: InputContainer, lump: _Lump, tell: Callable[[str], None], on_error: Callable[[], None]) -> None:
    if not container.streams.audio:
        on_error()
        return
    stream = container.streams.audio[0]
    title = _title({**container.metadata, **stream.metadata})
    if title or container.format.name == "ogg":  # whose title stands nowhere else
        tell(title)
    for packet in container.demux(stream):
        try:
            for frame in packet.decode():
                lump.add(frame)
        except av.error.EOFError:
            return
        except av.FFmpegError:
            on_error()


def _title(tags: dict[str, str]) -> str:
    """``ARTIST - TITLE``, or what there is of it."""
    found = {name.lower(): text.strip() for name, text in tags.items()}
    return " - ".join(filter(None, (found.get("artist", ""), found["title"]))) if found.get("title") else ""
