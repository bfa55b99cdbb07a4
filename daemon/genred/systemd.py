"""What systemd is told (sd_notify(3)); nothing where it did not start the daemon."""

from __future__ import annotations

import os
import socket
from contextlib import suppress
from functools import cache

ADDRESS = "NOTIFY_SOCKET"
WATCHDOG = "WATCHDOG_USEC"


def notify(*lines: str) -> None:
    """Send assignments such as ``READY=1`` and ``STATUS=...``."""
    address = os.environ.get(ADDRESS)
    if not address:
        return
    with suppress(OSError):  # the service manager went away; that is no reason to stop listening
        _channel().sendto("\n".join(lines).encode(), address.replace("@", "\0", 1) if address[0] == "@" else address)


@cache
def _channel() -> socket.socket:
    """Socket that is kept: when the process may open no more files, the watchdog still has to be fed."""
    return socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)


def watchdog_s() -> float | None:
    """How long systemd waits for a sign of life; None if it does not."""
    microseconds = os.environ.get(WATCHDOG, "")
    return int(microseconds) / 1e6 if microseconds.isdecimal() else None
