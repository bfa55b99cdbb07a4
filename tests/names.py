"""A name server written by hand: it hears each question, and answers none before it is told to."""

from __future__ import annotations

import os
import random
import shutil
import socket
import struct
import subprocess
import threading
from pathlib import Path
from types import TracebackType

PORT = 53  # a resolv.conf can name no other
HOST_ADDRESS, INTERNET = 1, 1  # type and class of a record
SWITCH = "hosts: files dns\n"
PATIENT = "options timeout:30 attempts:5\n"
# $0 and $1 are put over the system's files, for the command alone.
MOUNT = 'mount --bind "$0" /etc/resolv.conf && mount --bind "$1" /etc/nsswitch.conf && shift && exec "$@"'


class NameServer:
    """A context manager; `under` is a command that becomes the one it is given, which asks this server for names."""

    def __init__(self, folder: Path) -> None:
        self.asked: list[tuple[str, int]] = []  # name, and type of record
        self._known: dict[str, str] = {}
        self._waiting: list[tuple[bytes, object]] = []
        self._guard = threading.Lock()
        self._ending = threading.Event()
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.settimeout(0.1)
        address = f"127.{random.randrange(1, 255)}.{random.randrange(256)}.{random.randrange(1, 255)}"
        self._socket.bind((address, PORT))
        self._thread = threading.Thread(target=self._serve, daemon=True)
        for name, text in (("resolv.conf", f"nameserver {address}\n{PATIENT}"), ("nsswitch.conf", SWITCH)):
            (folder / name).write_text(text)
        self.under = ("unshare", "-m", "sh", "-c", MOUNT, str(folder / "resolv.conf"), str(folder / "nsswitch.conf"))

    def __enter__(self) -> NameServer:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ending.set()
        self._thread.join()
        self._socket.close()

    def answer(self, name: str, address: str) -> None:
        """Answer from now on, and what has been asked before, that `name` has `address`."""
        with self._guard:
            self._known[name] = address
            for question, whom in self._waiting:
                self._reply(question, whom)

    def _serve(self) -> None:
        while not self._ending.is_set():
            try:
                question, whom = self._socket.recvfrom(512)
            except TimeoutError:
                continue
            with self._guard:
                self.asked.append(_asked(question))
                self._waiting.append((question, whom))
                self._reply(question, whom)

    def _reply(self, question: bytes, whom: object) -> None:
        name, _ = _asked(question)
        if name in self._known:
            self._socket.sendto(_reply(question, self._known[name]), whom)  # type: ignore[arg-type]


def can_serve(folder: Path) -> bool:
    """Whether we may give a program a name server of its own: it takes a port and a mount that are root's."""
    if os.geteuid() or not shutil.which("unshare"):
        return False
    with NameServer(folder) as server:
        return subprocess.run([*server.under, "true"], capture_output=True, check=False).returncode == 0


def _end(question: bytes) -> int:
    """Where a question ends: after the labels, an empty one, type and class."""
    return question.index(0, 12) + 5


def _asked(question: bytes) -> tuple[str, int]:
    labels, at = [], 12
    while n := question[at]:
        labels.append(question[at + 1 : at + 1 + n].decode())
        at += 1 + n
    return ".".join(labels), int.from_bytes(question[at + 1 : at + 3], "big")


def _reply(question: bytes, address: str) -> bytes:
    """Answer with the one address, or, to another type of question, with none."""
    ours = _asked(question)[1] == HOST_ADDRESS
    record = struct.pack(">HHHIH4s", 0xC00C, HOST_ADDRESS, INTERNET, 0, 4, socket.inet_aton(address))
    head = question[:2] + struct.pack(">HHHHH", 0x8180, 1, int(ours), 0, 0)
    return head + question[12 : _end(question)] + (record if ours else b"")
