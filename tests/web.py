"""A web server written by hand: it answers byte for byte what a test says, also what no server should."""

from __future__ import annotations

import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType

Part = bytes | float  # bytes to send; seconds to wait
Script = Callable[["Request"], Iterator[Part]]


class Request:
    """What was asked: its path, its head as text, and the number of requests for this path before it."""

    def __init__(self, head: str, before: int) -> None:
        self.head, self.before = head, before
        self.path = head.split(" ")[1] if " " in head else ""

    def header(self, name: str) -> str:
        for line in self.head.splitlines()[1:]:
            key, _, value = line.partition(":")
            if key.lower() == name:
                return value.strip()
        return ""


def answer(body: bytes = b"", status: str = "200 OK", **headers: str | int) -> bytes:
    """A well-formed answer; headers as icy_metaint=16."""
    lines = [f"HTTP/1.1 {status}", *(f"{name.replace('_', '-')}: {value}" for name, value in headers.items())]
    lines += [] if "content_length" in headers or "transfer_encoding" in headers else ["Connection: close"]
    return "\r\n".join([*lines, "", ""]).encode() + body


class Server:
    """Serves each path by a script, each connection in a thread of its own; a context manager."""

    def __init__(self, scripts: dict[str, Script | bytes], context: ssl.SSLContext | None = None) -> None:
        self.scripts = scripts
        self.asked: list[Request] = []
        self.ending = threading.Event()
        self._context = context
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._connections: list[socket.socket] = []
        self.port: int = self._listener.getsockname()[1]

    def url(self, path: str, user: str = "") -> str:
        return f"{'https' if self._context else 'http'}://{user}127.0.0.1:{self.port}{path}"

    def paths(self) -> list[str]:
        """What was asked for, in order."""
        return [request.path for request in self.asked]

    def __enter__(self) -> Server:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.ending.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for connection in self._connections:
            connection.close()

    def _accept(self) -> None:
        while not self.ending.is_set():
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self._connections.append(connection)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        try:
            if self._context is not None:
                connection = self._context.wrap_socket(connection, server_side=True)
            with connection, connection.makefile("rb") as lines:
                while (head := _head(lines)) and self._answer(connection, head):
                    pass
        except (OSError, ValueError):
            return

    def _answer(self, connection: socket.socket, head: str) -> bool:
        """Say whether the connection goes on after the answer."""
        request = Request(head, 0)
        request.before = self.paths().count(request.path)
        self.asked.append(request)
        script = self.scripts.get(request.path, answer(status="404 Not Found"))
        sent = b""
        for part in [script] if isinstance(script, bytes) else script(request):
            if isinstance(part, bytes):
                connection.sendall(part)
                sent += part[:2000]
            elif self.ending.wait(part):
                return False
        return b"content-length" in sent and b"connection: close" not in sent.lower()


def _head(lines: object) -> str:
    """Request line and headers; empty at the end of the connection."""
    head = b""
    for line in iter(lines.readline, b""):  # type: ignore[attr-defined]
        head += line
        if line in (b"\r\n", b"\n"):
            return head.decode("latin-1")
    return ""


def live(content: bytes) -> Script:
    """Send `content`, of 128 kbit/s, as it would sound."""

    def script(_request: Request) -> Iterator[Part]:
        yield answer()
        began_s = time.monotonic()
        for number, at in enumerate(range(0, len(content), 1600)):
            yield content[at : at + 1600]
            yield max(began_s + number * 0.1 - time.monotonic(), 0.0)

    return script


def with_password(script: Script) -> Script:
    """Ask for user and password first."""

    def asking(request: Request) -> Iterator[Part]:
        if request.header("authorization"):
            yield from script(request)
        else:
            yield answer(status="401 Unauthorized", www_authenticate="Basic")

    return asking


@contextmanager
def serving(scripts: dict[str, Script | bytes], context: ssl.SSLContext | None = None) -> Iterator[Server]:
    with Server(scripts, context) as server:
        yield server


def tls(folder: Path, name: str, days: int = 1) -> tuple[ssl.SSLContext, Path]:
    """A server's context, and its certificate, signed by itself: for `name`, as IP:127.0.0.1, valid for `days`."""
    key, request, certificate = (folder / f"{part}.pem" for part in ("key", "request", "certificate"))
    new = [
        "req",
        "-new",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
        "-subj",
        f"/CN={folder.name}",
    ]
    new += ["-addext", f"subjectAltName={name}", "-keyout", str(key), "-out", str(request)]
    sign = ["x509", "-req", "-in", str(request), "-signkey", str(key), "-copy_extensions", "copy"]
    sign += ["-days", str(days), "-out", str(certificate)]
    for command in (new, sign):
        subprocess.run(["openssl", *command], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return context, certificate
