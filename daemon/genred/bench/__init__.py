"""Bench: what genred costs on this machine, side by side with what others would do.

::

    tune -> (a) features, (b) inference: genred here, its peers in a process of their own, in turn
         -> (c) fleet: genred run with 1, 2, ... stations, and the naive loop with as many
         -> (d) single: genred run mic:, by itself; in a hurry it warms up while (a) and (b) are measured
"""

from __future__ import annotations

import logging
import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from .. import __version__
from ..errors import GenredError
from ..runtime import Provider
from ..sources import default_uri
from . import features, fleet, inference, rounds
from .fleet import Fleet, Growth, Trial, grow
from .peers import Peers
from .report import Report, machine, markdown
from .single import OneMicrophone, Single, one_microphone
from .stations import KIND, Stations
from .tune import MP3_BIT_RATE, tune, write_mp3

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Plan:
    """How much is measured.

    Attributes
    ----------
    rounds : int
        Of (a) and (b).
    numbers, naive_numbers : tuple of int
        Stations, growing; the search for the limit stops at the first that is too many.
    tries : int
        More numbers between that and the last one that was not.
    attempts : int
        At a number of stations that seems too many.
    settle_s : float
        The most that a daemon is waited for until no window is late.
    trial_s, single_s : float
        How long a daemon is measured.
    cores : tuple of int
        How many the daemon is given.
    hurry : bool
        Do two things at once.
    """

    rounds: int
    numbers: tuple[int, ...]
    naive_numbers: tuple[int, ...]
    tries: int
    attempts: int
    settle_s: float
    trial_s: float
    single_s: float
    cores: tuple[int, ...]
    hurry: bool = False


FULL = Plan(
    rounds=15,
    numbers=(1, 16, 64, 128, 192, 256, 320, 384, 448, 512, 640, 768, 1024),
    naive_numbers=(1, 8, 16, 24, 32, 40, 48, 64),
    tries=1,
    attempts=2,
    settle_s=30.0,
    trial_s=12.0,
    single_s=20.0,
    cores=(1, 2),
)
QUICK = Plan(
    rounds=3,
    numbers=(16,),
    naive_numbers=(16,),
    tries=0,
    attempts=1,
    settle_s=3.0,
    trial_s=4.0,
    single_s=3.0,
    cores=(1,),
    hurry=True,
)


def bench(model: Path, provider: Provider, hop_frames: int, plan: Plan) -> Report:
    """Measure everything.

    Raises
    ------
    GenredError
        If the model, the provider or the hop cannot be had, or a daemon does not answer.
    """
    with tempfile.TemporaryDirectory(prefix="genred-bench-") as folder:
        return Run(plan, model, provider, hop_frames, Path(folder)).report()


def told(report: Report, *, as_json: bool) -> str:
    """Return `report` as Markdown, or for programs."""
    return msgspec.json.encode(report).decode() if as_json else markdown(report)


class Run:
    """One run of the bench.

    Parameters
    ----------
    plan : Plan
    model : Path
    provider : {"auto", "cuda", "cpu"}
    hop_frames : int
    folder : Path
        For music, sockets and what the peers read.
    """

    def __init__(self, plan: Plan, model: Path, provider: Provider, hop_frames: int, folder: Path) -> None:
        self._plan, self._model, self._hop_frames, self._folder = plan, model, hop_frames, folder
        self._missing: dict[str, str] = {}
        audio = tune()
        self._music = folder / "tune.mp3"
        write_mp3(audio, self._music)
        self._inference = inference.Bench(audio, model, provider, hop_frames)
        self._card = self._inference.classifier.card
        self._window = self._card.spec.samples(self._card.window_frames)
        self._audio = audio[: self._window]
        self._hop_s = hop_frames * self._card.spec.hop_length / self._card.spec.sample_rate
        self._options = ["--model", str(model), "--provider", provider, "--hop", str(hop_frames)]
        self._cores = sorted(os.sched_getaffinity(0))

    def report(self) -> Report:
        """Measure, and put together."""
        where = machine()  # before this run loads it
        with ExitStack() as while_needed:
            microphone = self._microphone(while_needed)
            if not self._plan.hurry:
                single = self._measure(microphone)
                while_needed.close()
            costs, batches = self._in_process()
            if self._plan.hurry:
                single = self._measure(microphone)
        agreement = self._inference.agreement(8, 8)
        others = set(self._cores[1:] or self._cores)
        with Stations(self._music, MP3_BIT_RATE, others) as stations:
            growths = tuple(self._growths(stations))
        return Report(
            genred=__version__,
            date=datetime.now(UTC).date().isoformat(),
            command=" ".join(["genred", *sys.argv[1:]]),
            machine=where,
            model=self._inference.classifier.name,
            provider=self._inference.classifier.provider,
            missing=self._missing,
            features=costs,
            inference=batches,
            agreement=agreement,
            stations=KIND,
            half_hop_ms=500 * self._hop_s,
            growths=growths,
            microphone=single,
        )

    def _in_process(self) -> tuple[tuple[rounds.Cost, ...], tuple[inference.Batch, ...]]:
        """Sections (a) and (b)."""
        with Peers(self._audio, self._card, self._hop_frames, self._folder) as peers:
            self._missing |= peers.found.missing
            log.info("(a) features")
            costs = features.compare(self._audio, self._card, self._hop_frames, peers, self._plan.rounds)
            log.info("(b) inference")
            return costs, self._inference.compare(peers, self._plan.rounds)

    def _microphone(self, stack: ExitStack) -> OneMicrophone | None:
        """Start the daemon of (d): its first window takes a while."""
        uri, why = default_uri()
        if uri != "mic:":
            self._missing["one microphone"] = why.rpartition("because ")[2]
            return None
        log.info("(d) one microphone, started")
        try:
            return stack.enter_context(one_microphone(self._options, set(self._cores[:1]), self._folder))
        except GenredError as error:
            self._missing["one microphone"] = str(error)
            return None

    def _measure(self, microphone: OneMicrophone | None) -> Single | None:
        if microphone is None:
            return None
        log.info("(d) one microphone")
        try:
            return microphone.measure(self._plan.single_s, self._window)
        except GenredError as error:
            self._missing["one microphone"] = str(error)
            return None

    def _growths(self, stations: Stations) -> Iterator[Growth]:
        plan = self._plan
        own = Fleet(stations, self._options, self._folder, self._hop_s, self._window, plan.settle_s)
        for n_cores in plan.cores:
            if n_cores > len(self._cores):
                self._missing[f"a daemon on {n_cores} cores"] = f"this machine has {len(self._cores)}"
                continue
            cores = set(self._cores[:n_cores])
            trials = self._grow(lambda n, given=cores: own.attempt(n, plan.trial_s, given), plan.numbers)  # type: ignore[misc]
            yield Growth("genred", n_cores, tuple(trials))
        try:
            trials = self._grow(self._naive, plan.naive_numbers)
            yield Growth("the naive loop", 1, tuple(trials))
        except GenredError as error:
            self._missing["the naive loop"] = str(error)

    def _grow(self, attempt: Callable[[int], Trial], numbers: Sequence[int]) -> Iterator[Trial]:
        return grow(lambda n: _told(attempt(n)), numbers, self._plan.tries, self._plan.attempts)

    def _naive(self, n: int) -> Trial:
        core = self._cores[0]
        return fleet.naive(n, self._plan.trial_s, core, self._model, self._music, self._hop_frames, self._hop_s)


def _told(trial: Trial) -> Trial:
    text = "(c) %d stations: %.2f CPU ms a station-second, p99 %.0f ms, %d skipped"
    log.info(text, trial.stations, trial.cpu_ms, trial.p99_ms, trial.skipped)
    return trial
