"""Setup: what a configuration asks for: a model and stations. Made at the start, and anew at a reload.

Nothing in here touches what runs. A new setup is complete before the worker takes it, between two batches; what cannot
be made raises, and then nothing has changed.
"""

from __future__ import annotations

import hashlib
import os
import threading
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from msgspec import UNSET

from . import __version__, reports
from .card import find_model
from .classifier import Classifier
from .config import Config, StationConfig
from .epoch import Epoch, Geometry
from .features import Mfcc
from .messages import Hello, StationInfo, counted
from .runtime import read
from .sources import Opened, open_source, shown
from .station import NewEpoch, Station
from .supervisor import Supervisor

LIVE = (  # what a reload can change
    "station",
    "signal",
    "model",
    "provider",
    "threads",
    "hop",
    "require",
    "ready",
    "log_level",
)
MANY_STATIONS = 16  # fewer make batches too small for two threads


@dataclass(frozen=True)
class Model:
    """A classifier, and the epochs that make windows for it."""

    path: Path
    classifier: Classifier
    provider: str
    threads: int
    hop: int
    mfcc: Mfcc

    def epochs(self, turn: int) -> NewEpoch:
        """Make what makes the epochs of a station: those of another turn have windows at other times within a hop."""
        phase = turn * self.classifier.step_frames % self.hop
        geometry = replace(geometry_of(self.classifier, self.hop), phase_frames=phase)
        return partial(Epoch, self.mfcc, geometry, self.classifier.card.gain)

    def hears_as(self, other: Model) -> bool:
        """Whether windows made for `other` are windows for this one."""
        ours, its = self.classifier.card, other.classifier.card
        same_frames = (ours.spec, ours.gain) == (its.spec, its.gain)
        return same_frames and geometry_of(self.classifier, self.hop) == geometry_of(other.classifier, other.hop)


@dataclass(frozen=True)
class Setup:
    """See the module.

    Attributes
    ----------
    fresh : dict
        Stations by name: those that the setup before did not have, or had with another source.
    hello : Hello
    text : str
        What is other than in the setup before, for people; empty to tell nobody.
    same_windows : bool
        Windows made before are windows for this setup's model.
    taken : threading.Event
        Set by the worker once it goes by this setup.
    """

    config: Config
    model: Model
    fresh: dict[str, Station]
    hello: Hello
    text: str = ""
    same_windows: bool = True
    taken: threading.Event = field(default_factory=threading.Event)


def open_sources(config: Config, before: Config | None = None) -> dict[str, Opened]:
    """Open the source of each station that `before` does not have so; by the station's name.

    Raises
    ------
    SourceError
    """
    running = {station.name: station.uri for station in before.station} if before else {}
    return {entry.name: open_source(entry.uri) for entry in config.station if running.get(entry.name) != entry.uri}


def load_model(config: Config, before: Model | None = None) -> Model:
    """Load the model that `config` names; `before` if it is that one, to the byte.

    Raises
    ------
    ModelError, ConfigError
    """
    path, threads = find_model(config.model), _threads(config)
    if before is not None and _is(before, path, config):
        if config.hop == before.hop:
            return before
        classifier = before.classifier
    else:
        classifier = Classifier(path, config.provider, threads)
    classifier.check_hop(config.hop)
    return Model(path, classifier, config.provider, threads, config.hop, Mfcc(classifier.card.spec))


def _threads(config: Config) -> int:
    """Threads of the model that pay: every core, but for few stations one, which costs less CPU time."""
    return config.threads or (len(os.sched_getaffinity(0)) if len(config.station) >= MANY_STATIONS else 1)


def geometry_of(classifier: Classifier, hop: int) -> Geometry:
    """Windows that a model judges, one every `hop` frames."""
    return Geometry(classifier.card.window_frames, hop, classifier.card.horizons[0].frames)


def _is(model: Model, path: Path, config: Config) -> bool:
    same_file = hashlib.sha256(read(path)).hexdigest() == model.classifier.digest
    same_place = (model.provider, model.threads) == (config.provider, _threads(config))
    return same_file and same_place and model.path.stem == path.stem


def assemble(
    config: Config, model: Model, opened: dict[str, Opened], wake: threading.Event, before: Setup | None = None
) -> Setup:
    """Put together what has been opened and loaded."""
    entries = {entry.name: (entry, turn) for turn, entry in enumerate(config.station)}
    fresh = {name: _station(*entries[name], source, model, wake) for name, source in opened.items()}
    infos = tuple(StationInfo(name=e.name, uri=shown(e.uri), tags=e.tags or UNSET) for e in config.station)
    hello = reports.hello(__version__, model.classifier, config.hop, infos)
    if before is None:
        return Setup(config, model, fresh, hello)
    return Setup(config, model, fresh, hello, _differences(before, config, model), model.hears_as(before.model))


def _station(entry: StationConfig, turn: int, opened: Opened, model: Model, wake: threading.Event) -> Station:
    turn = turn if opened.source.live else 0  # what can wait begins with its first frame
    supervisor = Supervisor(entry.name, opened.source, threading.Event(), wake)
    return Station(entry.name, shown(entry.uri), opened, model.epochs(turn), supervisor, entry.signal, turn)


def _differences(before: Setup, config: Config, model: Model) -> str:
    """Say what is other now, and what would be after a new start."""
    old, new = ({entry.name: entry for entry in one.station} for one in (before.config, config))
    changed = [name for name in new if name in old and new[name] != old[name]]
    words = [
        f"{counted(len(names), 'station')} {verb} ({', '.join(names)})"
        for verb, names in (
            ("added", [name for name in new if name not in old]),
            ("removed", [name for name in old if name not in new]),
            ("changed", changed),
        )
        if names
    ]
    if model.classifier is not before.model.classifier:
        words.append(f"model {model.classifier.name} on {model.classifier.choice}")
    if model.hop != before.model.hop:
        words.append(f"hop {model.hop}")
    later = [name for name in config.__struct_fields__ if name not in LIVE and _differs(before.config, config, name)]
    if later:
        words.append(f"{' and '.join(later)} as before until the next start")
    return "reloaded: " + ("; ".join(words) or "nothing is different")


def _differs(one: Config, other: Config, name: str) -> bool:
    return bool(getattr(one, name) != getattr(other, name))
