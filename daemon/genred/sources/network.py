"""Network stations: ``http://`` and ``https://``, what Icecast and SHOUTcast send, playlists of it, and HLS.

::

    Client -> answer -> titles taken out -> Body, a file -> libav -> Delivery -> intake
                 |                            ^
                 +-- a playlist -> ... -> HLS-+

All of it runs in the source's thread. A full ring stops the reading, down to the server: nothing is thrown away.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import partial
from itertools import chain

from ..errors import SourceError, SourceLost
from . import Clock, Output
from .body import Body, Chunk
from .client import Answer, Client
from .delivery import Delivery
from .hls import PLAYLIST_BYTES, Hls
from .icy import without_titles
from .ogg import MAGIC, by_chain
from .playlist import HEAD_BYTES, entries, is_hls, is_playlist
from .stream import decode
from .uri import Options, whole
from .url import Url, shown

READ_BYTES = 4096  # at most at once: what is there is taken, a second of most streams has more
MOST_ASKED = 12  # addresses, playlists among them, until one of them plays
PATIENCE = 4  # times the time-out: so long there may be no audio in what comes


class Network:
    """``http://HOST/PATH#timeout=15``: a station of the net.

    Parameters
    ----------
    url : Url
    timeout_s : float
        How long a server may send nothing.
    """

    clock: Clock = "arrival"
    live = True
    finite = False

    def __init__(self, url: Url, timeout_s: float = 15.0) -> None:
        self._url, self._timeout_s = url, timeout_s

    @classmethod
    def from_options(cls, target: str, options: Options) -> Network:
        """Make the source that a URI names."""
        try:
            url = Url.parse(target)
        except ValueError as error:
            raise SourceError(f"{shown(target)} is no address that genred can open: {error}") from error
        return cls(url, options.take("timeout", whole(1, 600), 15))

    def run(self, output: Output) -> None:
        """Deliver until the stream ends or breaks."""
        delivery = Delivery(output)
        with Client(self._timeout_s) as client:
            chunks = Opener(client, delivery).open(self._url)
            body = Body(chunks, output.stop, PATIENCE * self._timeout_s + delivery.rest_s)
            decode(body, delivery.hand_over, delivery.title, output.count_error)
        if not output.stop.is_set():
            raise SourceLost(
                f"{self._url} has ended{'' if delivery.begun else ', and had no audio that can be decoded'}"
            )


class Opener:
    """Opens an address, or what the playlist there names.

    Parameters
    ----------
    client : Client
    delivery : Delivery
        Takes titles, and the pace of HLS.
    """

    def __init__(self, client: Client, delivery: Delivery) -> None:
        self._client, self._delivery = client, delivery
        self._asked = 0

    def open(self, url: Url) -> Iterator[Chunk]:
        """Bytes of the stream at `url`.

        Raises
        ------
        SourceLost
            If there is none.
        """
        self._asked += 1
        if self._asked > MOST_ASKED:
            raise SourceLost(f"{url}: {MOST_ASKED} addresses of playlists have been tried")
        answer = self._client.get(url)
        head = _head(answer, self._client.timeout_s)
        if not is_playlist(head, answer.header("content-type"), answer.url.path):
            return self._audio(answer, head)
        text = (head + answer.whole(PLAYLIST_BYTES)).decode(errors="replace")
        answer.close()
        if is_hls(text):
            hls = Hls(self._client, answer.url, text, self._delivery.position, self._delivery.stop)
            self._delivery.follow(hls)
            return hls.chunks()
        return self._first(answer.url, entries(text))

    def _audio(self, answer: Answer, head: bytes) -> Iterator[Chunk]:
        chunks: Iterator[bytes] = chain([head], iter(partial(answer.read, READ_BYTES), b""))
        interval = answer.header("icy-metaint")
        if interval.isascii() and interval.isdecimal() and 0 < int(interval) < 1 << 24:
            chunks = without_titles(chunks, int(interval), self._delivery.title)
        return by_chain(chunks) if head.startswith(MAGIC) else chunks

    def _first(self, playlist: Url, names: list[str]) -> Iterator[Chunk]:
        """Open the first of `names` that can be opened."""
        reason = SourceLost(f"{playlist} is a playlist that names nothing")
        for name in names:
            try:
                return self.open(playlist.join(name))
            except ValueError as error:
                reason = SourceLost(f"the playlist {playlist} leads to where genred does not go: {error}")
            except SourceLost as error:
                reason = error
                if self._asked > MOST_ASKED:
                    break
        raise reason


def _head(answer: Answer, timeout_s: float) -> bytes:
    """First bytes of the body, enough to know a playlist by."""
    head, until_s = b"", time.monotonic() + timeout_s
    while len(head) < HEAD_BYTES and (more := answer.read(HEAD_BYTES - len(head))):
        head += more
        if time.monotonic() > until_s:
            raise SourceLost(f"{answer.url} has sent only {len(head)} bytes in {timeout_s:g} s")
    return head
