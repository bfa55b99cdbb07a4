from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime

import numpy as np
import pytest

from genred.clock import SampleClock, UtcClock

RATE = 44100
BLOCK = 1024
LEAST_DELAY_S = 0.01

Delay = Callable[[np.random.Generator, float], float]  # seconds, at a time


def quiet(rng: np.random.Generator, _time_s: float) -> float:
    return rng.exponential(0.003)


@dataclass
class Device:
    """A sound card and its driver, as their deliveries look.

    Attributes
    ----------
    ppm : float
        How much faster than it says the device samples.
    delay : callable
        Lateness of a delivery beyond LEAST_DELAY_S; deliveries stay in order.
    gaps : list of tuple
        (at, seconds) of audio that never comes.
    stops : list of tuple
        (from, to): nothing is delivered, and then all of it at once.
    """

    ppm: float = 0.0
    delay: Delay = quiet
    gaps: list[tuple[float, float]] = field(default_factory=list)
    stops: list[tuple[float, float]] = field(default_factory=list)
    seed: int = 0
    lost_s: float = 0.0
    found: list[tuple[float, float]] = field(default_factory=list)  # when, seconds

    def play(self, seconds: float) -> SampleClock:
        rng, clock, now_s, captured, missing = np.random.default_rng(self.seed), SampleClock(RATE), 0.0, 0, 0
        rate = RATE * (1 + self.ppm * 1e-6)
        for number in range(1, int(seconds * rate / BLOCK)):
            time_s = number * BLOCK / rate
            if any(at <= time_s < at + length for at, length in self.gaps):
                self.lost_s += BLOCK / RATE
                continue
            captured += BLOCK
            arrival_s = time_s + LEAST_DELAY_S + self.delay(rng, time_s)
            arrival_s = max([arrival_s, *(end for begin, end in self.stops if begin <= arrival_s < end)])
            now_s = max(now_s + 1e-5, arrival_s)
            clock.delivered(captured + missing, now_s)
            if samples := clock.lost():
                missing += samples
                self.found.append((now_s, samples / RATE))
        return clock


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    "delay",
    [quiet, lambda rng, _: rng.uniform(0, 0.1), lambda rng, _: 0.6 * (rng.random() < 0.05)],
    ids=["quiet", "uniform", "rare"],
)
def test_jitter_is_no_loss(delay: Delay, seed: int) -> None:
    """Deliveries that are late by up to 0.6 s, but complete, never show a loss, for 5 minutes."""
    device = Device(delay=delay, seed=seed)
    device.play(300)
    assert device.found == []


@pytest.mark.parametrize("ppm", [-100, -30, 30, 100])
def test_drift_is_no_loss(ppm: float) -> None:
    """A crystal that is off by 100 ppm, 60 ms in 10 minutes, never shows a loss."""
    device = Device(ppm=ppm)
    device.play(600)
    assert device.found == []


@pytest.mark.parametrize("ppm", [0, -100, 100])
@pytest.mark.parametrize("at_s", [20, 130])
@pytest.mark.parametrize("gap_s", [0.05, 0.3, 1.5, 10])
def test_a_loss_is_found_once(gap_s: float, at_s: float, ppm: float) -> None:
    """A loss is found to 10 ms, exactly once: large ones within some 3 s, small ones within 12 s."""
    device = Device(ppm=ppm, gaps=[(at_s, gap_s)])
    device.play(at_s + gap_s + 60)
    assert device.lost_s > 0.9 * gap_s
    ((when_s, seconds),) = device.found
    assert seconds == pytest.approx(device.lost_s, abs=0.01)
    assert when_s - at_s - gap_s < (4 if gap_s > 1 else 12)


@pytest.mark.parametrize("stop_s", [1.0, 10.0])
def test_a_backlog_is_no_loss(stop_s: float) -> None:
    """Deliveries that stop and then come all at once are late, not lost."""
    device = Device(stops=[(100, 100 + stop_s)])
    device.play(200)
    assert device.found == []


def test_a_backlog_that_drains_slowly_is_no_loss() -> None:
    """Not even while the backlog is worked off at 1.2 times the speed of sound being played."""
    device = Device(delay=lambda _, t: max(0.0, 10 - 1.2 * (t - 100)) if t > 100 else 0.0)
    device.play(200)
    assert device.found == []


def test_a_loss_with_a_backlog() -> None:
    """After a stop of 10 s the driver hands over the 2 s it kept, at once: 8 s are lost, and found once."""
    device = Device(gaps=[(102, 8)], stops=[(100, 110)])
    device.play(200)
    ((_, seconds),) = device.found
    assert seconds == pytest.approx(device.lost_s, abs=0.01) == pytest.approx(8, abs=0.03)


def test_each_loss_is_found() -> None:
    """Three losses are three findings, and together they are what was lost."""
    device = Device(ppm=50, gaps=[(50, 0.3), (100, 3), (150, 0.06)])
    device.play(220)
    assert len(device.found) == 3
    assert sum(seconds for _, seconds in device.found) == pytest.approx(device.lost_s, abs=0.03)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("most_s", [0.3, 0.6])
def test_load_is_no_loss(most_s: float, seed: int) -> None:
    """A minute of load that makes every delivery late by up to 0.6 s, and recovery: nothing was lost, nor is found."""
    device = Device(delay=lambda rng, t: rng.uniform(0, most_s) if 100 < t < 160 else quiet(rng, t), seed=seed)
    device.play(260)
    assert device.found == []


def test_a_loss_is_found_through_jitter() -> None:
    """Single deliveries are late by up to 0.1 s; the least delay of each second is not, and shows the loss to 10 ms."""
    device = Device(delay=lambda rng, _: rng.uniform(0, 0.1), gaps=[(130, 0.3)])
    device.play(190)
    ((when_s, seconds),) = device.found
    assert seconds == pytest.approx(device.lost_s, abs=0.01) == pytest.approx(0.3, abs=0.03)
    assert when_s < 150


def test_stalls_in_a_row_are_no_loss() -> None:
    """Half a minute in which deliveries come every 0.6 s only."""
    device = Device(stops=[(at, at + 0.6) for at in np.arange(100, 130, 0.62)])
    device.play(220)
    assert device.found == []


def test_a_shorter_delay_is_no_drift() -> None:
    """When the driver begins to deliver 0.1 s sooner, that is not extrapolated to a loss later."""
    device = Device(delay=lambda rng, t: quiet(rng, t) + (0.1 if t < 200 else 0.0))
    device.play(400)
    assert device.found == []


@pytest.mark.parametrize("ppm", [-100, 0, 100])
def test_monotonic_time_of_a_sample(ppm: float) -> None:
    """A sample sounded when it did, plus the least delay, to 5 ms, whatever the jitter and the drift."""
    clock = Device(ppm=ppm, delay=lambda rng, _: rng.exponential(0.05)).play(300)
    for age_s in (0, 1, 20):
        position = round((299 - age_s) * RATE)
        sounded_s = position / (RATE * (1 + ppm * 1e-6))
        assert clock.monotonic(position) == pytest.approx(sounded_s + LEAST_DELAY_S, abs=0.005)


def test_monotonic_time_under_load() -> None:
    """The envelope reaches over minutes: 50 s of deliveries all late by 0.1 s and more move no sample's time."""
    device = Device(delay=lambda rng, t: 0.1 + 0.05 * (int(t) * 3 % 5) if 100 < t < 150 else quiet(rng, t))
    clock = device.play(150)
    assert device.found == []
    assert clock.monotonic(round(149 * RATE)) == pytest.approx(149 + LEAST_DELAY_S, abs=0.005)


def test_monotonic_time_after_a_loss() -> None:
    """Samples after a loss, counted with what was lost, have their own times."""
    device = Device(gaps=[(100, 10)])
    clock = device.play(150)
    assert clock.monotonic(round(149 * RATE)) == pytest.approx(149 + LEAST_DELAY_S, abs=0.03)


def test_monotonic_time_of_nothing() -> None:
    """Before the first delivery there is no time, and nothing is lost."""
    clock = SampleClock(RATE)
    assert clock.monotonic(0) is None
    assert clock.lost() == 0


@dataclass
class Clocks:
    """A wall clock and a monotonic one that a test moves."""

    wall_s: float = 1_767_225_600.0  # 2026-01-01
    monotonic_s: float = 1000.0

    def wait(self, seconds: float) -> None:
        self.wall_s += seconds
        self.monotonic_s += seconds

    def utc(self) -> UtcClock:
        return UtcClock(wall=lambda: self.wall_s, monotonic=lambda: self.monotonic_s)


def test_utc_text() -> None:
    """A monotonic time is RFC 3339 in UTC, with microseconds where there are any."""
    utc = Clocks().utc()
    assert utc.text(1000.0) == "2026-01-01T00:00:00Z"
    assert datetime.fromisoformat(utc.text(1001.25)) == datetime.fromisoformat("2026-01-01T00:00:01.250000+00:00")


@pytest.fixture(params=["JST-9", "EST5"])
def elsewhere(request: pytest.FixtureRequest) -> Iterator[None]:
    """The machine is in that time zone."""
    with pytest.MonkeyPatch.context() as here:
        here.setenv("TZ", request.param)
        time.tzset()
        yield
    time.tzset()


@pytest.mark.usefixtures("elsewhere")
def test_utc_text_is_utc_wherever_the_machine_is() -> None:
    """The machine's own time zone changes nothing."""
    assert time.localtime(0)[:5] != time.gmtime(0)[:5]
    assert Clocks().utc().text(1000.0) == "2026-01-01T00:00:00Z"


def test_utc_is_read_again_each_minute() -> None:
    """A step of the wall clock is told once, within a minute, and times follow it from then on."""
    clocks = Clocks()
    utc = clocks.utc()
    clocks.wall_s += 3600
    clocks.wait(59)
    assert utc.step() == 0.0
    assert utc.text(1000.0) == "2026-01-01T00:00:00Z"
    clocks.wait(2)
    assert utc.step() == pytest.approx(3600)
    assert utc.step() == 0.0
    assert utc.text(1000.0) == "2026-01-01T01:00:00Z"
    clocks.wait(61)
    assert utc.step() == 0.0


def test_slewing_is_no_step() -> None:
    """What NTP corrects little by little is followed silently."""
    clocks = Clocks()
    utc = clocks.utc()
    for _ in range(10):
        clocks.wait(61)
        clocks.wall_s -= 0.03
        assert utc.step() == 0.0
    told = datetime.fromisoformat(utc.text(clocks.monotonic_s))
    assert told.timestamp() == pytest.approx(clocks.wall_s, abs=1e-3)


def test_real_clocks() -> None:
    """Without other clocks UTC is the system's."""
    told = datetime.fromisoformat(UtcClock().text(time.monotonic())).timestamp()
    assert told == pytest.approx(time.time(), abs=0.1)
