from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import UNSET

from genred import reports
from genred.clock import UtcClock
from genred.config import Thresholds
from genred.messages import Counters, Event, State
from genred.ring import Block
from genred.sources import Clock, Stamp
from genred.station import CONNECTED_S, LOOK_S, STALLED_S, Due
from rig import BLOCK_S, DELAY_S, HOP, PROCESS, SPAN, FakeSource, Rig, new_epoch

LIVE = {"device": True, "arrival": True, "none": False}


def kinds(events: list[Event]) -> list[str]:
    return [event.event for event in events]


def balanced(counters: Counters) -> bool:
    """The identities of the design, and that nothing is negative."""
    return (
        counters.expected == counters.captured + counters.lost
        and counters.captured == counters.fed + counters.overwritten + counters.discarded + counters.waiting
        and min(getattr(counters, name) for name in counters.__struct_fields__) >= 0
    )


# Books


class Books(Rig):
    """A rig that checks the books each time the station has listened."""

    def __init__(self, source: FakeSource) -> None:
        super().__init__(source)
        self.answered = self.failed = self.dropped = 0
        self._numbers: dict[int, int] = {}  # newest window by epoch

    def listen_and_check(self, failing: bool = False) -> None:
        dues = self.station.listen(self.now_s + DELAY_S)
        epoch, total = self.station.counters()
        assert balanced(epoch)
        assert balanced(total)
        assert total.captured == self.delivered - self.unopened()
        assert total.due == total.published + total.skipped + len(dues)
        for due in dues:
            assert due.window.number > self._numbers.get(due.stretch.number, -1)
            self._numbers[due.stretch.number] = due.window.number
            if failing:  # as the worker books an answer that is none
                due.stretch.skipped += 1
                due.stretch.failed += 1
                self.failed += 1
            else:
                due.stretch.published += 1
                self.answered += 1
        epoch, total = self.station.counters()
        assert total.due == total.published + total.skipped
        assert epoch.due == epoch.published + epoch.skipped
        assert total.published == self.answered
        assert self.station.faults().failed == self.failed
        assert len(dues) <= 1 or not self.source.live
        if not self.source.live:
            assert total.overwritten == 0
            assert total.skipped == self.failed

    def room_s(self) -> float:
        """How much can be delivered at once: a source that can wait fills the ring, and then does."""
        assert self.intake is not None
        return float("inf") if self.source.live else self.intake.ring.free / self.intake.rate_hz

    def unopened(self) -> int:
        """Samples in connections that the station has not come to yet."""
        return sum(intake.ring.written for intake in self.supervisor.arrivals)


deliveries = st.tuples(st.just("deliver"), st.sampled_from([0.02, 0.1, 0.3, 1.0, 4.0, 12.0, 25.0]))
steps = st.lists(
    st.one_of(
        deliveries,
        deliveries,
        st.tuples(st.just("silence"), st.sampled_from([0.5, 4.0])),
        st.tuples(st.just("play"), st.sampled_from([1.0, 15.0])),
        st.tuples(st.just("nothing comes"), st.sampled_from([0.05, 0.5, 1.5, 11.0])),
        st.tuples(st.just("connect"), st.sampled_from([2000, 3000, 4410])),
        st.tuples(st.just("lost"), st.just(0.0)),
        st.tuples(st.just("listen"), st.just(0.0)),
        st.tuples(st.just("fail"), st.just(0.0)),
    ),
    max_size=25,
)


@settings(max_examples=60)
@given(st.sampled_from(["device", "arrival", "none"]), st.integers(1, 2), steps)
def test_the_books_always_balance(clock: str, channels: int, plan: list[tuple[str, float]]) -> None:
    """Expected = captured + lost, captured = fed + overwritten + discarded + waiting, due = published + skipped.

    Of the present epoch and of all together, after every round, under any order of blocks, overruns, losses short and
    long, silence, new formats, lost and new connections, late workers and failing models; and every sample that was
    ever delivered is in them.
    """
    rig = Books(FakeSource(clock, live=LIVE[clock]))  # type: ignore[arg-type]
    for what, size in [("connect", 2000), *plan, ("lost", 0.0)]:
        open_ = rig.intake is not None and not rig.intake.closed
        if what == "connect":
            if rig.supervisor.arrivals:  # a source that can wait does, until the one before is taken
                rig.listen_and_check()
            rig.connect(int(size), channels)
        elif what in ("deliver", "silence") and open_:
            rig.deliver(min(size, rig.room_s()), -20.0 if what == "deliver" else -120.0)
        elif what == "play" and open_:
            for _ in range(round(size / 0.1)):
                rig.listen_and_check()
                rig.deliver(0.1)
        elif what == "nothing comes":
            rig.wait(size)
        elif what == "lost":
            rig.end()
            rig.listen_and_check()
        elif what in ("listen", "fail"):
            rig.listen_and_check(failing=what == "fail")
    rig.listen_and_check()
    _, total = rig.station.counters()
    assert total.captured == rig.delivered
    assert total.waiting == 0


def test_totals_are_the_sum_of_epochs() -> None:
    """What an epoch counted is in the total for good, after it has ended and others have begun."""
    rig, epochs = Rig(), []
    for rate_hz in (2000, 3000, 2000):
        rig.connect(rate_hz)
        rig.play(1.0)
        rig.end()
        rig.listen()
        epochs.append(rig.station.counters()[0])
        rig.listen()
    total = rig.station.counters()[1]
    for name in total.__struct_fields__:
        assert getattr(total, name) == sum(getattr(epoch, name) for epoch in epochs)
    assert total.published > 0 < total.discarded


def test_what_waits_and_what_is_fed() -> None:
    """Before a worker has listened all waits in the ring; afterwards less than a frame does."""
    rig = Rig()
    rig.connect()
    rig.deliver(1.0)
    assert rig.station.counters()[0] == Counters()
    rig.listen()
    rig.deliver(0.5)
    counters = rig.station.counters()[0]
    assert (counters.captured, counters.fed + counters.waiting) == (3000, 3000)
    assert 1000 <= counters.waiting < 1000 + 64
    assert rig.station.stretch is not None
    assert rig.station.stretch.ring_fill == pytest.approx(0.05)


# Gaps


def test_a_short_overrun_is_filled() -> None:
    """Up to a second that a late worker overwrote is zeros in its place: same epoch, counted, told in the windows."""
    rig = Rig()
    rig.connect()
    before = rig.play(1.0)
    rig.events()
    rig.deliver(10.8)  # the ring holds 10 s
    (due,) = rig.listen()
    (event,) = rig.events()
    assert (event.event, event.samples, event.duration_ms) == ("overrun", 1600, 800.0)
    assert due.stretch is before[-1].stretch
    counters = rig.station.counters()[0]
    assert (counters.overwritten, counters.lost) == (1600, 0)
    assert due.window.last_sample == pytest.approx(11.8 * 2000, abs=HOP)
    assert due.window.lost_ms == 0.0


def test_an_overrun_is_told_in_its_windows() -> None:
    """Every window with overwritten audio in it says how much; the others have lost nothing."""
    rig = Rig(FakeSource(live=False))  # so that no window is skipped
    rig.connect()
    dues = rig.play(1.0)
    rig.deliver(10.8)
    dues += rig.listen()
    for due in dues:
        begin_s, end_s = due.window.first_sample / 2000, (due.window.last_sample + 1) / 2000
        inside_s = max(0.0, min(end_s, 1.8) - max(begin_s, 1.0))
        assert due.window.lost_ms == pytest.approx(1000 * inside_s, abs=1e-6)
    assert max(due.window.lost_ms for due in dues) == 1000 * SPAN / 2000


@pytest.mark.parametrize(("gap_s", "filled"), [(0.02, True), (1.0, True), (1.02, False), (5.0, False)])
def test_a_second_is_the_border(gap_s: float, filled: bool) -> None:
    """A gap of up to a second keeps the epoch; a longer one flushes it, and warm-up begins again."""
    rig = Rig()
    rig.connect()
    rig.play(2.0)
    rig.events()
    rig.deliver(10.0 + gap_s)
    rig.listen()
    events = rig.events()
    assert kinds(events) == (["overrun"] if filled else ["overrun", "epoch"])
    assert events[0].duration_ms == pytest.approx(1000 * gap_s)
    epoch, total = rig.station.counters()
    assert total.overwritten == round(2000 * gap_s)
    assert rig.station.stretch is not None
    assert rig.station.stretch.number == (0 if filled else 1)
    assert epoch.captured == (2000 * (12 + gap_s) if filled else 2000 * 10)


def test_a_new_epoch_warms_up() -> None:
    """After a long gap windows number from 0, hold nothing from before it, and the first is as late as ever."""
    rig = Rig()
    rig.connect()
    rig.play(2.0)
    rig.deliver(13.0)
    rig.listen()
    dues = rig.play(1.0)
    fresh = Rig()
    fresh.connect()
    fresh.deliver(10.0)
    fresh.listen()
    expected = fresh.play(1.0)
    assert [due.window.number for due in dues] == [due.window.number for due in expected]
    assert {due.stretch.number for due in dues} == {1}
    assert {due.window.lost_ms for due in dues} == {0.0}


class Recorded(Rig):
    """A rig that knows what it handed over in the present connection."""

    blocks: list[Block]

    def connect(self, rate_hz: int = 2000, channels: int = 1) -> None:
        super().connect(rate_hz, channels)
        self.blocks = []

    def hand_over(self, block: Block) -> None:
        super().hand_over(block)
        self.blocks.append(block)


@pytest.mark.parametrize("rate_hz", [2000, 4410])
@pytest.mark.parametrize("how", ["a long loss", "a long overrun", "a new connection"])
def test_an_epoch_holds_nothing_from_before(how: str, rate_hz: int) -> None:
    """Resampler, gain, levels and frames are flushed: its windows are those of a station that begins with its audio."""
    rig = Recorded(FakeSource(live=False))  # so that no window is skipped
    rig.connect(rate_hz)
    rig.play(20.0, dbfs=-60)
    if how == "a long loss":
        rig.wait(5.0)
    elif how == "a long overrun":
        rig.deliver(13.0, dbfs=-60)
    else:
        rig.end()
        rig.listen()
        rig.connect(rate_hz)
    dues = [due for due in rig.play(6.0, dbfs=-30) if due.stretch.number == 1]
    audio = np.concatenate(rig.blocks)[dues[0].stretch.begins_at :, 0]
    expected = new_epoch(rate_hz, None).feed(audio)
    assert len(dues) == len(expected) > 10
    for due, window in zip(dues, expected, strict=True):
        assert due.window.mfcc.tobytes() == window.mfcc.tobytes()
        assert (due.window.gain_db, due.window.level_dbfs) == (window.gain_db, window.level_dbfs)
        assert due.window.lost_ms == 0.0


def test_a_short_loss_at_the_device() -> None:
    """0.5 s that never came are found by the clock: told once, counted as lost, zeros in the same epoch."""
    rig = Rig(FakeSource(live=False))  # so that no window is skipped
    rig.connect()
    rig.play(20.0)
    rig.wait(0.5)
    rig.events()
    dues = rig.play(20.0)
    (event,) = [event for event in rig.events() if event.event != "state"]  # so short a window may be all zeros: silent
    assert (event.event, event.epoch) == ("loss", 0)
    assert event.duration_ms == pytest.approx(500, abs=20)
    epoch, total = rig.station.counters()
    assert epoch == total
    assert epoch.lost == event.samples == pytest.approx(1000, abs=40)
    assert epoch.expected == epoch.captured + epoch.lost
    inside = [due for due in dues if due.window.lost_ms]
    assert inside
    assert max(due.window.lost_ms for due in inside) == pytest.approx(1000 * SPAN / 2000)
    assert dues[-1].window.lost_ms == 0.0
    assert dues[-1].window.last_sample == pytest.approx(40.5 * 2000, abs=HOP + 40)


def test_a_long_loss_at_the_device() -> None:
    """5 s that never came begin a new epoch, and are in the books of the old one."""
    rig = Rig()
    rig.connect()
    rig.play(20.0)
    rig.events()
    rig.wait(5.0)
    rig.play(10.0)
    events = [event for event in rig.events() if event.event != "state"]
    assert kinds(events) == ["loss", "epoch"]
    assert events[0].duration_ms == pytest.approx(5000, abs=20)
    epoch, total = rig.station.counters()
    assert (epoch.lost, total.lost) == (0, events[0].samples)
    assert rig.station.stretch is not None
    assert rig.station.stretch.number == 1


@pytest.mark.parametrize("clock", ["arrival", "none"])
def test_elsewhere_late_is_not_lost(clock: str) -> None:
    """A stream or a file that pauses has lost nothing: its audio only comes later, and is heard later."""
    rig = Rig(FakeSource(clock))  # type: ignore[arg-type]
    rig.connect()
    rig.play(20.0)
    rig.wait(5.0)
    *_, last = rig.play(15.0)
    assert last.heard_s == (pytest.approx(rig.now_s, abs=HOP / 2000 + BLOCK_S) if clock == "arrival" else None)
    assert "loss" not in kinds(rig.events())
    assert rig.station.counters()[1].lost == 0
    assert rig.station.counters()[0].captured == 35 * 2000


def test_absence_is_lost() -> None:
    """While a device is gone its audio is lost: counted, in seconds, in the epoch that begins when it is back."""
    rig = Rig()
    rig.connect()
    rig.play(3.0)
    rig.end()
    rig.listen()
    rig.wait(7.0)
    rig.connect()
    rig.events()
    rig.play(1.0)
    (loss,) = [event for event in rig.events() if event.event == "loss"]
    assert loss.duration_ms == pytest.approx(7000, abs=1000 * BLOCK_S)
    epoch, total = rig.station.counters()
    assert epoch.lost == total.lost == loss.samples
    assert rig.station.counters()[0].expected == total.expected - 3 * 2000


# Windows


def test_a_new_format_is_a_new_epoch() -> None:
    """When the rate changes, what there is is flushed and positions begin again, at the model's rate as before."""
    rig = Rig()
    rig.connect(2000)
    rig.play(1.0)
    rig.connect(4410, channels=2)
    dues = rig.play(1.0)
    assert {due.stretch.number for due in dues} == {1}
    assert [due.window.first_sample for due in dues] == [HOP * due.window.number for due in dues]
    events = [event for event in rig.events() if event.event == "epoch"]
    assert [(event.epoch, event.text) for event in events] == [
        (0, "epoch 0 begins, 2000 Hz"),
        (1, "epoch 1 begins, 4410 Hz"),
    ]


def test_a_new_format_loses_nothing() -> None:
    """A device that goes on at once in another format has lost nothing, and no loss is told."""
    rig = Rig()
    rig.connect(2000)
    rig.play(1.0)
    rig.connect(3000)
    rig.play(1.0)
    assert "loss" not in kinds(rig.events())
    assert rig.station.counters()[1].lost == 0


def test_channels_are_mixed() -> None:
    """Two channels are their mean: what is opposite in them is silence."""
    rig = Rig(gain_db=0.0)
    rig.connect(channels=2)
    tone = np.sin(np.arange(1000, dtype=np.float32))[:, None]
    rig.hand_over(np.concatenate([tone, -tone], axis=1))
    (due,) = rig.listen()
    assert due.window.level_dbfs < -100


def test_odd_numbers_are_mixed() -> None:
    """Channels that have no mean are a sample that is no number, without a warning: counted, and 0."""
    rig = Rig()
    rig.connect(channels=2)
    block = rig.noise(1000)
    block[500] = np.inf, -np.inf
    rig.hand_over(block)
    rig.listen()
    assert rig.station.faults().nonfinite == 1


def test_newest_wins() -> None:
    """A late worker judges the newest due window of a live station; those it skips are counted."""
    rig = Rig()
    rig.connect()
    rig.deliver(5.0)
    (due,) = rig.listen()
    windows = (5 * 2000 - SPAN) // HOP + 1
    assert due.window.number == windows - 1
    assert rig.station.counters()[0].skipped == windows - 1
    assert rig.station.counters()[0].due == windows


def test_what_comes_in_a_lump_is_not_late() -> None:
    """A server that sends many windows at once makes a station skip, but not the machine too slow."""
    lump, late = Rig(FakeSource("arrival")), Rig(FakeSource("arrival"))
    for rig in (lump, late):
        rig.connect()
    assert lump.intake is not None
    lump.intake.ring.write(lump.noise(5 * 2000))
    lump.intake.stamps.append(Stamp(lump.intake.ring.written, lump.now_s, lump.now_s))
    late.deliver(5.0)
    for rig in (lump, late):
        rig.listen()
    windows = (5 * 2000 - SPAN) // HOP + 1
    assert lump.station.counters()[0].skipped == late.station.counters()[0].skipped == windows - 1
    assert (lump.station.late, late.station.late) == (0, windows - 1)


def test_what_can_wait_skips_nothing() -> None:
    """A file has every window judged, in order, however late the worker comes."""
    rig = Rig(FakeSource("none", live=False, finite=True))
    rig.connect()
    dues: list[Due] = []
    for _ in range(4):
        rig.deliver(5.0)
        dues += rig.listen()
    rig.end("ended", "")
    dues += rig.listen()
    assert [due.window.number for due in dues] == list(range((20 * 2000 - SPAN) // HOP + 1))
    assert rig.station.counters()[1].skipped == 0
    assert rig.station.state == "ended"


def test_the_last_windows_are_heard() -> None:
    """What the resampler still holds at the end of a file is heard: the windows are those of its whole length."""
    rig = Rig(FakeSource("none", live=False, finite=True))
    rig.connect(4410)
    rig.deliver(3.0)
    dues = rig.listen()
    rig.end("ended", "")
    dues += rig.listen()
    assert len(dues) == (3 * 2000 - SPAN) // HOP + 1


def test_one_listen_takes_what_is_there() -> None:
    """A writer that is as fast as the reader does not keep the worker at one station: each round takes one ring."""
    rig = Rig(FakeSource("none", live=False))
    rig.connect()
    rig.deliver(1.0)
    assert rig.station.stretch is None
    rig.listen()
    station_epoch = rig.station.stretch
    assert station_epoch is not None
    feed = station_epoch.epoch.feed

    def and_write_more(samples):  # type: ignore[no-untyped-def]
        rig.deliver(0.02)
        return feed(samples)

    station_epoch.epoch.feed = and_write_more  # type: ignore[method-assign]
    rig.deliver(1.0)
    before = rig.delivered
    rig.listen()
    assert rig.station.counters()[0].fed <= before
    assert rig.delivered > before


@pytest.mark.parametrize(("rate_hz", "most_s"), [(2000, BLOCK_S), (4410, 0.4)])
def test_when_a_window_was_handed_over_and_heard(rate_hz: int, most_s: float) -> None:
    """A window knows the hand-over of the block that completed it, and when its last sample sounded.

    At another rate than the model's the block is a later one: the resampler holds up to 0.4 s of this rig's rate.
    """
    rig = Rig()
    rig.connect(rate_hz)
    started_s = rig.now_s
    dues = rig.play(10.0)
    for due in dues[3:]:
        completed_s = started_s + (due.window.last_sample + 1) / 2000
        assert due.handed_over_s == pytest.approx(completed_s + DELAY_S, abs=most_s)
        assert due.handed_over_s >= completed_s
        assert due.heard_s == pytest.approx(completed_s + DELAY_S, abs=0.002)


def test_when_a_window_was_heard_after_a_long_gap() -> None:
    """Times go on through overruns and losses, short and long: a later epoch's windows sounded later."""
    rig = Rig()
    rig.connect()
    rig.play(30.0)
    for gap_s in (0.5, 4.0):
        rig.deliver(10.0 + gap_s)
        rig.listen()
        rig.play(3.0)
        rig.wait(gap_s)
        rig.play(15.0)
        dues = rig.play(2.0)
        assert dues[-1].heard_s == pytest.approx(rig.now_s + DELAY_S, abs=HOP / 2000 + 0.03)


def test_files_have_no_time() -> None:
    """A file's windows sounded at no time."""
    rig = Rig(FakeSource("none", live=False))
    rig.connect()
    assert {due.heard_s for due in rig.play(2.0)} == {None}


def test_a_fixed_gain() -> None:
    """gain= holds for every epoch of the station."""
    rig = Rig(gain_db=17.0)
    for _ in range(2):
        rig.connect()
        assert {due.window.gain_db for due in rig.play(1.0, dbfs=-60)} == {17.0}


# States


def test_a_life() -> None:
    """connecting, running, silent, running, stalled, running, lost, running: each change is one event."""
    rig = Rig()
    assert rig.station.state == "connecting"
    rig.listen()
    rig.connect()
    rig.listen()
    assert rig.states() == []
    rig.play(5.0)
    assert rig.states() == ["running"]
    rig.play(5.0, dbfs=-100)
    assert rig.states() == ["silent"]
    rig.play(1.0)
    assert rig.states() == ["running"]
    for _ in range(10):
        rig.wait(0.5)
        rig.listen()
    assert rig.states() == ["stalled"]
    rig.play(1.0)
    assert rig.states() == ["running"]
    rig.end("lost", "no such device")
    for _ in range(5):
        rig.listen()
        rig.wait(1.0)
    (event,) = rig.events()
    assert (event.state, event.previous, event.text) == ("lost", "running", "no such device")
    rig.connect()
    rig.wait(0.3)
    rig.listen()
    rig.play(1.0)
    assert rig.states() == ["running"]


@settings(max_examples=15)
@given(st.lists(st.sampled_from(["play", "silence", "wait", "lost", "connect"]), max_size=12))
def test_every_change_is_one_event(plan: list[str]) -> None:
    """Events of states follow each other: each begins where the one before ended, and none changes nothing."""
    rig, state = Rig(), "connecting"
    rig.connect()
    for what in plan:
        if what == "connect" or (rig.intake and rig.intake.closed and what in ("play", "silence")):
            rig.connect()
        if what == "play":
            rig.play(0.5)
        elif what == "silence":
            rig.play(4.0, dbfs=-120)
        elif what == "wait":
            for _ in range(6):
                rig.wait(0.5)
                rig.listen()
        elif what == "lost":
            rig.end()
        rig.listen()
        for event in rig.events():
            if event.event == "state":
                assert event.previous == state != event.state
                state = str(event.state)
        assert rig.station.state == state


def test_lost_again_is_no_news() -> None:
    """A device that is not there, attempt after attempt, is one event; the attempts are counted."""
    rig = Rig()
    for _ in range(10):
        rig.end("lost", "no such device")
        rig.listen()
    assert rig.states() == ["lost"]
    assert rig.station.faults().losses == 10
    assert rig.station.text == "no such device"


def test_opened_and_mute_is_stalled() -> None:
    """A device that can be opened and delivers nothing is stalled, not connecting for ever."""
    rig = Rig()
    rig.connect()
    for _ in range(round(STALLED_S / 0.1) + 2):
        rig.listen()
        rig.wait(0.1)
    assert rig.states() == ["stalled"]


def test_an_open_that_hangs_is_stalled() -> None:
    """A source whose thread neither connects nor gives up is stalled, not connecting for ever; then it may be lost."""
    rig = Rig()
    for _ in range(round(CONNECTED_S) + 2):
        rig.listen()
        rig.wait(1.0)
    assert rig.states() == ["stalled"]
    rig.end()
    rig.listen()
    assert rig.states() == ["lost"]


def test_back_again_is_not_stalled() -> None:
    """A device that was gone for long is not called stalled in the moment it is back, before its first block."""
    rig = Rig()
    rig.connect()
    rig.play(1.0)
    rig.end()
    for _ in range(20):
        rig.listen()
        rig.wait(1.0)
    rig.events()
    rig.connect()
    for _ in range(5):
        rig.wait(0.1)
        rig.listen()
    rig.play(0.1)
    assert rig.states() == ["running"]


def test_a_process_that_slept_saw_nothing() -> None:
    """When the whole process was stopped, the station is not stalled: the worker did not listen."""
    rig = Rig()
    rig.connect()
    rig.play(1.0)
    rig.wait(30.0)
    rig.listen()
    rig.play(1.0)
    assert rig.states() == ["running"]


def test_a_slow_worker_sees_states() -> None:
    """A worker whose rounds take longer than the time to be stalled still knows what runs."""
    rig = Rig()
    rig.connect()
    for _ in range(3):
        rig.deliver(STALLED_S + 1)
        rig.listen()
    assert rig.states() == ["running"]


@pytest.mark.parametrize(("clock", "states"), [("arrival", ["running", "stalled"]), ("none", ["running"])])
def test_a_pause_is_told_where_there_is_a_clock(clock: Clock, states: list[str]) -> None:
    """A pipe whose writer pauses is stalled; a file, which has no time, is not."""
    rig = Rig(FakeSource(clock, live=False))
    rig.connect()
    rig.play(1.0)
    for _ in range(10):
        rig.wait(1.0)
        rig.listen()
    assert rig.states() == states


def test_an_end() -> None:
    """A finite source ends, and that is no loss."""
    rig = Rig(FakeSource("none", live=False, finite=True))
    rig.connect()
    rig.play(1.0)
    rig.end("ended", "")
    rig.listen()
    assert rig.states() == ["running", "ended"]
    assert rig.station.faults().losses == 0


@pytest.mark.parametrize(("dbfs", "heard"), [(-20.0, "running"), (-120.0, "silent")])
@pytest.mark.parametrize(("end", "finite"), [("ended", True), ("lost", False)])
def test_what_came_and_went_was_there(dbfs: float, heard: str, end: State, finite: bool) -> None:
    """What comes, is heard and ends between two rounds of a worker has gone through every state."""
    rig = Rig(FakeSource("none", live=False, finite=finite))
    rig.connect()
    rig.deliver(5.0, dbfs)
    rig.end(end, "")
    rig.listen()
    assert rig.states() == [heard, end]


def test_what_came_mute_and_went_was_not_there() -> None:
    """A connection that ended before its first sample changes nothing but by its end."""
    rig = Rig()
    rig.connect()
    rig.end("lost", "gone")
    rig.listen()
    assert rig.states() == ["lost"]


def test_an_end_with_an_error() -> None:
    """What ended a finite source is an event of its own; all audio before it has been heard."""
    rig = Rig(FakeSource("none", live=False, finite=True))
    rig.connect()
    rig.deliver(2.0)
    rig.end("ended", "the disk is on fire")
    dues = rig.listen()
    assert len(dues) == (2 * 2000 - SPAN) // HOP + 1
    events = [event for event in rig.events() if event.event in ("error", "state")]
    assert [(event.event, event.text) for event in events] == [
        ("state", "running"),
        ("error", "the disk is on fire"),
        ("state", "the disk is on fire"),
    ]
    assert rig.station.state == "ended"


def test_events_name_their_station() -> None:
    """Every event says whose it is."""
    rig = Rig()
    rig.connect()
    rig.play(1.0)
    rig.deliver(15.0)
    rig.listen()
    rig.end()
    rig.listen()
    assert {event.station for event in rig.events()} == {"s"}


# Reload


@pytest.mark.parametrize("same_windows", [True, False])
def test_another_model(same_windows: bool) -> None:
    """Where windows are the same, none is missed and nothing is kept of the old model; else an epoch begins anew."""
    rig = Rig(FakeSource("none", live=False))
    rig.connect()
    before = rig.play(1.0)
    rig.station.hear_for(new_epoch, same_windows=same_windows)
    after = rig.play(1.0)
    numbers = [due.window.number for due in after]
    first = len(before) if same_windows else 0
    assert numbers == list(range(first, first + len(after)))
    assert len(after) == (2000 - SPAN) // HOP + 1 if not same_windows else 12
    assert before[-1].window.past is not after[0].window.past
    assert [due.stretch.number for due in after[:1]] == [0 if same_windows else 1]
    assert balanced(rig.station.counters()[1])
    assert rig.station.counters()[1].captured == 4000


def test_a_station_that_leaves() -> None:
    """It asks its source to end, is ended with the reason, and its books are closed: what was not read is discarded."""
    rig = Rig()
    rig.connect()
    rig.play(1.0)
    before = rig.station.counters()[1]
    rig.deliver(0.5)
    rig.station.leave(rig.now_s, "not wanted")
    assert rig.supervisor._stop.is_set()
    assert rig.events()[-1].text == "not wanted"
    total = rig.station.counters()[1]
    assert balanced(total)
    assert (total.captured, total.waiting) == (3000, 0)
    assert total.discarded == before.discarded + before.waiting + 1000


# Signal


def signals(rig: Rig) -> list[tuple[object, float | None]]:
    """What was wrong with the sound, and how long if that is over; s."""
    return [(e.signal, e.duration_ms / 1000 if e.duration_ms else None) for e in rig.events() if e.event == "signal"]


def test_silence_is_an_event_with_its_times() -> None:
    """Silence is told when it has lasted long enough, from its beginning on, and again when it is over."""
    rig = Rig()
    rig.connect()
    rig.play(5.0)
    begins_s = rig.now_s
    rig.play(10.0, dbfs=-100)
    begin, begin_heard_s = next((e, s) for e, s in rig.station.events if e.event == "signal")
    rig.play(1.0)
    (_, (end, end_heard_s)) = [(e, s) for e, s in rig.station.events if e.event == "signal"]
    assert (begin.signal, begin.duration_ms, begin.epoch) == ("silence", UNSET, 0)
    assert end.signal == "silence"
    assert end.duration_ms == pytest.approx(10_000, abs=200)
    assert begin.begin_s == end.begin_s == pytest.approx(5.0, abs=0.1)
    assert begin_heard_s == pytest.approx(begins_s, abs=0.1)
    assert end_heard_s == pytest.approx(begin_heard_s, abs=1e-6)


def test_a_dead_channel_is_told_before_the_mix() -> None:
    """A channel that dies is named, though the mix goes on; while it is dead the status says so."""
    rig = Rig(thresholds=Thresholds(dead_channel_s=2.0))
    rig.connect(channels=2)
    rig.play(2.0)
    for _ in range(250):
        block = rig.noise(40)
        block[:, 1] = 0
        rig.hand_over(block)
        rig.listen()
    (event,) = [event for event in rig.events() if event.event == "signal"]
    assert (event.signal, event.channel, event.text) == ("dead-channel", 2, "channel 2 is dead")
    assert reports.status(rig.station, None, PROCESS, UtcClock()).signal == ("dead-channel",)
    rig.play(1.0)
    assert signals(rig) == [("dead-channel", pytest.approx(5.0, abs=0.2))]


def test_the_end_of_an_epoch_ends_what_is_wrong() -> None:
    """When the source is lost, what was wrong with its sound is over; when it is back, it may begin again."""
    rig = Rig()
    for _ in range(2):
        rig.connect()
        rig.play(2.0)
        for _ in range(250):
            rig.hand_over(np.zeros((40, 1), np.float32))
            rig.listen()
        rig.end()
        rig.listen()
        told = sorted(signals(rig), key=str)
        assert [name for name, _ in told] == ["digital-silence", "digital-silence", "silence", "silence"]
        assert [s for _, s in told if s] == [pytest.approx(5.0, abs=0.2)] * 2


def test_a_filled_gap_is_no_fault_of_the_signal() -> None:
    """Zeros in the place of what was lost are not digital silence."""
    rig = Rig(thresholds=Thresholds(frozen_s=0.5))
    rig.connect()
    rig.play(2.0)
    rig.deliver(10.9)
    rig.listen()
    rig.play(2.0)
    assert signals(rig) == []
    for _ in range(50):
        rig.hand_over(np.zeros((40, 1), np.float32))
        rig.listen()
    (event,) = [e for e in rig.events() if e.event == "signal"]
    assert event.begin_s == pytest.approx(14.9, abs=0.1)  # what was overwritten took its time, too


def test_a_file_tells_where() -> None:
    """What is wrong with a file has a place in it, and no hour."""
    rig = Rig(FakeSource("none", live=False))
    rig.connect()
    rig.play(2.0)
    rig.play(4.0, dbfs=-100)
    ((event, heard_s),) = [(e, s) for e, s in rig.station.events if e.event == "signal"]
    assert event.begin_s == pytest.approx(2.0, abs=0.1)
    assert heard_s is None


def test_thresholds_are_the_stations() -> None:
    """What is silence at one station is music at another."""
    loud = Rig(thresholds=Thresholds(silence_dbfs=-30, silence_s=1.0))
    for rig in (loud, Rig()):
        rig.connect()
        rig.play(4.0, dbfs=-40)
    assert loud.station.state == "silent"
    assert rig.station.state == "running"


# Faults and rest


def test_faults_are_counted() -> None:
    """What is no number, clipped, overflowed or undecoded is counted once, over all epochs and connections."""
    rig = Rig()
    for _ in range(2):
        rig.connect()
        assert rig.intake is not None
        rig.play(1.0)
        block = rig.noise(100)
        block[3], block[5:8], block[9] = np.nan, 1.0, -np.inf
        rig.hand_over(block)
        rig.intake.overflows += 2
        rig.intake.interruptions += 1
        rig.listen()
        rig.deliver(13.0)  # an overrun: a new epoch of the same connection
        rig.listen()
        rig.end()
        rig.listen()
        rig.listen()
    rig.supervisor.attempt.count_error()
    rig.supervisor.crashes += 1
    faults = rig.station.faults()
    assert (faults.nonfinite, faults.clipped, faults.overflows, faults.interruptions) == (4, 6, 4, 2)
    assert (faults.undecoded, faults.crashes, faults.losses) == (1, 1, 2)


def test_how_long_a_worker_may_rest() -> None:
    """Until the next window can be complete, by the samples that are missing and the time since the last came."""
    rig = Rig()
    assert rig.station.until_due_s(rig.now_s) == float("inf")
    rig.connect()
    rig.deliver(0.3)
    rig.listen()
    missing_s = SPAN / 2000 - 0.3
    heard_s = rig.now_s + DELAY_S
    assert rig.station.until_due_s(heard_s) == pytest.approx(missing_s)
    assert rig.station.until_due_s(heard_s + missing_s / 2) == pytest.approx(missing_s / 2)
    assert rig.station.until_due_s(heard_s + 1) == 0.0
    for _ in range(5):
        rig.wait(1.0)
        rig.listen()
    assert rig.station.state == "stalled"
    assert rig.station.until_due_s(rig.now_s) == float("inf")


def test_when_a_station_wants_to_be_listened_to() -> None:
    """When a hop is complete, the ring half full or there is news; else only now and then, however much has come."""
    rig = Rig()
    assert rig.station.wants(rig.now_s)
    rig.listen()
    assert not rig.station.wants(rig.now_s)
    rig.connect()
    assert rig.station.wants(rig.now_s), "a connection is news"
    rig.deliver(0.02)
    rig.listen()
    hop_s = HOP / 2000
    rig.deliver(hop_s - 0.02)
    assert not rig.station.wants(rig.now_s)
    rig.deliver(0.02)
    assert rig.station.wants(rig.now_s)
    rig.listen()
    assert not rig.station.wants(rig.now_s)
    assert rig.station.wants(rig.now_s + LOOK_S + 2 * DELAY_S)
    rig.end()
    assert rig.station.wants(rig.now_s), "the end is news"


@pytest.mark.parametrize(("rate_hz", "least"), [(2000, 90), (4410, 20)])
def test_each_window_is_taken_as_soon_as_it_is_complete(rate_hz: int, least: int) -> None:
    """A worker that listens only when a station wants it finds every window with the block that completed it.

    The resampler hands out 0.4 s of this rig's rate at once, so of those windows only the newest is judged.
    """
    rig = Rig()
    rig.connect(rate_hz)
    dues: list[Due] = []
    for _ in range(400):
        rig.deliver(BLOCK_S)
        if rig.station.wants(rig.now_s):
            found = rig.listen()
            assert all(due.handed_over_s == rig.now_s + DELAY_S for due in found)
            dues += found
    assert len(dues) > least
    if rate_hz == 2000:
        assert rig.station.counters()[0].skipped == 0
