"""Door: who may subscribe to a daemon that has keys.

Libzmq asks (ZAP, RFC 27) whether the owner of a public key may come in, at a socket of the same context; here is who
answers. Who is refused is left waiting (300) rather than sent away (400): a libzmq that is sent away never tries again.
One that waits is cut off after HANDSHAKE_MS and comes again, so a key that is allowed later needs no restart on either
side.
"""

from __future__ import annotations

import errno
import logging
import os
import stat
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import zmq
from zmq.utils import z85

from .errors import ConfigError
from .keys import PUBLIC, KeyPair, read_pair, read_public
from .messages import plain

log = logging.getLogger(__name__)

ADDRESS = "inproc://zeromq.zap.01"
DOMAIN = b"genred"
LOOK_S = 1.0  # between two looks at the folder
HANDSHAKE_MS = 5000  # a peer is cut off that has not come in by then
TELL_AGAIN_S = 3600.0  # a refused key is told of once in this,
MOST_TOLD = 100  # and no more than so many


@dataclass(frozen=True)
class Lock:
    """What a daemon keeps its door with: its own keys, and the folder of the public keys of those who may subscribe."""

    own: KeyPair
    folder: Path


def open_lock(key: str, allow: str) -> Lock | None:
    """Lock of the secret file `key` and the folder `allow`; None where none is given.

    Raises
    ------
    ConfigError
    """
    if not key:
        return None
    check_folder(Path(allow))
    return Lock(read_pair(Path(key)), Path(allow))


def check_folder(folder: Path) -> None:
    """Refuse what is no folder of allowed keys, or one in which others could allow themselves.

    Raises
    ------
    ConfigError
    """
    try:
        os.scandir(folder).close()
        mode = folder.stat().st_mode
    except OSError as error:
        raise ConfigError(f"cannot read the folder of allowed keys {folder}: {error.strerror}") from error
    except ValueError as error:
        raise ConfigError(f"cannot read the folder of allowed keys {folder}: No file can have that name") from error
    if mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise ConfigError(f"the folder of allowed keys {folder} can be written to by others; chmod go-w {folder}")


class Door:
    """The socket at which libzmq asks; belongs to one thread, which opens it before it binds the endpoint.

    Parameters
    ----------
    context : zmq.Context
        Of the endpoint's socket.
    lock : Lock

    Attributes
    ----------
    socket : zmq.Socket
        To be polled; `answer` when something has come.
    refused : int
        Times that somebody was not let in.
    """

    def __init__(self, context: zmq.Context[zmq.Socket[bytes]], lock: Lock) -> None:
        self.refused = 0
        self._own = lock.own
        self._allowed = AllowedKeys(lock.folder)
        self._look_s = time.monotonic() + LOOK_S
        self._told: dict[bytes, float] = {}  # key -> when
        self.socket = context.socket(zmq.REP)
        self.socket.setsockopt(zmq.LINGER, 0)
        self.socket.bind(ADDRESS)

    def guard(self, endpoint: zmq.Socket[bytes]) -> None:
        """Let nobody in at `endpoint`, which is not bound yet, without asking here."""
        endpoint.setsockopt(zmq.CURVE_SERVER, 1)
        endpoint.setsockopt(zmq.CURVE_SECRETKEY, self._own.secret)
        endpoint.setsockopt(zmq.ZAP_DOMAIN, DOMAIN)
        endpoint.setsockopt(zmq.ZAP_ENFORCE_DOMAIN, 1)  # else everybody comes in while nobody answers here
        endpoint.setsockopt(zmq.HANDSHAKE_IVL, HANDSHAKE_MS)

    def answer(self) -> None:
        """Answer one question."""
        version, request, domain, address, _identity, mechanism, *credentials = self.socket.recv_multipart()
        good = (version, domain, mechanism, len(credentials)) == (b"1.0", DOMAIN, b"CURVE", 1)
        key = z85.encode(credentials[0]) if good else b""
        if key and key in self._allowed:
            self.socket.send_multipart([b"1.0", request, b"200", b"OK", key, b""])
            return
        self.refused += 1
        self._tell_refused(key, address)
        self.socket.send_multipart([b"1.0", request, b"300", b"not allowed", b"", b""])

    def revoked(self) -> bool:
        """Look at the folder, if it is time; say whether a key was taken out, whose owner may still be inside."""
        if time.monotonic() < self._look_s:
            return False
        self._look_s = time.monotonic() + LOOK_S
        self._allowed.look()
        return self._allowed.take_revoked()

    def close(self) -> None:
        """Close the socket, in the thread that opened it."""
        self.socket.close()

    def _tell_refused(self, key: bytes, address: bytes) -> None:
        """Log whom nobody knows; once, and of no more than so many, for they may try for ever, with ever new keys."""
        now_s = time.monotonic()
        self._told = {key: told_s for key, told_s in self._told.items() if now_s < told_s + TELL_AGAIN_S}
        if key in self._told or len(self._told) >= MOST_TOLD:
            return
        self._told[key] = now_s
        log.warning(
            "a subscriber at %s is refused: its key %s is not allowed",
            plain(address.decode(errors="replace")),
            key.decode(),
        )


@dataclass(frozen=True)
class _Entry:
    """A public key file as it was read; `key` is None if it cannot be used."""

    sign: tuple[int, ...]
    key: bytes | None


class AllowedKeys:
    """The keys in the ``*.public`` files of a folder, as they are there now.

    A folder that is gone allows nobody. One that cannot be read at the moment, as when the process has too many open
    files, allows whom it did: that is no reason to send everybody away.

    Parameters
    ----------
    folder : Path
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._entries: dict[str, _Entry] = {}
        self._keys: frozenset[bytes] = frozenset()
        self._revoked = False
        self._changed_ns = 0
        self._complaint = ""
        self.look()

    def __contains__(self, key: bytes) -> bool:
        """Whether `key`, as Z85, is allowed; for one that is not, the folder is looked at again if it has changed."""
        if key not in self._keys and self._folder_changed_ns() != self._changed_ns:
            self.look()
        return key in self._keys

    def take_revoked(self) -> bool:
        """Whether a key has been taken out since this was last asked."""
        revoked, self._revoked = self._revoked, False
        return revoked

    def look(self) -> None:
        """Look at the folder."""
        self._changed_ns = self._folder_changed_ns()
        try:
            found = list(_public_files(self._folder))
        except (FileNotFoundError, NotADirectoryError):
            found = []
            self._complain("is gone; nobody may subscribe")
        except OSError as error:
            self._complain(f"cannot be read ({error.strerror}); the keys that were allowed still are")
            return
        else:
            self._complain("" if found else f"has no {PUBLIC} file; nobody may subscribe")
        self._entries = {file.name: self._entry(file) for file in found}
        before, self._keys = self._keys, frozenset(entry.key for entry in self._entries.values() if entry.key)
        self._revoked = self._revoked or bool(before - self._keys)

    def _entry(self, file: os.DirEntry[str]) -> _Entry:
        """What is in `file`; it is read when it has changed."""
        before = self._entries.get(file.name)
        try:
            status = file.stat()
        except OSError:  # it has gone since, or leads nowhere
            return _Entry((), None)
        sign = (status.st_ino, status.st_mtime_ns, status.st_ctime_ns, status.st_size)
        if before is not None and before.sign == sign:
            return before
        try:
            return _Entry(sign, read_public(Path(file.path)))
        except ConfigError as error:
            if before is None or before.sign:  # else it has been told
                log.error("%s; it is not allowed", plain(str(error)))
            return _Entry(() if _lacks_descriptors(error) else sign, None)

    def _complain(self, what: str) -> None:
        """Log what is wrong with the folder, once while it is so."""
        if what and what != self._complaint:
            log.error("the folder of allowed keys %s %s", plain(str(self._folder)), what)
        self._complaint = what

    def _folder_changed_ns(self) -> int:
        try:
            return self._folder.stat().st_mtime_ns
        except OSError:
            return 0


def _public_files(folder: Path) -> Iterable[os.DirEntry[str]]:
    with os.scandir(folder) as files:
        yield from [file for file in files if file.name.endswith(PUBLIC) and not file.name.startswith(".")]


def _lacks_descriptors(error: ConfigError) -> bool:
    """Whether it may be readable in a moment."""
    return isinstance(error.__cause__, OSError) and error.__cause__.errno in (errno.EMFILE, errno.ENFILE)
