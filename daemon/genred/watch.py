"""Watch: what a daemon elsewhere says of itself, on this terminal."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from .gathering import Gathering
from .messages import Event, counted, plain
from .signals import asked_to_end
from .snapshot import Snapshot, describe, is_trouble
from .subscriber import REMEDY, REMEDY_UNREADABLE, Subscriber

log = logging.getLogger(__name__)

TICK_S = 0.1

Show = Callable[[Snapshot], bool]


def watch(endpoint: str, show: Show, key: str = "", server_key: str = "") -> None:
    """Show what the daemon at `endpoint` says, or that there is none, until a signal or until `show` asks for the end.

    Raises
    ------
    ConfigError
        If `endpoint` is not one, or a key file cannot be used.
    """
    stop = threading.Event()
    with asked_to_end(stop), Subscriber(endpoint, key=key, server_key=server_key) as subscriber:
        gathering = Gathering(endpoint, time.monotonic())
        answered: bool | None = None
        while not stop.is_set():
            _receive(subscriber, gathering)
            now_s = time.monotonic()
            if (answers := gathering.answers(now_s)) not in (None, answered):
                answered = answers
                _tell(gathering, now_s)
            if show(gathering.snapshot(now_s)):
                return


def _receive(subscriber: Subscriber, gathering: Gathering) -> None:
    """Take messages for TICK_S, or the rest of it if there are none."""
    end_s = time.monotonic() + TICK_S
    while (left_s := end_s - time.monotonic()) > 0 and (message := subscriber.receive(left_s)) is not None:
        gathering.heed(message, time.monotonic())
        if isinstance(message, Event):
            log.log(logging.WARNING if is_trouble(message) else logging.INFO, "%s", plain(describe(message)))
    gathering.obstacle, gathering.refusal = subscriber.obstacle, subscriber.refusal


def _tell(gathering: Gathering, now_s: float) -> None:
    """Log that a daemon begins to answer, or does so no more."""
    hello, remark = gathering.hello, gathering.remark(now_s)
    if gathering.refusal:
        log.warning("%s", remark)
    elif remark or hello is None:
        log.warning("%s; %s", remark, REMEDY_UNREADABLE if gathering.obstacle else REMEDY)
    else:
        stations = counted(len(hello.stations), "station")
        log.info("genred %s answers at %s with %s", plain(hello.daemon), gathering.endpoint, stations)
