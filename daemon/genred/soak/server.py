"""Server: radio stations on this machine that send many times as fast as they play, and fail when they are told to.

    python -m genred.soak.server FOLDER TIMES      prints its port

FOLDER has the forms, TIMES is how many times as fast. Each line on stdin is an Order; it is answered by a line with the
number of listeners that it met. A process of its own, so that what it costs is not the daemon's; it ends with stdin.
"""

from __future__ import annotations

import asyncio
import math
import random
import sys
from collections import defaultdict
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from .forms import MUSIC, Form, read_forms
from .orders import REFUSALS, Order

EVERY_S = 0.05  # between two sends
LATE_S = 0.2  # a send that was kept waiting makes up for no more than this
ENDLESS = b"X-Nothing: and so on\r\n" * 500


@dataclass
class Station:
    """What a station does now; times are the event loop's."""

    form: str
    lent: str = ""
    lent_s: float = 0.0  # how long, once somebody listens
    how: str = ""
    until_s: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    drops: int = 0  # times that all listeners were dropped
    listeners: int = 0

    def obey(self, order: Order, now_s: float) -> None:
        """Do as `order` says."""
        self.until_s[order.act] = now_s + order.for_s
        self.drops += order.act in ("gone", "codec", "lend")
        if order.act in ("codec", "splice"):
            self.form = order.form
        elif order.act == "lend":
            self.lent, self.lent_s, self.until_s["lend"] = order.form, order.for_s, math.inf
        elif order.act == "gone":
            self.how = order.how

    def come(self, now_s: float) -> None:
        """Take a listener."""
        if self.until_s["lend"] == math.inf:
            self.until_s["lend"] = now_s + self.lent_s

    def plays(self, now_s: float) -> str:
        """Name of the form that it sends."""
        return self.lent if now_s < self.until_s["lend"] else self.form


class Radio:
    """All stations; one that nobody has spoken of is there, too.

    Parameters
    ----------
    forms : dict of Form
    times : float
    """

    def __init__(self, forms: dict[str, Form], times: float) -> None:
        self._forms, self._times = forms, times
        self._stations: dict[str, Station] = {}
        self._noise = random.Random(0)

    def station(self, path: str) -> Station:
        """Station `path`; what it sends at first hangs on its name."""
        return self._stations.setdefault(path, Station(MUSIC[sum(path.encode()) % len(MUSIC)]))

    def obey(self, order: Order) -> int:
        """Do as `order` says; return how many listeners it met."""
        station = self.station(order.path)
        station.obey(order, asyncio.get_running_loop().time())
        return station.listeners

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Send one listener its station until either of them leaves."""
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            request = await reader.readuntil(b"\r\n\r\n")
            station = self.station(request.split()[1].decode().partition("?")[0].strip("/"))
            if asyncio.get_running_loop().time() < station.until_s["gone"]:
                await _refuse(writer, station.how)
            else:
                station.listeners += 1
                try:
                    await self._play(writer, station)
                finally:
                    station.listeners -= 1
        writer.transport.abort() if writer.transport.get_write_buffer_size() else writer.close()

    async def _play(self, writer: asyncio.StreamWriter, station: Station) -> None:
        now_s: Callable[[], float] = asyncio.get_running_loop().time
        last_s = now_s()
        station.come(last_s)
        drops, lent = station.drops, last_s < station.until_s["lend"]
        form, sent = self._forms[station.plays(last_s)], 0
        writer.write(f"HTTP/1.0 200 OK\r\nContent-Type: {form.entry.content_type}\r\n\r\n".encode())
        while True:
            await writer.drain()
            await asyncio.sleep(EVERY_S)
            passed_s, last_s = min(now_s() - last_s, LATE_S), now_s()
            if station.drops != drops or (lent and last_s >= station.until_s["lend"]):
                return
            if station.plays(last_s) != form.name:
                form, sent = self._forms[station.plays(last_s)], 0
            n = 1 if last_s < station.until_s["trickle"] else round(passed_s * self._times * form.entry.rate)
            if last_s < station.until_s["stall"]:
                continue
            if last_s < station.until_s["garbage"]:
                writer.write(self._noise.randbytes(n))
            else:
                writer.write(form.piece(sent, n))
                sent += n


async def _refuse(writer: asyncio.StreamWriter, how: str) -> None:
    writer.write(REFUSALS[how])
    while how == "endless":  # until the listener has enough
        writer.write(ENDLESS)
        await writer.drain()
    await writer.drain()


async def main(folder: Path, times: float) -> None:
    """Serve, and obey, until stdin ends."""
    radio = Radio(read_forms(folder), times)
    server = await asyncio.start_server(radio.serve, "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    orders = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(orders), sys.stdin)
    while line := await orders.readline():
        print(radio.obey(msgspec.json.decode(line, type=Order)), flush=True)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), float(sys.argv[2])))
