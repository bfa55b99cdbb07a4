"""HLS: a playlist that is asked again and again, and the segments that it names, one after the other.

It is fetched by our own client, never by libav. One thread does it all: while audio waits for its time to be handed
over, `tend` fetches what comes next.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeVar

from ..errors import SourceLost
from .body import BREAK, Chunk
from .client import Client
from .m3u8 import Media, Resource, Segment, choose, is_master, parse
from .pace import Pace
from .url import Url

T = TypeVar("T")

PLAYLIST_BYTES = 512 * 1024
SEGMENT_BYTES = 16 * 1024 * 1024
BEGIN = 3  # segments before the end of the playlist
AHEAD = 3  # segments kept
HOLD = 1.75  # target durations: a segment, half of one until the playlist is asked again, and some for the way
STARVED = 3  # target durations without a new segment
LOOK_S = 0.1


@dataclass(frozen=True)
class _Fetched:
    segment: Segment
    head: bytes
    content: bytes


class Hls:
    """See the module.

    Parameters
    ----------
    client : Client
    url : Url
        Of the playlist `text`, master or media.
    position : callable
        Seconds of audio that have been handed over.
    stop : threading.Event

    Raises
    ------
    SourceLost
        Here and in all that it does: if the playlist cannot be used, or no more comes.
    """

    def __init__(
        self, client: Client, url: Url, text: str, position: Callable[[], float], stop: threading.Event
    ) -> None:
        self._client, self._position, self._stop = client, position, stop
        self._url = self._base = url
        if is_master(text):
            self._url = self._read(lambda: choose(text, url))
            text = self._ask()
        media = self._read(lambda: parse(text, self._base))
        self.pace = Pace(HOLD * media.target_s)
        self._fetched: deque[_Fetched] = deque()
        self._pending: deque[Segment] = deque()
        self._head: tuple[Resource | None, bytes] = None, b""
        self._end_s = self._begun_s = 0.0  # as the playlist counts: of what has been fetched, of what is decoded
        self._next: int | None = None
        self._take(media)

    @property
    def rest_s(self) -> float:
        """How long there may be no new segment."""
        return STARVED * self._target_s

    def chunks(self) -> Iterator[Chunk]:
        """Bytes of the segments, with marks where a new container begins."""
        head, first = None, True
        while (fetched := self._await()) is not None:
            segment = fetched.segment
            self.pace.reached(self._position(), self._begun_s)
            self._begun_s += segment.seconds
            new = segment.head != head or segment.breaks
            if new and not first:
                yield BREAK
            if new and fetched.head:
                yield fetched.head
            head, first = segment.head, False
            yield fetched.content

    def tend(self) -> None:
        """Fetch what there is to fetch, one thing at most."""
        if self._pending:
            if len(self._fetched) < AHEAD:
                self._fetch(self._pending.popleft())
        elif not self._ended and time.monotonic() >= self._ask_s:
            text = self._ask()
            self._take(self._read(lambda: parse(text, self._base)))

    def _await(self) -> _Fetched | None:
        """Next segment; None after the last."""
        until_s = time.monotonic() + self.rest_s
        while not self._fetched and not self._stop.is_set():
            if self._ended and not self._pending:
                return None
            if time.monotonic() > until_s and not self._pending:
                raise SourceLost(f"{self._url} has named no new segment for {self.rest_s:.0f} s")
            self.tend()
            if not self._fetched and not self._pending:
                self._stop.wait(LOOK_S)
        return self._fetched.popleft() if self._fetched else None

    def _take(self, media: Media) -> None:
        """Take what is new in the playlist, and say when to ask for it again."""
        self._target_s, self._ended = media.target_s, media.ended
        segments = media.segments
        if self._next is None and segments:
            self._next = segments[0 if media.ended else -min(BEGIN, len(segments))].number
        new: list[Segment] = []
        if self._next is not None and segments:
            if not segments[0].number <= self._next <= segments[-1].number + 1:
                raise SourceLost(f"{self._url} is at segment {segments[0].number}, and not at {self._next} any more")
            new = [segment for segment in segments if segment.number >= self._next]
            self._next = segments[-1].number + 1
        self._pending.extend(new)
        self._ask_s = time.monotonic() + media.target_s * (1.0 if new else 0.5)

    def _fetch(self, segment: Segment) -> None:
        if segment.head != self._head[0]:
            self._head = segment.head, b"" if segment.head is None else self._load(segment.head)
        content = self._load(segment.content)
        if not self._ended or not self._end_s:  # all of a stream that has ended was there from the beginning
            self.pace.arrived(self._end_s + segment.seconds, time.monotonic())
        self._end_s += segment.seconds
        self._fetched.append(_Fetched(segment, self._head[1], content))

    def _load(self, resource: Resource) -> bytes:
        if resource.length is None:
            return self._client.get(resource.url).whole(SEGMENT_BYTES)
        last = resource.first + resource.length - 1
        answer = self._client.get(resource.url, {"Range": f"bytes={resource.first}-{last}"}, status=206)
        return answer.whole(min(resource.length, SEGMENT_BYTES))

    def _ask(self) -> str:
        answer = self._client.get(self._url)
        self._base = answer.url
        return answer.whole(PLAYLIST_BYTES).decode(errors="replace")

    def _read(self, reader: Callable[[], T]) -> T:
        try:
            return reader()
        except ValueError as error:
            raise SourceLost(f"the playlist {self._url} cannot be played: {error}") from error
