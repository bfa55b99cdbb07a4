"""Configuration: frozen, strict records, from TOML and from the command line, which wins."""

from __future__ import annotations

import errno
import os
import stat
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

from .errors import ConfigError

DEFAULT_ENDPOINT = "tcp://127.0.0.1:5557"
Name = Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9_-]{1,64}\Z")]


class StationConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One ``[[station]]``: its name and the URI of its source."""

    name: Name
    uri: str


class Config(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="kebab"):
    """All settings of ``genred run``.

    Attributes
    ----------
    station : tuple of StationConfig
    bind : str
        ``tcp://HOST:PORT`` or ``ipc://PATH``.
    model : str
        ONNX file; empty for the one that comes with genred.
    provider : str
    threads : int or None
        Of the model; None for as many as pay.
    hop : int
        Frames between two windows.
    require : float or None
        Seconds that a station may be lost before the daemon gives up with exit code 3.
    log_level : str
    dashboard : bool
        Show the dashboard where there is a terminal.
    insecure : bool
        Allow `bind` to an address that others can reach.
    """

    station: tuple[StationConfig, ...] = ()
    bind: str = DEFAULT_ENDPOINT
    model: str = ""
    provider: Literal["auto", "cuda", "cpu"] = "auto"
    threads: Annotated[int, msgspec.Meta(ge=1, le=1024)] | None = None
    hop: Annotated[int, msgspec.Meta(ge=1, le=100_000)] = 40
    require: Annotated[float, msgspec.Meta(gt=0)] | None = None
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    dashboard: bool = True
    insecure: bool = False

    def __post_init__(self) -> None:
        names = [station.name for station in self.station]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"the station name {name!r} is there {names.count(name)} times; names must be unique")
        check_endpoint(self.bind, insecure=self.insecure)


def load(path: Path | None, overrides: dict[str, Any]) -> Config:
    """Read `path`, if any, and lay `overrides` over it.

    Raises
    ------
    ConfigError
        With the path of the key that is wrong, as in ``$.station[0].name``, and the file where it is not an override.
    """
    settings = _read(path) if path else {}
    try:
        return msgspec.convert(settings | overrides, Config)
    except (msgspec.ValidationError, ValueError, OverflowError) as error:
        where = f"{path}: " if path and str(error) != _mistake(overrides) else ""
        raise ConfigError(f"{where}{error}") from error


def _mistake(settings: dict[str, Any]) -> str:
    """What is wrong with `settings` taken alone; empty if nothing is."""
    try:
        msgspec.convert(settings, Config)
    except (msgspec.ValidationError, ValueError, OverflowError) as error:
        return str(error)
    return ""


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(_content(path).decode())
    except OSError as error:
        raise ConfigError(f"cannot read the configuration {path}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:  # also of numbers too long, and lists too deep, for Python
        raise ConfigError(f"the configuration {path} is not TOML: {error}") from error


def _content(path: Path) -> bytes:
    """Content of `path`; never waits for it, as one would for a named pipe.

    Raises
    ------
    OSError
        Also for a name that no file can have, and for what is no file.
    """
    try:
        mode = path.stat().st_mode
    except ValueError as error:
        raise OSError(errno.EINVAL, "No file can have that name") from error
    if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
        raise OSError(errno.EINVAL, "Not a regular file")
    return path.read_bytes()


def check_endpoint(endpoint: str, *, insecure: bool) -> None:
    """Refuse endpoints that genred cannot serve, or that would open it to others without being asked.

    Raises
    ------
    ValueError
    """
    if "\0" in endpoint or not _is_utf8(endpoint):
        raise ValueError(f"bind {endpoint!r} has characters that no endpoint can have")
    scheme, _, address = endpoint.partition("://")
    if scheme == "ipc" and address and address != "*":  # that is a path of libzmq's choice, which nobody would know
        folder = os.path.dirname(address) or "."  # noqa: PTH120 - an ipc address need not be a path
        if not address.startswith("@") and not os.access(folder, os.W_OK):
            raise ValueError(f"bind {endpoint!r}: {folder} is not a folder that can be written to")
        return
    host, colon, port = address.rpartition(":")
    if scheme != "tcp" or not colon or not port.isdecimal() or not port.isascii() or not 0 < int(port) < 65536:
        raise ValueError(f"bind {endpoint!r} is neither tcp://HOST:PORT nor ipc://PATH")
    if host not in ("127.0.0.1", "localhost", "[::1]") and not insecure:
        raise ValueError(
            f"bind {endpoint!r} would let anyone on the network read;"
            " bind to 127.0.0.1, or say --insecure if that is meant"
        )


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
