"""What ``genred watch`` makes of the messages of a daemon elsewhere; and the past of a station."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace

from genred.gathering import FIRST_ANSWER_S, STALE_S, Gathering
from genred.messages import Estimate, Hello, Message, Status, decode
from genred.snapshot import SLOT_S, SLOTS, History, Mark, Snapshot, StationView
from screenshot import recorded

GOLDEN = Path(__file__).parent / "golden"
ENDPOINT = "tcp://127.0.0.1:5557"
HELLO, ESTIMATE, STATUS, EVENT = (
    decode((GOLDEN / f"{name}.json").read_bytes()) for name in ("hello", "estimate", "status", "event-state")
)
assert isinstance(ESTIMATE, Estimate)
SMOOTHED, ESTIMATE = ESTIMATE, replace(ESTIMATE, smoothed=msgspec.UNSET)
SEGMENT = decode((GOLDEN / "segment.json").read_bytes())
BOOT = HELLO.boot


def after(*messages: Message, now_s: float = 100.0, every_s: float = 0.1) -> tuple[Gathering, Snapshot]:
    """What is known after `messages`, of which the first came at 100 s."""
    gathering = Gathering(ENDPOINT, 100.0)
    for number, message in enumerate(messages):
        gathering.heed(message, 100.0 + number * every_s)
    return gathering, gathering.snapshot(max(now_s, 100.0 + len(messages) * every_s))


def test_a_recorded_run_is_seen_as_it_was() -> None:
    """Of each station the newest status and estimate are shown, and the past of its labels, the newest last."""
    messages = recorded()
    _, snapshot = after(*messages, every_s=0.5)
    (view,) = snapshot.stations
    assert snapshot.remark == ""
    assert snapshot.hello == next(m for m in messages if isinstance(m, Hello))
    assert view.status == [m for m in messages if isinstance(m, Status)][-1]
    estimates = [m for m in messages if isinstance(m, Estimate)]
    assert view.estimate == estimates[-1]
    labels = [mark.what for mark in view.past if mark]
    assert labels[-1] == estimates[-1].label
    assert set(labels) <= {estimate.label or estimate.reason for estimate in estimates}
    assert view.hold_dbfs == max(m.peak_dbfs for m in [m for m in messages if isinstance(m, Status)][-3:])


def test_no_daemon_is_told_as_such() -> None:
    """First it asks; then it says that no daemon answers, where, and for how long."""
    gathering = Gathering(ENDPOINT, 100.0)
    assert gathering.snapshot(100.1).stations == ()
    assert "no daemon" not in gathering.remark(100.0 + FIRST_ANSWER_S / 2)
    assert gathering.snapshot(112.0).remark == f"no daemon answers at {ENDPOINT} for 12 s"
    assert gathering.snapshot(120.0).remark == f"no daemon answers at {ENDPOINT} for 20 s"


def test_a_daemon_that_goes_silent_leaves_stale_stations() -> None:
    """After STALE_S without a word the stations are stale, and stay in sight; when it tells again they are not."""
    gathering, snapshot = after(HELLO, STATUS, ESTIMATE)
    assert snapshot.stations[0].stale_s == 0
    late = gathering.snapshot(100.1 + STALE_S + 5)
    assert late.stations[0].stale_s == pytest.approx(STALE_S + 5)
    assert late.stations[0].estimate == ESTIMATE
    assert "no daemon answers" in late.remark
    gathering.heed(replace(STATUS, seq=STATUS.seq + 1), 110.0)
    back = gathering.snapshot(110.6)
    assert (back.stations[0].stale_s, back.remark) == (0, "")


def test_one_station_may_go_stale_alone() -> None:
    """A station of which nothing comes is stale although others are told of."""
    gathering, _ = after(HELLO, STATUS, replace(STATUS, station="fm4"))
    gathering.heed(replace(STATUS, station="fm4"), 110.0)
    snapshot = gathering.snapshot(110.5)
    stale_s = {view.status.station: view.stale_s for view in snapshot.stations}
    assert stale_s["fm4"] == 0
    assert stale_s["kitchen"] > STALE_S
    assert snapshot.remark == ""


def test_a_restart_keeps_the_past_only() -> None:
    """A message of another boot means that all else is forgotten: counters begin anew; the past goes on."""
    gathering, before = after(HELLO, STATUS, ESTIMATE)
    gathering.heed(replace(STATUS, boot="another", epoch=0), 106.0)
    snapshot = gathering.snapshot(106.6)
    (view,) = snapshot.stations
    assert snapshot.hello is None
    assert (view.status.epoch, view.estimate) == (0, None)
    assert before.stations[0].past[-1] == Mark("jazz", 0.75)
    assert view.past == (Mark("jazz", 0.75), None, None)
    gathering.heed(replace(HELLO, boot="another"), 107.0)
    assert gathering.snapshot(107.6).hello == replace(HELLO, boot="another")


def test_a_station_that_is_gone_is_gone() -> None:
    """A daemon that was started again without a station does not show it any more."""
    gathering, _ = after(HELLO, STATUS, replace(STATUS, station="fm4"))
    gathering.heed(replace(HELLO, boot="another", stations=HELLO.stations[1:]), 101.0)
    gathering.heed(replace(STATUS, boot="another", station="fm4"), 101.0)
    assert [view.status.station for view in gathering.snapshot(102.0).stations] == ["fm4"]


def test_a_repeated_estimate_is_no_past() -> None:
    """What is sent again to a late subscriber is shown as the newest, but was not heard now."""
    _, snapshot = after(HELLO, STATUS, replace(ESTIMATE, repeat=True))
    assert snapshot.stations[0].estimate == replace(ESTIMATE, repeat=True)
    assert not any(snapshot.stations[0].past)


def test_nothing_new_is_the_same_snapshot() -> None:
    """Without a message the snapshot is the same object, so that nothing is drawn again."""
    gathering, snapshot = after(HELLO, STATUS, ESTIMATE)
    assert gathering.snapshot(101.3) is snapshot
    gathering.heed(EVENT, 101.3)
    assert gathering.snapshot(101.4) is not snapshot


@pytest.mark.parametrize("first", [STATUS, ESTIMATE, EVENT])
def test_any_message_may_come_first(first: Message) -> None:
    """Without a hello, or without a status, there is a snapshot, too."""
    _, snapshot = after(first)
    assert snapshot.hello is None
    assert len(snapshot.stations) == isinstance(first, Status)


def estimate(label: str, confidence: float) -> Estimate:
    assert isinstance(ESTIMATE, Estimate)
    return replace(ESTIMATE, label=label, confidence=confidence)


def seen(history: History, now_s: float) -> StationView:
    assert isinstance(STATUS, Status)
    return history.view(STATUS, None, now_s)


def test_the_past_has_a_mark_each_slot() -> None:
    """The newest estimate of a slot stands for it, a slot without one is a gap, and an old past is forgotten."""
    history = History()
    history.heard(estimate("rock", 0.9), 10 * SLOT_S)
    history.heard(estimate("jazz", 0.5), 10.5 * SLOT_S)
    history.heard(replace(ESTIMATE, label=msgspec.UNSET, confidence=msgspec.UNSET, reason="silence"), 12 * SLOT_S)
    assert seen(history, 13.9 * SLOT_S).past == (Mark("jazz", 0.5), None, Mark("silence", 0.0))
    assert seen(history, 14.1 * SLOT_S).past == (Mark("jazz", 0.5), None, Mark("silence", 0.0), None)
    assert seen(history, (13 + SLOTS) * SLOT_S).past == (None,) * SLOTS


def test_a_slot_is_not_empty_before_it_is_over() -> None:
    """Between two estimates the newest column stays what it was, and its number is told."""
    history = History()
    history.heard(estimate("rock", 0.9), 10 * SLOT_S)
    for now_s in (10.1 * SLOT_S, 11.9 * SLOT_S):
        assert (seen(history, now_s).past, seen(history, now_s).slot) == ((Mark("rock", 0.9),), 10)
    history.heard(estimate("jazz", 0.5), 11.95 * SLOT_S)
    assert (seen(history, 12 * SLOT_S).past[-1], seen(history, 12 * SLOT_S).slot) == (Mark("jazz", 0.5), 11)


def test_a_long_hop_leaves_no_gaps() -> None:
    """An estimate stands for all slots of the audio since the one before, but not for a time in which none came."""
    assert isinstance(ESTIMATE, Estimate)
    rate_hz = (ESTIMATE.last_sample - ESTIMATE.first_sample + 1) / ESTIMATE.window_s
    hop_s, history = 2.3 * SLOT_S, History()

    def hear(number: int, at_s: float, epoch: int = 1) -> None:
        shift = round(number * hop_s * rate_hz)
        first, last = ESTIMATE.first_sample + shift, ESTIMATE.last_sample + shift
        history.heard(replace(ESTIMATE, first_sample=first, last_sample=last, epoch=epoch), at_s)

    for number in range(6):
        hear(number, 10 * SLOT_S + number * hop_s)
    assert None not in seen(history, 10 * SLOT_S + 5 * hop_s).past
    hear(6, 100 * SLOT_S)
    assert seen(history, 100 * SLOT_S).past[-4:] == (None, *[Mark("jazz", 0.75)] * 3)
    hear(60, 110 * SLOT_S, epoch=2)
    assert seen(history, 110 * SLOT_S).past[-2:] == (None, Mark("jazz", 0.75))


def test_the_past_is_of_smoothed_labels() -> None:
    """Where an estimate has a smoothed answer, that is its column: its mean, or that it is unsure."""
    history = History()
    history.heard(SMOOTHED, 10 * SLOT_S)
    assert SMOOTHED.smoothed is not msgspec.UNSET
    unsure = replace(SMOOTHED.smoothed, label=msgspec.UNSET, confidence=msgspec.UNSET, reason="unsure")
    history.heard(replace(SMOOTHED, smoothed=unsure), 11 * SLOT_S)
    assert seen(history, 11 * SLOT_S).past == (Mark("jazz", 0.5), Mark("unsure", 0.0))


def test_the_segment_that_goes_on_is_seen() -> None:
    """From its start to its end, but not after the daemon was started again, which has others."""
    _, snapshot = after(HELLO, STATUS, SEGMENT)
    assert snapshot.stations[0].segment == SEGMENT
    _, snapshot = after(HELLO, STATUS, SEGMENT, replace(SEGMENT, phase="end"))
    assert snapshot.stations[0].segment is None
    _, snapshot = after(HELLO, STATUS, SEGMENT, replace(HELLO, boot="other"), replace(STATUS, boot="other"))
    assert snapshot.stations[0].segment is None


def test_the_past_of_many_is_small() -> None:
    """Marks are rounded, so that ten minutes of hundreds of stations are a few objects."""
    history = History()
    for slot in range(2 * SLOTS):
        history.heard(estimate("rock", slot / (2 * SLOTS)), slot * SLOT_S)
    marks = seen(history, 2 * SLOTS * SLOT_S).past
    assert len(marks) == SLOTS
    assert len({id(mark) for mark in marks}) < 50


def test_a_peak_is_held_for_three_seconds() -> None:
    """The greatest of the last three peaks is held."""
    history = History()
    holds = []
    for peak_dbfs in (-20.0, -3.0, -30.0, -31.0, -32.0):
        history.measured(replace(STATUS, peak_dbfs=peak_dbfs))
        holds.append(seen(history, 0.0).hold_dbfs)
    assert holds == [-20.0, -3.0, -3.0, -3.0, -30.0]
