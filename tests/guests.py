"""Key files, as ``genred keygen`` writes them, of a daemon and of those who may subscribe."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import zmq

from conftest import genred
from genred.keys import read_pair, read_public


@dataclass(frozen=True)
class Guest:
    """Who subscribes: with keys or, where the daemon has none, without."""

    keys: dict[str, Path]

    def enter(self, socket: zmq.Socket[bytes], endpoint: str) -> None:
        """Connect a bare socket."""
        socket.setsockopt(zmq.LINGER, 0)
        if self.keys:
            own = read_pair(self.keys["key"])
            socket.setsockopt(zmq.CURVE_PUBLICKEY, own.public)
            socket.setsockopt(zmq.CURVE_SECRETKEY, own.secret)
            socket.setsockopt(zmq.CURVE_SERVERKEY, read_public(self.keys["server_key"]))
        socket.connect(endpoint)


class Keys:
    """Key files as ``genred keygen`` writes them, and the daemon's folder of allowed ones."""

    def __init__(self, folder: Path) -> None:
        self._folder, self.clients = folder, folder / "clients"
        self.clients.mkdir(mode=0o755)
        self._make("daemon")
        self.options = ("--key", folder / "daemon.secret", "--allow", self.clients)

    def guest(self, name: str, *, allowed: bool = True) -> Guest:
        self._make(name)
        if allowed:
            self.allow(name)
        return Guest({"key": self._folder / f"{name}.secret", "server_key": self._folder / "daemon.public"})

    def allow(self, name: str) -> None:
        (self.clients / f"{name}.public").write_bytes((self._folder / f"{name}.public").read_bytes())

    def revoke(self, name: str) -> None:
        (self.clients / f"{name}.public").unlink()

    def _make(self, name: str) -> None:
        made = genred("keygen", self._folder / name)
        assert made.returncode == 0, made.stderr
