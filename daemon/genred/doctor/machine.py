"""Checks of what genred stands on: Python, packages, the endpoint, the terminal."""

from __future__ import annotations

import codecs
import importlib
import platform
import sys
from collections.abc import Iterable
from importlib import metadata

from rich.console import Console

from .. import __version__, config
from ..clock import UtcClock
from ..errors import ConfigError
from ..messages import Hello
from ..publisher import Publisher
from ..subscriber import FIRST_ANSWER_S, Subscriber
from .finding import Finding, failed

LEAST_PYTHON = (3, 11)
LEAST_TERMINAL = (80, 24)  # columns, lines
PACKAGES = (
    "numpy",
    "onnxruntime",
    "av",
    "pyzmq",
    "msgspec",
    "rich",
    "click",
    "soxr",
    "sounddevice",
    "prometheus-client",
)
LIBRARIES = {"av": ("FFmpeg", "av", "ffmpeg_version_info"), "pyzmq": ("libzmq", "zmq", "zmq_version")}


def check_python(version: tuple[int, ...] = sys.version_info[:3]) -> Iterable[Finding]:
    """Python is new enough."""
    number = ".".join(map(str, version))
    text = f"{number}, {platform.system()} {platform.release()}, {platform.machine()}"
    if version < LEAST_PYTHON:
        return [Finding("python", "fault", text, f"install Python {'.'.join(map(str, LEAST_PYTHON))} or newer")]
    return [Finding("python", "ok", text)]


def check_versions(packages: Iterable[str] = PACKAGES) -> Iterable[Finding]:
    """Every package is there; PortAudio's own version is with the sound."""
    versions = {package: _version(package) for package in packages}
    text = ", ".join([f"genred {__version__}", *(f"{name} {version}" for name, version in versions.items() if version)])
    missing = [name for name, version in versions.items() if not version]
    if missing:
        return [Finding("versions", "fault", f"without {', '.join(missing)}: {text}", "install genred again")]
    return [Finding("versions", "ok", text)]


def _version(package: str) -> str:
    """Version of `package` and of the library that comes with it; empty if it is not installed."""
    for name in (package, f"{package}-gpu"):
        try:
            return metadata.version(name) + _library(package)
        except metadata.PackageNotFoundError:
            continue
    return ""


def _library(package: str) -> str:
    """Ask a module by its name: here it is only looked at, elsewhere it is used in one place."""
    if package not in LIBRARIES:
        return ""
    library, module, attribute = LIBRARIES[package]
    version = getattr(importlib.import_module(module), attribute)
    return f" ({library} {version() if callable(version) else version})"


def check_endpoint(bind: str) -> Iterable[Finding]:
    """The publisher itself can bind there."""
    try:
        config.check_endpoint(bind, insecure=True)
        with Publisher(bind, UtcClock()):
            return [Finding("endpoint", "ok", f"{bind} is free")]
    except ValueError as error:
        return [Finding("endpoint", "fault", str(error), f"write it like {config.DEFAULT_ENDPOINT}")]
    except ConfigError as error:
        if version := _who_answers(bind):
            text = f"{bind} is in use: genred {version} answers there"
            return [Finding("endpoint", "warning", text, "stop it, or give the next one another --bind")]
        return [failed("endpoint", "fault", error)]


def _who_answers(endpoint: str) -> str:
    """Version of the genred that publishes at `endpoint`; empty if none does."""
    with Subscriber(endpoint, ["hello"]) as subscriber:
        message = subscriber.receive(FIRST_ANSWER_S)
    return message.daemon if isinstance(message, Hello) else ""


def check_terminal(console: Console) -> Iterable[Finding]:
    """The dashboard can be drawn, and names can be written."""
    text = f"{console.width}x{console.height}, colours: {console.color_system or 'none'}, {console.encoding}"
    if codecs.lookup(console.encoding).name != "utf-8":
        return [Finding("terminal", "warning", text, "set LANG=C.UTF-8: names and bars need UTF-8")]
    if not console.is_terminal:
        return [Finding("terminal", "ok", f"none, so plain lines are written, {console.encoding}")]
    if console.width < LEAST_TERMINAL[0] or console.height < LEAST_TERMINAL[1]:
        return [Finding("terminal", "warning", text, f"enlarge it to {LEAST_TERMINAL[0]}x{LEAST_TERMINAL[1]}")]
    return [Finding("terminal", "ok", text)]
