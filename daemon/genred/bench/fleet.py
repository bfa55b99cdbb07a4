"""Fleet: a whole daemon with N stations that play MP3 in real time, and the naive loop with as many.

The daemon is a process of its own, started as a user starts it, and bound to the cores it is to have; this process only
subscribes. The daemon's CPU time is what the system says of its process, so it has the sources, the decoding and the
publishing in it.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import msgspec

from ..errors import GenredError
from ..messages import Status
from ..subscriber import Subscriber
from .process import Spent, daemon, is_whole, on_cores, one_thread
from .rounds import quantile
from .stations import Stations

SETTLED_S = 3.0  # without a late window: what the servers sent as a burst has been worked off
FIRST_WINDOWS_S = 90.0  # longer than any model's window, and than a machine at its limit takes


class Trial(msgspec.Struct, frozen=True, kw_only=True):
    """What `stations` stations cost.

    Attributes
    ----------
    cpu_ms : float
        CPU milliseconds for a second of one station.
    p50_ms, p99_ms, max_ms : float
        Latency: from the block that completed a window to the send.
    windows, skipped : int
    memory_mb : float or None
    keeps_up : bool
        p99 is under half a hop, and nothing is skipped.
    """

    stations: int
    cpu_ms: float
    p50_ms: float
    p99_ms: float
    max_ms: float
    windows: int
    skipped: int
    memory_mb: float | None = None
    keeps_up: bool


class Growth(msgspec.Struct, frozen=True):
    """Trials with more and more stations; the limit is the most that kept up."""

    name: str
    cores: int
    trials: tuple[Trial, ...]

    @property
    def limit(self) -> int:
        """Most stations that were kept up with; 0 for none."""
        return max((trial.stations for trial in self.trials if trial.keeps_up), default=0)


def trial(n: int, cost: tuple[float, float], latencies_ms: list[float], skipped: int, hop_s: float) -> Trial:
    """Record of a trial that took `cost`: CPU seconds and seconds."""
    cpu_s, elapsed_s = cost
    p99_ms = quantile(latencies_ms, 0.99)
    return Trial(
        stations=n,
        cpu_ms=1000 * cpu_s / elapsed_s / n,
        p50_ms=quantile(latencies_ms, 0.5),
        p99_ms=p99_ms,
        max_ms=max(latencies_ms, default=0.0),
        windows=len(latencies_ms),
        skipped=skipped,
        keeps_up=bool(latencies_ms) and not skipped and p99_ms < 500 * hop_s,
    )


def grow(attempt: Callable[[int], Trial], numbers: Sequence[int], tries: int, attempts: int = 2) -> Iterator[Trial]:
    """Try the growing `numbers` until one is too many; then `tries` more between that and the last that was not.

    Too many is what was so in all `attempts`: once, it may have been another's work on the machine.
    """
    most, too_many = 0, 0
    for n in numbers:
        yield (made := _attempted(attempt, n, attempts))
        if not made.keeps_up:
            too_many = n
            break
        most = n
    for _ in range(tries if too_many else 0):
        n = (most + too_many) // 2
        if n in (most, 0):
            break
        yield (made := _attempted(attempt, n, attempts))
        most, too_many = (n, too_many) if made.keeps_up else (most, n)


def _attempted(attempt: Callable[[int], Trial], n: int, attempts: int) -> Trial:
    """Attempt `n`, and again while that was too many."""
    made = attempt(n)
    return made if made.keeps_up or attempts == 1 else _attempted(attempt, n, attempts - 1)


class Fleet:
    """Daemons to be tried.

    Parameters
    ----------
    stations : Stations
    options : sequence of str
        For ``genred run``.
    folder : Path
        Of the endpoint.
    hop_s : float
    window : int
        Samples in a whole one.
    settle_s : float
        The most that is waited, after everybody's first window, until no window is late; a daemon that is late then
        will be so always.
    """

    def __init__(
        self, stations: Stations, options: Sequence[str], folder: Path, hop_s: float, window: int, settle_s: float
    ) -> None:
        self._stations, self._options, self._hop_s, self._window = stations, options, hop_s, window
        self._settle_s = settle_s
        self._endpoint = f"ipc://{folder}/fleet"

    def attempt(self, n: int, seconds: float, cores: set[int]) -> Trial:
        """Run a daemon with `n` stations, and measure it for `seconds` once all have had their first window."""
        sources = [f"s{number}={self._stations.uri(number)}" for number in range(n)]
        with (
            daemon([*self._options, *sources], cores, self._endpoint) as pid,
            Subscriber(self._endpoint, ["estimate", "status"]) as subscriber,
        ):
            _await_first(subscriber, n, self._window)
            self._settle(subscriber)
            spent = Spent(pid)
            skipped, latencies_ms = _listen(subscriber, seconds, self._window)
            made = trial(n, spent.cost(), latencies_ms, skipped, self._hop_s)
            return msgspec.structs.replace(made, memory_mb=spent.memory_mb())

    def _settle(self, subscriber: Subscriber) -> None:
        """Listen until no window has been late for a while."""
        until_s = time.monotonic() + self._settle_s
        while time.monotonic() < until_s:
            skipped, latencies_ms = _listen(subscriber, SETTLED_S, self._window)
            if not skipped and max(latencies_ms, default=0.0) < 500 * self._hop_s:
                break


def naive(n: int, seconds: float, core: int, model: Path, music: Path, hop_frames: int, hop_s: float) -> Trial:
    """Let the naive loop serve `n` stations for `seconds`.

    Raises
    ------
    GenredError
        If it does not run.
    """
    words = map(str, (model, music, n, seconds, hop_frames))
    with on_cores({core}):
        command = [sys.executable, "-m", "genretrain.naive", *words]
        run = subprocess.run(command, capture_output=True, env=one_thread(), check=False)
    if run.returncode:
        raise GenredError(f"the naive loop does not run: {run.stderr.decode().strip().rpartition(chr(10))[2]}")
    told = json.loads(run.stdout)
    return trial(n, (told["cpu_s"], told["elapsed_s"]), told["latencies_ms"], told["skipped"], hop_s)


def _await_first(subscriber: Subscriber, n: int, window: int) -> None:
    """Wait until `n` stations have had a window of `window` samples.

    Raises
    ------
    GenredError
        If they have not in FIRST_WINDOWS_S.
    """
    heard: set[str] = set()
    until_s = time.monotonic() + FIRST_WINDOWS_S
    while len(heard) < n:
        message = subscriber.receive(max(until_s - time.monotonic(), 0.0))
        if message is None:
            raise GenredError(f"only {len(heard)} of {n} stations had an answer within {FIRST_WINDOWS_S:g} s")
        if is_whole(message, window):
            heard.add(str(message.station))


def _listen(subscriber: Subscriber, seconds: float, window: int) -> tuple[int, list[float]]:
    """Windows skipped within `seconds`, by the statuses, and the latencies of those that were not."""
    first: dict[str, int] = {}
    last: dict[str, int] = {}
    latencies_ms: list[float] = []
    until_s = time.monotonic() + seconds
    while message := subscriber.receive(max(until_s - time.monotonic(), 0.0)):
        if isinstance(message, Status):
            first.setdefault(str(message.station), message.total.skipped)
            last[str(message.station)] = message.total.skipped
        elif is_whole(message, window):
            latencies_ms.append(message.latency_ms)
        if time.monotonic() >= until_s:
            break
    return sum(last[name] - first[name] for name in last), latencies_ms
