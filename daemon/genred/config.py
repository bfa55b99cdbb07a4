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
LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
Name = Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9_-]{1,64}\Z")]
Tag = Annotated[str, msgspec.Meta(pattern=r"^[^\x00-\x1f\x7f-\x9f]{1,64}\Z")]
Seconds = Annotated[float, msgspec.Meta(gt=0, le=86400)]


class Thresholds(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="kebab"):
    """From when on something is wrong with a station's signal; all measured before the gain.

    Attributes
    ----------
    silence_dbfs : float
        What is quieter than this for `silence_s` is silence; what is `hysteresis_db` louder ends it. The default lies
        50 dB, which microphones lie below mastered music, under quiet pieces of about -30 dBFS; the noise of 16 bits
        lies at -98.
    silence_s, hysteresis_db : float
    frozen_s : float
        A signal of one constant value for so long is digital silence, if that value is 0, or else frozen.
    clipped_percent : float
        Of the samples of a second, at full scale: clipping.
    dc_percent : float
        Of full scale, the mean of the signal to one side for DC_S seconds.
    dead_channel_s : float
        A channel is silent for so long while another sounds.
    """

    silence_dbfs: Annotated[float, msgspec.Meta(ge=-115, le=0)] = -80.0
    silence_s: Seconds = 3.0
    hysteresis_db: Annotated[float, msgspec.Meta(ge=0, le=60)] = 3.0
    frozen_s: Seconds = 3.0
    clipped_percent: Annotated[float, msgspec.Meta(gt=0, le=100)] = 1.0
    dc_percent: Annotated[float, msgspec.Meta(gt=0, le=100)] = 2.0
    dead_channel_s: Seconds = 10.0


THRESHOLDS = Thresholds()


class StationConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One ``[[station]]``.

    Attributes
    ----------
    name : str
    uri : str
        Of its source.
    tags : tuple of str
        Words for subscribers to sort stations by.
    signal : Thresholds
        What it does not say is as in ``[signal]``, for all stations.
    required : bool
        All is well only while it runs: for `/healthz`, and for `Config.require`.
    """

    name: Name
    uri: str
    tags: tuple[Tag, ...] = ()
    signal: Thresholds = THRESHOLDS
    required: bool = True


class Config(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="kebab"):
    """All settings of ``genred run``.

    Attributes
    ----------
    station : tuple of StationConfig
    signal : Thresholds
        Of every station, where it does not have its own.
    bind : str
        ``tcp://HOST:PORT`` or ``ipc://PATH``.
    model : str
        ONNX file, or the name of one that comes with genred; empty for the default one.
    provider : str
    threads : int or None
        Of the model; None for as many as pay.
    processes : int or None
        That stations are dealt out to; None for as many as pay.
    hop : int
        Frames between two windows.
    require : float or None
        Seconds that a required station may be absent before the daemon gives up with exit code 3.
    ready : float
        Seconds after which systemd is told that the service is ready, whatever is missing.
    log_level : str
    dashboard : bool
        Show the dashboard where there is a terminal.
    insecure : bool
        Allow `bind` without keys, and `metrics`, at an address that others can reach, and anyone can read.
    key : str
        Secret key file of the daemon, as ``genred keygen`` writes it; empty for no keys.
    allow : str
        Folder of the public keys of those who may subscribe; goes with `key`.
    metrics : str
        ``[HOST:]PORT`` where Prometheus may read; empty for nowhere.
    """

    station: tuple[StationConfig, ...] = ()
    signal: Thresholds = THRESHOLDS
    bind: str = DEFAULT_ENDPOINT
    model: str = ""
    provider: Literal["auto", "cuda", "cpu"] = "auto"
    threads: Annotated[int, msgspec.Meta(ge=1, le=1024)] | None = None
    processes: Annotated[int, msgspec.Meta(ge=1, le=256)] | None = None
    hop: Annotated[int, msgspec.Meta(ge=1, le=100_000)] = 40
    require: Annotated[float, msgspec.Meta(gt=0)] | None = None
    ready: Annotated[float, msgspec.Meta(gt=0, le=3600)] = 60.0
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    dashboard: bool = True
    insecure: bool = False
    key: str = ""
    allow: str = ""
    metrics: str = ""

    def __post_init__(self) -> None:
        names = [station.name for station in self.station]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"the station name {name!r} is there {names.count(name)} times; names must be unique")
        if bool(self.key) != bool(self.allow):
            raise ValueError("key and allow go together: the daemon's secret key, and the folder of who may subscribe")
        check_endpoint(self.bind, insecure=self.insecure or bool(self.key))
        if self.metrics:
            check_metrics(self.metrics, insecure=self.insecure)


def load(path: Path | None, overrides: dict[str, Any]) -> Config:
    """Read `path`, if any, and lay `overrides` over it.

    Raises
    ------
    ConfigError
        With the path of the key that is wrong, as in ``$.station[0].name``, and the file where it is not an override.
    """
    settings = _read(path) if path else {}
    try:
        return msgspec.convert(_with_common_thresholds(settings | overrides), Config)
    except (msgspec.ValidationError, ValueError, OverflowError) as error:
        where = f"{path}: " if path and str(error) != _mistake(overrides) else ""
        raise ConfigError(f"{where}{error}") from error


def _with_common_thresholds(settings: dict[str, Any]) -> dict[str, Any]:
    """Give each station what ``[signal]`` says and it does not; what is of a wrong type stays, and is told of."""
    common, stations = settings.get("signal"), settings.get("station")
    if not isinstance(common, dict) or not isinstance(stations, list):
        return settings
    return settings | {"station": [_with_thresholds(station, common) for station in stations]}


def _with_thresholds(station: Any, common: dict[str, Any]) -> Any:
    if not isinstance(station, dict) or not isinstance(own := station.get("signal", {}), dict):
        return station
    return station | {"signal": common | own}


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
    if scheme != "tcp" or not colon or not _is_port(port):
        raise ValueError(f"bind {endpoint!r} is neither tcp://HOST:PORT nor ipc://PATH")
    if host not in LOOPBACK and not insecure:
        raise ValueError(
            f"bind {endpoint!r} would let anyone on the network read;"
            " give it keys (genred keygen), bind to 127.0.0.1, or say --insecure if that is meant"
        )


def check_metrics(text: str, *, insecure: bool) -> None:
    """Refuse what is no ``[HOST:]PORT``, or would open the figures to others without being asked.

    Raises
    ------
    ValueError
    """
    host, port = host_and_port(text)
    if not host or not host.isprintable() or not _is_utf8(host) or not _is_port(port):
        raise ValueError(f"metrics {text!r} is neither PORT nor HOST:PORT")
    if host not in LOOPBACK and not insecure:
        raise ValueError(
            f"metrics {text!r} would let anyone on the network read; say 127.0.0.1, or --insecure if that is meant"
        )


def host_and_port(metrics: str) -> tuple[str, str]:
    """Host and port of `Config.metrics`; without a host it is this machine alone."""
    host, colon, port = metrics.rpartition(":")
    return (host, port) if colon else (LOOPBACK[0], port)


def _is_port(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) < 6 and 0 < int(text) < 65536


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
