"""Reports: the records that say what a station knows. Pure functions from state to message."""

from __future__ import annotations

from typing import TypeVar

from msgspec import UNSET, UnsetType

from . import segments
from .books import Stretch
from .classifier import Classifier, Verdict
from .clock import UtcClock
from .messages import (
    Claim,
    Estimate,
    Event,
    Hello,
    LastEstimate,
    Model,
    Process,
    Segment,
    Smoothed,
    StationInfo,
    Status,
)
from .station import Due, Station

T = TypeVar("T")


def hello(version: str, classifier: Classifier, hop_frames: int, stations: tuple[StationInfo, ...]) -> Hello:
    """What the daemon is and does."""
    card, claim = classifier.card, classifier.claim()
    return Hello(
        daemon=version,
        model=Model(
            name=classifier.name,
            sha256=classifier.digest,
            provider=classifier.provider,
            claim=UNSET
            if claim is None
            else Claim(claim.split, claim.input, claim.tracks, claim.accuracy, claim.low, claim.high),
        ),
        labels=card.labels,
        sample_rate=card.spec.sample_rate,
        hop_frames=hop_frames,
        hop_s=hop_frames * card.spec.hop_length / card.spec.sample_rate,
        window_frames=card.window_frames,
        window_s=card.spec.seconds(card.window_frames),
        stations=stations,
    )


def estimate(due: Due, verdict: Verdict, smooth: segments.Smooth | None = None) -> Estimate:
    """Build the answer to a window, by itself and over the last ones."""
    window, epoch = due.window, due.stretch.epoch
    return Estimate(
        station=due.station.name,
        epoch=due.stretch.number,
        first_sample=window.first_sample,
        last_sample=window.last_sample,
        window_s=window.samples / epoch.spec.sample_rate,
        clock=due.station.source.clock,
        label=_given(verdict.label),
        confidence=_given(verdict.confidence),
        probabilities=_given(verdict.probabilities),
        reason=_given(verdict.reason),
        smoothed=UNSET if smooth is None else _smoothed(smooth),
        level_dbfs=window.level_dbfs,
        gain_db=window.gain_db,
        lost_ms=window.lost_ms,
        skipped=due.stretch.skipped,
        narrow_band=epoch.narrow_band or UNSET,
    )


def _smoothed(smooth: segments.Smooth) -> Smoothed:
    return Smoothed(
        label=_given(smooth.label),
        confidence=_given(smooth.confidence),
        probabilities=smooth.probabilities,
        reason="unsure" if smooth.label is None else UNSET,
        delay_s=smooth.delay_s,
    )


def segment(due: Due, told: segments.Segment, utc: UtcClock) -> Segment:
    """Say of a segment what was `told` when `due` had been judged, the newest window of its epoch."""
    rate = due.stretch.epoch.spec.sample_rate
    since_s = (due.window.last_sample - told.first_sample) / rate
    return Segment(
        station=due.station.name,
        phase=told.phase,
        number=told.number,
        epoch=due.stretch.number,
        first_sample=told.first_sample,
        last_sample=told.last_sample,
        duration_s=(told.last_sample + 1 - told.first_sample) / rate,
        began_at=UNSET if due.heard_s is None else utc.text(due.heard_s - since_s),
        label=_given(told.label),
        confidence=_given(told.confidence),
        probabilities=told.probabilities,
        reason="unsure" if told.label is None else UNSET,
        windows=told.windows,
        delay_s=told.delay_s,
    )


def unripe(station: Station, stretch: Stretch) -> Estimate:
    """Say that there is no window yet, or, once the source has ended, that there will be none."""
    epoch = stretch.epoch
    return Estimate(
        station=station.name,
        epoch=stretch.number,
        first_sample=0,
        last_sample=max(epoch.spec.samples(epoch.frames) - 1, 0),
        window_s=epoch.spec.seconds(epoch.frames),
        clock=station.source.clock,
        reason="too-short" if station.state == "ended" else "warming-up",
        progress=epoch.progress,
        level_dbfs=epoch.levels.dbfs(epoch.geometry.hop_frames),
        gain_db=epoch.gain.gain_db,
        lost_ms=1000 * epoch.lost / epoch.rate_hz,
        skipped=0,
        narrow_band=epoch.narrow_band or UNSET,
    )


def status(station: Station, last: Estimate | None, process: Process, utc: UtcClock) -> Status:
    """Health of `station`, whose newest estimate is `last`."""
    this_epoch, total = station.counters()
    stretch = station.last_stretch
    epoch = stretch.epoch if stretch else None
    return Status(
        station=station.name,
        state=station.state,
        since=utc.text(station.since_s),
        text=station.text or UNSET,
        next_try=UNSET if station.next_try_s is None else utc.text(station.next_try_s),
        epoch=stretch.number if stretch else 0,
        rate_hz=stretch.intake.rate_hz if stretch else UNSET,
        ring_fill=stretch.ring_fill if stretch else 0.0,
        level_dbfs=epoch.levels.dbfs(epoch.geometry.hop_frames) if epoch else -120.0,
        peak_dbfs=epoch.peak.take_dbfs() if epoch else -120.0,
        gain_db=epoch.gain.gain_db if epoch else 0.0,
        signal=UNSET if stretch is None else _wrong(stretch),
        this_epoch=this_epoch,
        total=total,
        faults=station.faults(),
        last=_short(last),
        process=process,
    )


def clock_step(utc: UtcClock) -> Event | None:
    """Say that the wall clock was set, if it was since this was last asked."""
    step_s = utc.step()
    if not step_s:
        return None
    return Event(event="clock-step", text=f"the wall clock moved by {step_s:+.3f} s", duration_ms=1000 * step_s)


def _wrong(stretch: Stretch) -> tuple[str, ...] | UnsetType:
    """What is wrong with the sound now."""
    silence = ["silence"] if stretch.epoch.levels.silent else []
    return (*silence, *stretch.health.now) or UNSET


def _short(last: Estimate | None) -> LastEstimate | UnsetType:
    if last is None:
        return UNSET
    return LastEstimate(last_sample=last.last_sample, label=last.label, confidence=last.confidence, reason=last.reason)


def _given(value: T | None) -> T | UnsetType:
    """Leave out what is not there: the wire knows no null."""
    return UNSET if value is None else value
