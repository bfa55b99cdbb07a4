"""Keys: CURVE key pairs, in files that others cannot read.

``NAME.secret`` and ``NAME.public`` are text, in the format of ZeroMQ's other tools (czmq, pyzmq)::

    curve
        public-key = "40 characters of Z85"
        secret-key = "40 characters of Z85"

with the last line in the secret file only. Here nothing is sent or received: of zmq only the arithmetic is used.
"""

from __future__ import annotations

import errno
import os
import stat
import struct
from dataclasses import dataclass, field
from pathlib import Path

import zmq
from zmq.utils import z85

from .errors import ConfigError

SECRET, PUBLIC = ".secret", ".public"
MOST_BYTES = 4096  # of a key file
_CHARACTERS = 40  # of a key, as Z85
_NOTE = {
    SECRET: "# A secret key of genred: it stays with its owner, and nobody else may read it.",
    PUBLIC: "# A public key of genred: give it to the other side.",
}


@dataclass(frozen=True)
class KeyPair:
    """A CURVE key pair, as Z85. Its text does not show the secret."""

    public: bytes
    secret: bytes = field(repr=False)


def generate(stem: Path) -> tuple[Path, Path]:
    """Draw a key pair, and write it to `stem`.secret and `stem`.public, which may not be there yet; return their paths.

    Raises
    ------
    ConfigError
    """
    _check_curve()
    pair = KeyPair(*zmq.curve_keypair())
    secret, public = _beside(stem, SECRET), _beside(stem, PUBLIC)
    _write(secret, 0o600, _text(SECRET, pair.public, pair.secret))
    try:
        _write(public, 0o644, _text(PUBLIC, pair.public))
    except ConfigError:
        secret.unlink()
        raise
    return secret, public


def read_pair(path: Path) -> KeyPair:
    """Key pair in the secret file `path`.

    Raises
    ------
    ConfigError
        Also if others may read the file.
    """
    _check_curve()
    secret = _read(path, secret=True).get("secret-key")
    if secret is None:
        raise ConfigError(f"the key file {path} holds no secret key; give the {SECRET} file that genred keygen wrote")
    try:
        return KeyPair(zmq.curve_public(secret), secret)
    except (zmq.ZMQError, ValueError) as error:
        raise ConfigError(f"the secret key in {path} is damaged; make another with genred keygen") from error


def read_public(path: Path) -> bytes:
    """Public key in `path`, as Z85.

    Raises
    ------
    ConfigError
        Also if the file holds a secret key, which is not to be passed around, or others may write it.
    """
    words = _read(path, secret=False)
    if "secret-key" in words:
        raise ConfigError(f"the key file {path} holds a secret key; give the {PUBLIC} file beside it")
    public = words.get("public-key")
    if public is None:
        raise ConfigError(f"the key file {path} holds no public key; give the {PUBLIC} file that genred keygen wrote")
    if not _is_z85(public):
        raise ConfigError(f"the public key in {path} is damaged; copy the file again")
    return public


def _beside(stem: Path, suffix: str) -> Path:
    return stem.with_name(stem.name + suffix) if stem.name else stem / suffix


def _write(path: Path, mode: int, text: str) -> None:
    """Write a file that was not there, and remove it again if that fails.

    Raises
    ------
    ConfigError
    """
    try:
        number = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    except OSError as error:
        keep = "; a key is not replaced by another" if error.errno == errno.EEXIST else ""
        raise ConfigError(f"cannot write the key file {path}: {error.strerror}{keep}") from error
    except ValueError as error:
        raise ConfigError(f"cannot write the key file {path}: No file can have that name") from error
    try:
        with os.fdopen(number, "w") as file:
            file.write(text)
    except OSError as error:
        path.unlink()
        raise ConfigError(f"cannot write the key file {path}: {error.strerror}") from error


def _text(suffix: str, public: bytes, secret: bytes | None = None) -> str:
    lines = [_NOTE[suffix], "curve", f'    public-key = "{public.decode()}"']
    lines += [f'    secret-key = "{secret.decode()}"'] if secret else []
    return "\n".join(lines) + "\n"


def _read(path: Path, *, secret: bool) -> dict[str, bytes]:
    """Words of a key file.

    Raises
    ------
    ConfigError
    """
    try:
        content = _content(path, secret=secret)
    except OSError as error:
        raise ConfigError(f"cannot read the key file {path}: {error.strerror}") from error
    except ValueError as error:
        raise ConfigError(f"cannot read the key file {path}: No file can have that name") from error
    pairs = (line.partition(b"=") for line in content.splitlines() if not line.lstrip().startswith(b"#"))
    return {key.strip().decode(errors="replace"): value.strip().strip(b"\"'") for key, _, value in pairs}


def _content(path: Path, *, secret: bool) -> bytes:
    """Content of `path`, once its permissions have been found good; never waits, as one would for a named pipe.

    Raises
    ------
    OSError, ConfigError
    """
    number = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(number, "rb") as file:
        status = os.fstat(number)
        if not stat.S_ISREG(status.st_mode):
            raise OSError(errno.EINVAL, "Not a regular file")
        mode = stat.S_IMODE(status.st_mode)
        if secret and is_open(mode, status.st_uid):
            raise ConfigError(
                f"the key file {path} can be read by others (mode {mode:04o}); chmod 600 {path},"
                " and make another key if somebody may have read this one"
            )
        if not secret and mode & (stat.S_IWGRP | stat.S_IWOTH):
            raise ConfigError(f"the key file {path} can be written by others (mode {mode:04o}); chmod go-w {path}")
        return file.read(MOST_BYTES)


def is_open(mode: int, owner: int) -> bool:
    """Whether a secret in a file of this mode and owner is none.

    What belongs to root its group may read, as PostgreSQL has it: so come the credentials that systemd hands over.
    """
    return bool(mode & (0o037 if owner == 0 else 0o077))


def _is_z85(text: bytes) -> bool:
    """Whether `text` is a key."""
    try:
        return len(text) == _CHARACTERS and z85.encode(z85.decode(text)) == text
    except (KeyError, ValueError, struct.error):
        return False


def _check_curve() -> None:
    if not zmq.has("curve"):
        raise ConfigError("this libzmq knows no CURVE, so there can be no keys; install pyzmq from PyPI")
