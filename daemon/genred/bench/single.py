"""Single: one microphone, no dashboard."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec

from ..errors import GenredError
from ..subscriber import Subscriber
from ..systemd import ADDRESS
from .process import Spent, daemon, is_whole
from .rounds import quantile

READY_S = 30.0  # a daemon that is not ready by then never will be
NEXT_S = 60.0  # for its first window


class Single(msgspec.Struct, frozen=True, kw_only=True):
    """What one microphone costs.

    Attributes
    ----------
    cpu_percent : float
        Of one core.
    memory_mb : float
        Resident.
    ready_s : float
        From the start of the process until it says that it is ready (sd_notify).
    p50_ms, p99_ms : float
        Latency.
    """

    cpu_percent: float
    memory_mb: float
    ready_s: float
    p50_ms: float
    p99_ms: float
    windows: int


class OneMicrophone:
    """A daemon that hears the default microphone."""

    def __init__(self, pid: int, ready_s: float, endpoint: str) -> None:
        self._pid, self._ready_s, self._endpoint = pid, ready_s, endpoint

    def measure(self, seconds: float, window: int) -> Single:
        """Measure it for `seconds`, from its first window of `window` samples on.

        Raises
        ------
        GenredError
            If it has none.
        """
        with Subscriber(self._endpoint, ["estimate"]) as subscriber:
            _next_window(subscriber, NEXT_S, window)
            spent, latencies_ms = Spent(self._pid), []
            until_s = time.monotonic() + seconds
            while (left_s := until_s - time.monotonic()) > 0:
                if is_whole(message := subscriber.receive(left_s), window):
                    latencies_ms.append(message.latency_ms)
            cpu_s, elapsed_s = spent.cost()
        return Single(
            cpu_percent=100 * cpu_s / elapsed_s,
            memory_mb=spent.memory_mb(),
            ready_s=self._ready_s,
            p50_ms=quantile(latencies_ms, 0.5),
            p99_ms=quantile(latencies_ms, 0.99),
            windows=len(latencies_ms),
        )


def _next_window(subscriber: Subscriber, seconds: float, window: int) -> None:
    until_s = time.monotonic() + seconds
    while message := subscriber.receive(max(until_s - time.monotonic(), 0.0)):
        if is_whole(message, window):
            return
    raise GenredError(f"the microphone had no answer within {seconds:g} s")


@contextmanager
def one_microphone(options: Sequence[str], cores: set[int], folder: Path) -> Iterator[OneMicrophone]:
    """Run a daemon for the default microphone; give it when it is ready.

    Raises
    ------
    GenredError
        If it does not get ready.
    """
    endpoint = f"ipc://{folder}/single"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        channel.bind(str(folder / "notify"))
        began_s = time.monotonic()
        with daemon([*options, "mic:"], cores, endpoint, {ADDRESS: str(folder / "notify")}) as pid:
            yield OneMicrophone(pid, _ready(channel) - began_s, endpoint)


def _ready(channel: socket.socket) -> float:
    """Monotonic time at which it says that it is ready."""
    channel.settimeout(READY_S)
    try:
        while "READY=1" not in channel.recv(4096).decode().splitlines():
            pass
    except TimeoutError as error:
        raise GenredError(f"the daemon was not ready within {READY_S:g} s") from error
    return time.monotonic()
