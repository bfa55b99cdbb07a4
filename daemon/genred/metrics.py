"""Metrics: what Prometheus reads at ``/metrics``, and who looks after the machine at ``/healthz``.

The counters are those of the status message, for each station since its source was opened, and made from the newest
snapshot when somebody reads. No address of a source is among them, and so no password. Tags are not: they are words of
the user's, and would make another series whenever one changes.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from http import HTTPStatus
from operator import attrgetter
from typing import get_args

from msgspec import UNSET
from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.registry import Collector

from .messages import Signal, State, Status, plain
from .pages import Page, says
from .snapshot import Snapshot

RUNS = ("running", "silent")  # of these, a station delivers
Look = Callable[[], Snapshot]

# Fields of the status, and how they are called here. Samples are a channel's, at the source's own rate.
COUNTERS = {
    "total.expected": ("genred_expected_samples", "Samples that there were by the station's clock: captured + lost"),
    "total.captured": ("genred_captured_samples", "Samples that came: fed + overwritten + discarded + waiting"),
    "total.lost": ("genred_lost_samples", "Samples lost at the device, or while it was gone"),
    "total.fed": ("genred_fed_samples", "Samples that went into features"),
    "total.overwritten": ("genred_overwritten_samples", "Samples overwritten before they were read"),
    "total.discarded": ("genred_discarded_samples", "Samples left over where an epoch ended"),
    "total.due": ("genred_due_windows", "Windows that were complete: published + skipped"),
    "total.published": ("genred_published_windows", "Windows that were answered"),
    "total.skipped": ("genred_skipped_windows", "Windows deliberately not judged"),
    "faults.losses": ("genred_losses", "Times the source was lost"),
    "faults.overflows": ("genred_overflows", "Times the driver said that it lost input"),
    "faults.interruptions": ("genred_interruptions", "Times its stream was opened again for another station's sake"),
    "faults.undecoded": ("genred_undecoded_pieces", "Pieces of input that could not be decoded"),
    "faults.nonfinite": ("genred_nonfinite_samples", "Samples that were no numbers"),
    "faults.clipped": ("genred_clipped_samples", "Samples at full scale"),
    "faults.crashes": ("genred_crashes", "Unexpected errors in the source's code"),
    "faults.failed": ("genred_failed_windows", "Windows to which the model had no usable answer"),
}
GAUGES = {
    "total.waiting": ("genred_waiting_samples", "Samples that have come and are not in features yet"),
    "ring_fill": ("genred_ring_fill_ratio", "How full the ring is, 0 to 1"),
    "level_dbfs": ("genred_level_dbfs", "RMS of the newest hop, before the gain"),
    "peak_dbfs": ("genred_peak_dbfs", "Greatest sample of the last second, before the gain"),
    "gain_db": ("genred_gain_db", "Gain between source and features"),
}


class Exposition:
    """The page ``/metrics``; made once for each snapshot, however often it is read. Belongs to one thread."""

    def __init__(self, look: Look) -> None:
        self._look = look
        self._made: tuple[Snapshot, Page] | None = None
        self._registry = CollectorRegistry()
        self._registry.register(_Stations(look))
        ProcessCollector(registry=self._registry)

    def page(self) -> Page:
        """What is known now, as Prometheus reads it."""
        snapshot = self._look()
        if self._made is None or self._made[0] is not snapshot:
            self._made = snapshot, Page(generate_latest(self._registry), CONTENT_TYPE_PLAIN_0_0_4)
        return self._made[1]


def health(snapshot: Snapshot, required: Collection[str], *, hangs: bool) -> Page:
    """Make the page ``/healthz``: whether all `required` stations run, or why not all is well."""
    troubles = ["the worker or the publisher hangs"] if hangs else _troubles(snapshot, required)
    if troubles:
        return says("\n".join(map(plain, troubles)), HTTPStatus.SERVICE_UNAVAILABLE)
    return says("ok", HTTPStatus.OK)


def _troubles(snapshot: Snapshot, required: Collection[str]) -> list[str]:
    if not snapshot.stations:
        return ["starting"]
    away = [view.status for view in snapshot.stations if view.status.state not in RUNS]
    return [
        f"station {status.station} is {status.state}{f': {status.text}' if status.text else ''}"
        for status in away
        if status.station in required
    ]


class _Stations(Collector):
    """The newest snapshot as families of metrics."""

    def __init__(self, look: Look) -> None:
        self._look = look

    def describe(self) -> list[Metric]:
        """Nothing: to register it is no reason to look."""
        return []

    def collect(self) -> Iterator[Metric]:
        snapshot = self._look()
        statuses = [view.status for view in snapshot.stations]
        yield from _daemon(snapshot)
        yield _one_of("genred_station_state", "state", "1 for the state that it is in", statuses, get_args(State))
        yield _one_of("genred_station_signal", "signal", "1 while that is wrong with it", statuses, get_args(Signal))
        for field, (name, text) in COUNTERS.items():
            yield _filled(CounterMetricFamily(name, text, labels=["station"]), statuses, field)
        for field, (name, text) in GAUGES.items():
            yield _filled(GaugeMetricFamily(name, text, labels=["station"]), statuses, field)


def _daemon(snapshot: Snapshot) -> Iterator[Metric]:
    if snapshot.hello is not None:
        hello = snapshot.hello
        about = {"version": hello.daemon, "model": plain(hello.model.name), "provider": hello.model.provider}
        yield InfoMetricFamily("genred", "What runs", about | {"sha256": hello.model.sha256})
    if snapshot.stations:
        process = snapshot.stations[0].status.process
        yield GaugeMetricFamily("genred_subscriptions", "Topics that somebody subscribes to", process.subscriptions)


def _one_of(name: str, label: str, text: str, statuses: Sequence[Status], words: Sequence[str]) -> Metric:
    """A series for each word that may hold of a station; all are there from the start, so that none appears late."""
    family = GaugeMetricFamily(name, text, labels=["station", label])
    for status in statuses:
        holds = {status.state, *(() if status.signal is UNSET else status.signal)}
        for word in words:
            family.add_metric([str(status.station), word], word in holds)
    return family


def _filled(family: CounterMetricFamily | GaugeMetricFamily, statuses: Sequence[Status], field: str) -> Metric:
    value = attrgetter(field)
    for status in statuses:
        family.add_metric([str(status.station)], value(status))
    return family
