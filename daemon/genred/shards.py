"""Shards: the stations of a daemon, dealt out to several processes.

An interpreter runs on one core at a time, and a station costs much interpreting. So where there are more stations than
one core can hear, each core has a process with sources, worker and model of its own (`shard`)::

    shard --pipe--+
    shard --pipe--+--> Shards --> Publisher --> subscribers
    shard --pipe--+       +-----> Snapshot of all

To the rest of the daemon this is a worker. A station stays with its process; microphones are all with the first, for
PortAudio is there once in a process.
"""

from __future__ import annotations

import logging
import os
import queue
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import replace
from multiprocessing.connection import Connection, wait

import msgspec

from .clock import UtcClock
from .config import Config, StationConfig
from .crossing import Alive, Answer, End, Failed, Forgotten, Go, Item, Order, Pipe, Prepare, Sent
from .errors import ConfigError, GenredError
from .gathering import Gathering
from .load import Load
from .messages import Event, Message, Process, Status
from .publisher import Publisher
from .reports import clock_step
from .setup import Setup
from .snapshot import Snapshot, describe, is_trouble

log = logging.getLogger(__name__)

STATIONS_A_PROCESS = 64  # fewer are heard by one with less memory, and on two cores without haste
TICK_S = 0.1
LOAD_S = 1.0
END_S = 1.0
PROGRAM = "from genred.shard import main; main()"


def processes_that_pay(config: Config) -> int:
    """Processes for the stations of `config`: as many as it says, else every core where there are so many stations."""
    return config.processes or min(len(os.sched_getaffinity(0)), -(-len(config.station) // STATIONS_A_PROCESS)) or 1


def deal(stations: Sequence[StationConfig], places: Sequence[Collection[str]]) -> list[list[StationConfig]]:
    """Stations of each process: those it has in `places`, by name, and of the others as many as the rest have."""
    has = {name: number for number, names in enumerate(places) for name in names}
    parts: list[list[StationConfig]] = [[] for _ in places]
    for entry in sorted(stations, key=lambda entry: entry.name not in has):  # those first that have their place
        emptiest = min(range(len(parts)), key=lambda number: len(parts[number]))
        parts[has.get(entry.name, 0 if entry.uri.startswith("mic:") else emptiest)].append(entry)
    return parts


class Shards:
    """See the module; what others ask of a Worker they may ask of this.

    Parameters
    ----------
    setup : Setup
        What all of them are to do. Its own stations are never started.
    processes : int
    publisher : Publisher
    utc : UtcClock

    Attributes
    ----------
    snapshot : Snapshot
    error : BaseException or None
        Why it cannot go on: one of the processes has ended.
    """

    def __init__(self, setup: Setup, processes: int, publisher: Publisher, utc: UtcClock) -> None:
        self.error: BaseException | None = None
        self._publisher, self._utc = publisher, utc
        self._setup = setup
        self._next: Setup | None = None  # that all are asked to go by; what is said under it waits for the last one
        self._gathering = Gathering(publisher.endpoint, time.monotonic())
        self._gathering.heed(setup.hello, time.monotonic())
        self.snapshot = Snapshot(setup.hello, publisher.endpoint)
        self._shards = [_Shard(number) for number in range(processes)]
        self._load = Load()
        self._process_due_s = 0.0
        self._process: Process | None = None
        self._remark = ""
        self._thread = threading.Thread(target=self._run, name="shards", daemon=True)

    @property
    def alive_s(self) -> float:
        """When each of them had last finished a round."""
        return min(shard.alive_s for shard in self._shards)

    def start(self) -> None:
        """Start the processes, and wait until each has its model.

        Raises
        ------
        GenredError
            If one of them cannot do what all are to do.
        """
        self._thread.start()
        self._prepare(self._setup.config)
        self._ask([Go()] * len(self._shards))

    def end(self, timeout_s: float) -> None:
        """Ask them to end and wait, but not for ever."""
        for shard in self._shards:
            shard.order(End())
        self._thread.join(timeout_s)
        for shard in self._shards:
            shard.close()

    def take(self, setup: Setup) -> None:
        """Let all go by another setup, or none.

        Raises
        ------
        GenredError
            If one of them cannot.
        """
        self._prepare(setup.config)
        self._next = setup
        self._ask([Go()] * len(self._shards))

    def _prepare(self, config: Config) -> None:
        """Let each make its part of what `config` asks for."""
        parts = deal(config.station, [shard.stations for shard in self._shards])
        for shard, part in zip(self._shards, parts, strict=True):
            shard.stations |= {entry.name for entry in part}  # for good: who comes back has its epochs there
        self._ask([Prepare(_part(config, part)) for part in parts])

    def _ask(self, orders: Sequence[Order]) -> None:
        """Give each its order, and wait until all have carried theirs out."""
        for shard, order in zip(self._shards, orders, strict=True):
            shard.order(order)
        for refusal in [shard.answer() for shard in self._shards]:
            if refusal:
                raise ConfigError(refusal)

    def _run(self) -> None:
        try:
            while pipes := {shard.pipe: shard for shard in self._shards if not shard.over}:
                for pipe in wait(list(pipes), TICK_S):
                    self._hear(pipes[pipe])  # type: ignore[index]
                self._look_after()
        except BaseException as error:
            self.error = error
            for shard in self._shards:
                shard.over = True  # nobody listens to them any more

    def _hear(self, shard: _Shard) -> None:
        for item in shard.items():
            if isinstance(item, Sent):
                shard.held.append(item) if shard.holds else self._pass_on(item, shard)
            elif isinstance(item, Alive):
                shard.alive_s = item.alive_s
            elif isinstance(item, Answer):
                shard.holds = self._next is not None
                shard.answers.put(item.refusal)
            elif isinstance(item, Forgotten):
                self._publisher.forget(item.station)
            elif isinstance(item, Failed):
                raise RuntimeError(f"process {shard.number} of the daemon has a fault\n{item.trace}")
            else:
                logging.getLogger(item.name).handle(item)
        if shard.over and not shard.ending:
            raise GenredError(shard.end_of_it())
        if self._next is not None and all(shard.holds for shard in self._shards):
            self._adopt(self._next)

    def _adopt(self, setup: Setup) -> None:
        """Tell that all go by `setup` now, and then what they have said since."""
        self._setup, self._next = setup, None
        self._tell(Event(event="reload", text=setup.text))
        self._publisher.send(setup.hello)
        self._gathering.heed(setup.hello, time.monotonic())
        for shard in self._shards:
            held, shard.held, shard.holds = shard.held, [], False
            for item in held:
                self._pass_on(item, shard)
        setup.taken.set()

    def _pass_on(self, sent: Sent, shard: _Shard) -> None:
        message: Message = sent.message
        if isinstance(message, Status):
            shard.process = message.process
            message = msgspec.structs.replace(message, process=self._load_of_all())
        elif isinstance(message, Event) and message.event == "overload":
            self._remark = message.text
        self._gathering.heed(message, time.monotonic())
        self._publisher.send(message, handed_over_s=sent.handed_over_s, heard_s=sent.heard_s)

    def _look_after(self) -> None:
        """Tell a step of the clock, and renew the snapshot."""
        if event := clock_step(self._utc):
            self._tell(event)
        made, before = self._gathering.snapshot(time.monotonic()), self.snapshot
        states = [view.status.state for view in made.stations]
        finished = len(states) == len(self._setup.config.station) and set(states) == {"ended"}
        remark = self._remark if self._overloaded else ""
        if made.stations is not before.stations or (finished, remark) != (before.finished, before.remark):
            self.snapshot = replace(made, finished=finished, remark=remark)

    @property
    def _overloaded(self) -> bool:
        return any(shard.process is not None and shard.process.overloaded is True for shard in self._shards)

    def _load_of_all(self) -> Process:
        """What all processes together cost; asked anew each second."""
        now_s = time.monotonic()
        if self._process is None or now_s >= self._process_due_s:
            self._process_due_s = now_s + LOAD_S
            own = self._load.take(self._publisher.subscriptions, overloaded=self._overloaded)
            others = [shard.process for shard in self._shards if shard.process is not None]
            self._process = msgspec.structs.replace(
                own,
                cpu_percent=round(own.cpu_percent + sum(other.cpu_percent for other in others), 1),
                memory_mb=round(own.memory_mb + sum(other.memory_mb for other in others), 1),
            )
        return self._process

    def _tell(self, event: Event) -> None:
        log.log(logging.WARNING if is_trouble(event) else logging.INFO, "%s", describe(event))
        self._publisher.send(event)


class _Shard:
    """One of the processes, as the others know it.

    Attributes
    ----------
    pipe : Pipe
    stations : set of str
        Names of those that it has, or has had.
    answers : queue of str
        To orders: the refusal, or nothing.
    alive_s : float
        When its worker last finished a round.
    process : Process or None
        What it last said that it costs.
    held : list of Sent
        What it has said under a setup that not all go by yet, while it `holds`.
    ending : bool
        It has been asked to.
    over : bool
        Nothing comes from it any more.
    """

    def __init__(self, number: int) -> None:
        self.number = number
        self.stations: set[str] = set()
        self.answers: queue.SimpleQueue[str] = queue.SimpleQueue()
        self.alive_s = time.monotonic()
        self.process: Process | None = None
        self.held: list[Sent] = []
        self.holds = False
        self.ending = self.over = False
        ours, theirs = socket.socketpair()
        with theirs:
            command = [sys.executable, "-P", "-c", PROGRAM, str(theirs.fileno())]
            self._process = subprocess.Popen(command, pass_fds=[theirs.fileno()])
        self.pipe: Pipe = Connection(ours.detach())

    def order(self, order: Order) -> None:
        """Send `order`; one that has ended is found elsewhere."""
        self.ending = self.ending or isinstance(order, End)
        with suppress(OSError):
            self.pipe.send(order)

    def answer(self) -> str:
        """Wait for the answer to the last order.

        Raises
        ------
        GenredError
            If there will be none.
        """
        while True:
            try:
                return self.answers.get(timeout=TICK_S)
            except queue.Empty:
                if self.over:
                    raise GenredError(self.end_of_it()) from None

    def items(self) -> list[Item]:
        """What it has sent; nothing if it has ended."""
        try:
            items: list[Item] = self.pipe.recv()
        except (EOFError, OSError):
            self.over = True
            return []
        return items

    def end_of_it(self) -> str:
        """Say that it has ended, and how."""
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(END_S)
        return f"process {self.number} of the daemon has ended with exit code {self._process.returncode}"

    def close(self) -> None:
        """End it, if it has not ended by itself."""
        self._process.kill()
        self._process.wait()
        self.pipe.close()


def _part(config: Config, stations: Sequence[StationConfig]) -> Config:
    """`config` for one process, of which each has a core."""
    return msgspec.structs.replace(config, station=tuple(stations), threads=config.threads or 1)
