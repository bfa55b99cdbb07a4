"""Pages: a small HTTP server for what is read now and then, by readers that may be slow or hostile.

One thread serves all. A reader has READER_S from its connect to the last byte that it takes; at most MOST_READERS are
heard at a time, and for one more the one that came first is sent away. What they send is looked at, never believed.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import TracebackType

log = logging.getLogger(__name__)

READER_S = 5.0
MOST_READERS = 32
HEAD_BYTES = 8192
JOIN_S = 1.0
AGAIN_S = 1.0  # until it is tried again to accept
TEXT = "text/plain; charset=utf-8"


@dataclass(frozen=True)
class Page:
    """What is answered, as bytes of that kind, and with which status."""

    body: bytes
    kind: str = TEXT
    status: HTTPStatus = HTTPStatus.OK


Make = Callable[[], Page]


def says(text: str, status: HTTPStatus) -> Page:
    """One line for people."""
    return Page(f"{text}\n".encode(errors="replace"), status=status)


class Pages:
    """Context manager: bound from its making on, it answers from `serve` on.

    Parameters
    ----------
    host : str
        Name or address; one of IPv6 in brackets.
    port : int
        0 for one that is free.

    Raises
    ------
    OSError
        If the address cannot be bound.
    """

    def __init__(self, host: str, port: int) -> None:
        family = socket.AF_INET6 if host.startswith("[") else socket.AF_INET
        self._listener = socket.create_server((host.strip("[]"), port), family=family)
        self.port: int = self._listener.getsockname()[1]
        self._makes: Mapping[str, Make] = {}
        self._readers: dict[asyncio.Task[None], socket.socket] = {}  # in the order of their coming; the thread's own
        self._thread: threading.Thread | None = None
        self._runner = asyncio.Runner(loop_factory=asyncio.new_event_loop)
        self._end = asyncio.Event()

    def __enter__(self) -> Pages:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._thread is not None:
            self._loop.call_soon_threadsafe(self._end.set)
            self._thread.join(JOIN_S)
        self._listener.close()

    def serve(self, makes: Mapping[str, Make]) -> None:
        """Answer each path with what its function makes, called in the thread of this server."""
        self._makes = makes
        self._loop = self._runner.get_loop()
        self._thread = threading.Thread(target=self._run, name="pages", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        self._listener.setblocking(False)
        with self._runner:  # ends what still goes on when it is left
            self._runner.run(self._serve())

    async def _serve(self) -> None:
        self._listen()
        await self._end.wait()
        self._loop.remove_reader(self._listener)

    def _listen(self) -> None:
        self._loop.add_reader(self._listener, self._accept)

    def _accept(self) -> None:
        """Meet one who has come."""
        try:
            reader, _ = self._listener.accept()
        except BlockingIOError:  # it has gone before
            return
        except OSError:  # no files are left, which others tell
            self._loop.remove_reader(self._listener)
            self._loop.call_later(AGAIN_S, self._listen)
            return
        reader.setblocking(False)
        self._meet(reader)

    def _meet(self, reader: socket.socket) -> None:
        """Begin with one reader; for one too many, leave the first."""
        task = self._loop.create_task(self._attend(reader))
        self._readers[task] = reader
        task.add_done_callback(self._leave)
        if len(self._readers) > MOST_READERS:
            next(one for one in self._readers if not one.cancelling()).cancel()

    def _leave(self, task: asyncio.Task[None]) -> None:
        """Close its connection, whatever came of it, and whether or not it had begun."""
        self._readers.pop(task).close()
        if not task.cancelled() and (error := task.exception()):
            log.error("genred has a fault in its HTTP server; please report this", exc_info=error)

    async def _attend(self, reader: socket.socket) -> None:
        """Answer one reader, or leave it when its time is over, or it has gone."""
        with suppress(OSError, TimeoutError):
            async with asyncio.timeout(READER_S):
                if head := await self._head(reader):
                    await self._loop.sock_sendall(reader, self._answer(head))

    async def _head(self, reader: socket.socket) -> bytes:
        """Head of a request; empty if it does not end, or is longer than any reader's."""
        head = b""
        while b"\r\n\r\n" not in head:
            piece = await self._loop.sock_recv(reader, HEAD_BYTES)
            head += piece
            if not piece or len(head) > HEAD_BYTES:
                return b""
        return head

    def _answer(self, head: bytes) -> bytes:
        """Answer the request with that head."""
        method, _, rest = head.partition(b"\r\n")[0].decode("latin-1").partition(" ")
        path, _, version = rest.partition(" ")
        page = self._page(method, path.partition("?")[0], version)
        lines = [
            f"HTTP/1.1 {page.status} {page.status.phrase}",
            f"Content-Type: {page.kind}",
            f"Content-Length: {len(page.body)}",
            "Cache-Control: no-store",
            "Connection: close",
        ]
        return "\r\n".join([*lines, "", ""]).encode() + (b"" if method == "HEAD" else page.body)

    def _page(self, method: str, path: str, version: str) -> Page:
        if not version.startswith("HTTP/1."):
            return says("this is no request", HTTPStatus.BAD_REQUEST)
        if path not in self._makes:
            return says(f"there are {' and '.join(self._makes)}", HTTPStatus.NOT_FOUND)
        if method not in ("GET", "HEAD"):
            return says("pages can be read only", HTTPStatus.METHOD_NOT_ALLOWED)
        try:
            return self._makes[path]()
        except Exception:
            log.exception("genred has a fault in making %s; please report this", path)
            return says("genred has a fault", HTTPStatus.INTERNAL_SERVER_ERROR)
