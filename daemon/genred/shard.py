"""Shard: some of the stations of a daemon, in a process of their own; see `shards`, which starts it.

    python -c 'from genred.shard import main; main()' FD

Sources, worker and model are the same as in a daemon of one process. Only what they say goes another way: over the
pipe FD to the process that publishes. It ends when that says so, or is gone.
"""

from __future__ import annotations

import logging
import logging.handlers
import os
import queue
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import replace
from multiprocessing.connection import Connection

from . import heap
from .clock import UtcClock
from .config import Config
from .crossing import Alive, Answer, End, Failed, Forgotten, Item, Order, Pipe, Prepare, Sent
from .errors import GenredError
from .messages import Hello, Message
from .setup import Setup, assemble, load_model, open_sources
from .signals import ENDING
from .worker import Worker

BEAT_S = 0.25  # something is said at least so often
TICK_S = 0.1
JOIN_S = 0.5


class Relay:
    """Stands for the publisher: what it is given goes over `pipe`, by a thread of its own, in order.

    Parameters
    ----------
    pipe : Pipe
    alive_s : callable
        When the worker last finished a round.
    alone : callable
        Called when nobody is there to take anything.
    """

    endpoint = ""
    subscriptions = 0  # only the other process knows

    def __init__(self, pipe: Pipe, alive_s: Callable[[], float], alone: Callable[[], object]) -> None:
        self._pipe, self._alive_s, self._alone = pipe, alive_s, alone
        self._queue: queue.SimpleQueue[Item | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="relay", daemon=True)
        self._thread.start()

    def send(self, message: Message, *, handed_over_s: float | None = None, heard_s: float | None = None) -> None:
        """Pass `message` on; what the daemon is, the other process says."""
        if not isinstance(message, Hello):
            self.put(Sent(message, handed_over_s, heard_s))

    def forget(self, station: str) -> None:
        """Pass on that `station` has left."""
        self.put(Forgotten(station))

    def put(self, item: Item) -> None:
        """Pass `item` on."""
        self._queue.put(item)

    def end(self) -> None:
        """Pass on what there is, and stop."""
        self._queue.put(None)
        self._thread.join(JOIN_S)

    def _run(self) -> None:
        ended = False
        while not ended:
            items = self._take()
            ended = None in items
            try:
                self._pipe.send([*(item for item in items if item is not None), Alive(self._alive_s())])
            except OSError:
                self._alone()
                return

    def _take(self) -> list[Item | None]:
        """Everything there is; wait a little if there is nothing."""
        try:
            items = [self._queue.get(timeout=BEAT_S)]
        except queue.Empty:
            return []
        while not self._queue.empty():
            items.append(self._queue.get())
        return items


class _Log(logging.handlers.QueueHandler):
    """Passes records on to the other process, which writes the log."""

    def __init__(self, relay: Relay) -> None:
        super().__init__(queue.SimpleQueue())
        self.setFormatter(logging.Formatter())  # the text alone
        self._relay = relay

    def enqueue(self, record: logging.LogRecord) -> None:
        self._relay.put(record)


class _FollowingClock(UtcClock):
    """Follows the wall clock, and leaves it to the other process to tell of its steps."""

    def step(self) -> float:
        super().step()
        return 0.0


class Shard:
    """See the module.

    Parameters
    ----------
    pipe : Pipe
    alone : callable
        Called, from any thread, when the other process is gone, whatever this one waits for.

    Attributes
    ----------
    relay : Relay
    """

    def __init__(self, pipe: Pipe, alone: Callable[[], object]) -> None:
        self.relay = Relay(pipe, self._alive_s, alone)
        self._pipe = pipe
        self._tidier = heap.Tidier()
        self._wake = threading.Event()
        self._setup: Setup | None = None
        self._next: Setup | None = None
        self._worker: Worker | None = None

    def run(self) -> None:
        """Carry out orders until the last.

        Raises
        ------
        Exception
            Whatever went wrong in the worker.
        """
        while not isinstance(order := self._order(), End):
            self.relay.put(self._prepare(order.config) if isinstance(order, Prepare) else self._go())
        if self._worker is not None:
            self._worker.end(JOIN_S)

    def _alive_s(self) -> float:
        return time.monotonic() if self._worker is None else self._worker.alive_s

    def _order(self) -> Order:
        """Wait for the next order; look after the worker meanwhile."""
        while not self._pipe.poll(TICK_S):
            self._check()
            self._tidier.look()
        try:
            order: Order = self._pipe.recv()
        except EOFError:
            return End()
        return order

    def _check(self) -> None:
        if self._worker is not None and self._worker.error is not None:
            raise self._worker.error

    def _prepare(self, config: Config) -> Answer:
        before = self._setup
        try:
            opened = open_sources(config, before.config if before else None)
            model = load_model(config, before.model if before else None)
        except GenredError as error:
            return Answer(str(error))
        setup = assemble(config, model, opened, self._wake, before)
        self._next = replace(setup, text="")  # the other process tells of a reload
        return Answer()

    def _go(self) -> Answer:
        assert self._next is not None, "it was prepared"
        setup, self._next = self._next, None
        logging.getLogger().setLevel(setup.config.log_level.upper())
        if self._worker is None:
            stations = list(setup.fresh.values())
            clock = _FollowingClock()
            self._worker = Worker(stations, setup.model.classifier, self.relay, clock, setup.hello, self._wake)
            self._worker.start()
        else:
            self._worker.take(setup)
            while not setup.taken.wait(TICK_S):
                self._check()
        self._setup = setup
        return Answer()


def main() -> None:
    """Run the shard at the other end of the pipe that the command line names."""
    for number in ENDING:
        signal.signal(number, signal.SIG_IGN)  # they are meant for the other process, which ends this one
    heap.settle()
    shard = Shard(Connection(int(sys.argv[1])), lambda: os._exit(1))
    logging.basicConfig(handlers=[_Log(shard.relay)])
    try:
        shard.run()
    except Exception:
        shard.relay.put(Failed(traceback.format_exc()))
    shard.relay.end()
    os._exit(0)  # a source's thread may hang in C
