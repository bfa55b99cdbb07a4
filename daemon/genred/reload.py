"""Reload: SIGHUP reads the configuration again, beside what runs."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from .config import Config
from .errors import GenredError
from .messages import Event, plain
from .publisher import Publisher
from .setup import Setup, assemble, load_model, open_sources
from .shards import Shards
from .worker import Worker

log = logging.getLogger(__name__)

Reread = Callable[[], Config]
AnyWorker = Worker | Shards


class Reloader:
    """Makes a new setup in a thread of its own, for a model takes seconds to load, and hands it to the worker.

    Parameters
    ----------
    reread : callable or None
        Reads the configuration; None where there is none to read.
    setup : Setup
        The present one.
    worker : Worker or Shards
    publisher : Publisher
    wake : threading.Event
        As the stations' sources get it.

    Attributes
    ----------
    setup : Setup
        The newest that the worker goes by; replaced as a whole, by the reload's thread only.
    busy : bool
        A reload is on its way.
    """

    def __init__(
        self, reread: Reread | None, setup: Setup, worker: AnyWorker, publisher: Publisher, wake: threading.Event
    ) -> None:
        self.setup = setup
        self._reread, self._worker, self._publisher, self._wake = reread, worker, publisher, wake
        self._thread: threading.Thread | None = None

    @property
    def busy(self) -> bool:
        """See the class."""
        return self._thread is not None and self._thread.is_alive()

    def start(self) -> None:
        """Begin to reload; not while one is on its way."""
        if self._reread is None:
            log.warning("SIGHUP: there is no configuration to read again (run with --config); nothing is changed")
            return
        self._thread = threading.Thread(target=self._run, args=(self._reread,), name="reload", daemon=True)
        self._thread.start()

    def _run(self, reread: Reread) -> None:
        try:
            setup = self._make(reread())
            self._worker.take(setup)
        except GenredError as error:
            self._refuse(plain(str(error)))
        except Exception as error:
            log.exception("genred has a fault in reloading; please report this")
            self._refuse(plain(f"{type(error).__name__}: {error}"))
        else:
            setup.taken.wait()
            self.setup = setup
            logging.getLogger().setLevel(setup.config.log_level.upper())

    def _make(self, config: Config) -> Setup:
        before = self.setup
        opened = open_sources(config, before.config)
        return assemble(config, load_model(config, before.model), opened, self._wake, before)

    def _refuse(self, why: str) -> None:
        text = f"reload refused, nothing is changed: {why}"
        log.error("%s", text)
        self._publisher.send(Event(event="error", text=text))
