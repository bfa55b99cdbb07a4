"""What systemd is told (sd_notify(3)); nothing where it did not start the daemon."""

from __future__ import annotations

import os
import socket

ADDRESS = "NOTIFY_SOCKET"
WATCHDOG = "WATCHDOG_USEC"


def notify(*lines: str) -> None:
    """Send assignments such as ``READY=1`` and ``STATUS=...``."""
    address = os.environ.get(ADDRESS)
    if not address:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        try:
            channel.sendto("\n".join(lines).encode(), address.replace("@", "\0", 1) if address[0] == "@" else address)
        except OSError:
            return  # the service manager went away; that is no reason to stop listening


def watchdog_s() -> float | None:
    """How long systemd waits for a sign of life; None if it does not."""
    microseconds = os.environ.get(WATCHDOG, "")
    return int(microseconds) / 1e6 if microseconds.isdecimal() else None
