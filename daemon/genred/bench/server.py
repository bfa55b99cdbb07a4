"""Server: radio stations on this machine, as Icecast sends them: MP3 over HTTP, a burst first and then in real time.

    python -m genred.bench.server MUSIC.mp3 BYTES_A_SECOND      prints its port

A process of its own, so that what it costs is not the daemon's. ``/N`` is station N; each begins at another place of
the music, which is played again and again.
"""

from __future__ import annotations

import asyncio
import sys
from contextlib import suppress
from pathlib import Path

BURST_S = 25.0  # longer than most servers send: the first window is there at once
EVERY_S = 0.25  # between two sends
APART_S = 1.7  # between the places at which two stations begin
HEAD = b"HTTP/1.0 200 OK\r\nContent-Type: audio/mpeg\r\n\r\n"


class Radio:
    """All stations.

    Parameters
    ----------
    music : bytes
    rate : int
        Bytes a second.
    """

    def __init__(self, music: bytes, rate: int) -> None:
        self._music, self._rate = music, rate

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Send one listener its station until it leaves."""
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            request = await reader.readuntil(b"\r\n\r\n")
            number = int(request.split()[1].strip(b"/"))
            await self._play(writer, round(number * APART_S * self._rate))
        writer.close()

    async def _play(self, writer: asyncio.StreamWriter, place: int) -> None:
        loop = asyncio.get_running_loop()
        began_s, sent = loop.time() - BURST_S, 0
        writer.write(HEAD)
        while True:
            due = round((loop.time() - began_s) * self._rate)
            writer.write(self._piece(place + sent, due - sent))
            sent = due
            await writer.drain()
            await asyncio.sleep(EVERY_S)

    def _piece(self, start: int, n: int) -> bytes:
        """`n` bytes from `start`, of the music without end."""
        start %= len(self._music)
        piece = self._music[start : start + n]
        while len(piece) < n:
            piece += self._music[: n - len(piece)]
        return piece


async def main(music: Path, rate: int) -> None:
    """Serve until this process is ended."""
    radio = Radio(music.read_bytes(), rate)
    server = await asyncio.start_server(radio.serve, "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2])))
