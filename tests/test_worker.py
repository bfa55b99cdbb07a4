from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

import pytest
from msgspec import UNSET

from conftest import LABELS, identities_hold
from genred.classifier import Verdict
from genred.clock import UtcClock
from genred.epoch import Window
from genred.errors import BatchError
from genred.messages import Counters, Estimate, Event, Hello, Message, Model, Segment, Status, encode
from genred.snapshot import Snapshot, StationView
from genred.worker import Worker
from rig import DELAY_S, HOP, SPAN, SPEC, FakeSource, Rig, new_early_epoch
from test_clock import Clocks

M = TypeVar("M", bound=Message)
HELLO = Hello(
    daemon="test",
    model=Model(name="fake", sha256="", provider="cpu"),
    labels=LABELS,
    sample_rate=SPEC.sample_rate,
    hop_frames=5,
    hop_s=0.08,
    window_frames=20,
    window_s=0.336,
    stations=(),
)
ROCK = Verdict("rock", 0.9, {"rock": 0.9, "pop": 0.1})
POP = Verdict("pop", 0.9, {"rock": 0.1, "pop": 0.9})


class FakePublisher:
    """Keeps what is sent."""

    endpoint = "tcp://nowhere:1"
    subscriptions = 3

    def __init__(self) -> None:
        self.sent: list[Message] = []
        self.times: list[tuple[float | None, float | None]] = []

    def send(self, message: Message, *, handed_over_s: float | None = None, heard_s: float | None = None) -> None:
        encode(message)  # what cannot be sent fails here
        self.sent.append(message)
        self.times.append((handed_over_s, heard_s))

    def take(self, kind: type[M]) -> list[M]:
        """Messages of a kind that were not taken before."""
        taken = [message for message in self.sent if isinstance(message, kind)]
        self.sent = [message for message in self.sent if not isinstance(message, kind)]
        return taken


class FakeClassifier:
    """Answers as a test says; `busy` is what happens meanwhile."""

    at_once = 16

    def __init__(self) -> None:
        self.verdict_of: Callable[[Window], Verdict | BatchError] = lambda _: ROCK
        self.busy: Callable[[], None] = lambda: None
        self.batches: list[int] = []

    def judge(self, windows: Sequence[Window]) -> list[Verdict | BatchError]:
        self.batches.append(len(windows))
        if windows:
            self.busy()
        return [self.verdict_of(window) for window in windows]


class Desk:
    """A worker that the test takes through its rounds, at the time it is."""

    def __init__(self, *rigs: Rig, utc: UtcClock | None = None) -> None:
        self.rigs = rigs
        for number, rig in enumerate(rigs):
            rig.station.name = f"s{number}"
        self.classifier, self.publisher = FakeClassifier(), FakePublisher()
        self.wake = threading.Event()
        self.worker = Worker(
            [rig.station for rig in rigs],
            self.classifier,  # type: ignore[arg-type]
            self.publisher,  # type: ignore[arg-type]
            utc or UtcClock(),
            HELLO,
            self.wake,
        )

    def play(self, seconds: float) -> None:
        for _ in range(round(seconds / 0.02)):
            for rig in self.rigs:
                rig.deliver(0.02)
            self.worker.round()


@pytest.fixture
def desk() -> Desk:
    rig = Rig()
    rig.connect()
    return Desk(rig)


# Estimates


def test_each_window_is_an_estimate(desk: Desk) -> None:
    """Each due window is judged and published, in order, with its label and where it is."""
    desk.play(2.0)
    estimates = [e for e in desk.publisher.take(Estimate) if e.label is not UNSET]
    assert [e.first_sample for e in estimates] == [n * HOP for n in range((4000 - SPAN) // HOP + 1)]
    for estimate in estimates:
        assert estimate.last_sample - estimate.first_sample + 1 == SPAN
        assert (estimate.station, estimate.label, estimate.confidence) == ("s0", "rock", 0.9)
        assert estimate.probabilities == {"rock": 0.9, "pop": 0.1}
        assert estimate.reason is estimate.progress is UNSET


def test_all_stations_in_one_batch() -> None:
    """Windows that are due together are judged together, and each answer goes to its own station."""
    desk = Desk(*[Rig() for _ in range(5)])
    for number, rig in enumerate(desk.rigs):
        rig.connect()
        rig.deliver(0.4, dbfs=-10.0 * number)
    answers = {}

    def by_level(window: Window) -> Verdict:
        answers[round(-window.level_dbfs / 10)] = window
        return Verdict(LABELS[round(-window.level_dbfs / 10)], 1.0, {})

    desk.classifier.verdict_of = by_level
    desk.worker.round()
    assert desk.classifier.batches == [5]
    labelled = {e.station: e.label for e in desk.publisher.take(Estimate)}
    assert labelled == {f"s{number}": LABELS[number] for number in range(5)}


def test_silence_is_an_answer(desk: Desk) -> None:
    """A verdict without a label is published with its reason, and counts as published."""
    desk.classifier.verdict_of = lambda _: Verdict(reason="silence")
    desk.play(0.4)
    (estimate,) = [e for e in desk.publisher.take(Estimate) if e.progress is UNSET]
    assert (estimate.reason, estimate.label, estimate.probabilities) == ("silence", UNSET, UNSET)
    assert desk.rigs[0].station.counters()[0].published == 1


def test_latency_is_from_the_hand_over(desk: Desk) -> None:
    """The publisher is told when the completing block was handed over, and when its sound sounded."""
    rig = desk.rigs[0]
    for seconds in (SPAN / 2000, HOP / 2000, HOP / 2000):
        rig.deliver(seconds)
        desk.worker.round()
        handed_over_s, heard_s = [times for times in desk.publisher.times if times != (None, None)][-1]
        assert handed_over_s == pytest.approx(rig.now_s + DELAY_S)
        assert heard_s == pytest.approx(rig.now_s + DELAY_S, abs=0.02)


# Segments


def heard(segments: Sequence[Segment]) -> list[tuple[str, int, object]]:
    return [(segment.phase, segment.number, segment.label) for segment in segments if segment.phase != "update"]


def test_a_change_of_genre_is_a_segment(desk: Desk) -> None:
    """One ends where the other begins; estimates have the smoothed answer."""
    desk.classifier.verdict_of = lambda window: ROCK if window.number < 30 else POP
    desk.play(4.0)
    told, estimates = desk.publisher.take(Segment), desk.publisher.take(Estimate)
    assert heard(told) == [("start", 0, "rock"), ("end", 0, "rock"), ("start", 1, "pop")]
    _, end, start = told
    assert end.last_sample + 1 == start.first_sample == pytest.approx(30 * HOP + SPAN / 2, abs=2 * HOP)
    assert (start.station, start.epoch) == ("s0", 0)
    assert estimates[-1].label == "pop"
    smoothed = [e.smoothed for e in estimates if e.smoothed is not UNSET]
    assert len(smoothed) == len([e for e in estimates if e.label is not UNSET])
    assert {one.label for one in smoothed} == {"rock"}  # that it holds for some seconds
    assert smoothed[0].delay_s < smoothed[-1].delay_s


def test_the_snapshot_has_the_segment_that_goes_on() -> None:
    """As long as it does."""
    rig = Rig(FakeSource("none", live=False, finite=True))
    desk = Desk(rig)
    rig.connect()
    rig.deliver(0.4)
    desk.worker.round()
    (start,) = desk.publisher.take(Segment)
    assert desk.worker.snapshot.stations[0].segment == start
    rig.end("ended", "")
    desk.worker.round()
    assert desk.worker.snapshot.finished
    assert desk.worker.snapshot.stations[0].segment is None


@pytest.mark.parametrize("end", ["lost", "ended"])
def test_a_source_that_goes_ends_its_segment(end: str) -> None:
    """At once, though no window comes any more; the snapshot has none then."""
    rig = Rig()
    desk = Desk(rig)
    rig.connect()
    desk.play(1.0)
    (start,) = desk.publisher.take(Segment)
    rig.end(end, "gone")  # type: ignore[arg-type]
    desk.worker.round()
    (told,) = desk.publisher.take(Segment)
    assert (told.phase, told.number, told.first_sample) == ("end", 0, start.first_sample)
    assert told.last_sample == [e.last_sample for e in desk.publisher.take(Estimate) if e.label is not UNSET][-1]
    desk.worker.round()
    assert desk.publisher.take(Segment) == []


def test_a_new_epoch_ends_a_segment(desk: Desk) -> None:
    """Its samples count from 0 again, the station's segments go on being counted; what was smoothed is forgotten."""
    desk.play(1.0)
    desk.classifier.verdict_of = lambda _: POP
    desk.rigs[0].connect(2000, channels=2)
    desk.play(1.0)
    told = desk.publisher.take(Segment)
    assert heard(told) == [("start", 0, "rock"), ("end", 0, "rock"), ("start", 1, "pop")]
    assert [segment.epoch for segment in told] == [0, 0, 1]
    assert told[-1].first_sample == 0
    first = next(e for e in desk.publisher.take(Estimate) if e.epoch == 1 and e.smoothed is not UNSET)
    assert first.smoothed is not UNSET
    assert (first.smoothed.label, first.smoothed.probabilities) == ("pop", POP.probabilities)


def test_silence_ends_a_segment(desk: Desk) -> None:
    """An estimate that says silence has no smoothed answer; after it a segment begins anew."""
    desk.classifier.verdict_of = lambda window: Verdict(reason="silence") if 5 <= window.number < 8 else ROCK
    desk.play(1.5)
    assert heard(desk.publisher.take(Segment)) == [("start", 0, "rock"), ("end", 0, "rock"), ("start", 1, "rock")]
    assert {e.smoothed for e in desk.publisher.take(Estimate) if e.reason == "silence"} == {UNSET}


def test_stations_have_segments_of_their_own() -> None:
    """What one plays is no evidence for another."""
    desk = Desk(Rig(), Rig())
    for rig in desk.rigs:
        rig.connect()
    desk.play(1.0)
    assert [(s.station, s.phase, s.number) for s in desk.publisher.take(Segment)] == [
        ("s0", "start", 0),
        ("s1", "start", 0),
    ]


def test_the_end_of_the_daemon_ends_segments(desk: Desk) -> None:
    """Who writes down what was played gets the last ones, too."""
    desk.play(1.0)
    desk.publisher.take(Segment)
    desk.worker.start()
    desk.worker.end(10.0)
    assert heard(desk.publisher.take(Segment)) == [("end", 0, "rock")]


def test_warming_up(desk: Desk) -> None:
    """Until the first window there is an estimate each hop that says how far it is."""
    desk.play(0.32)
    estimates = desk.publisher.take(Estimate)
    assert {e.reason for e in estimates} == {"warming-up"}
    progress = [e.progress for e in estimates]
    assert progress == sorted(progress)  # type: ignore[type-var]
    assert len(set(progress)) == len(progress) == 3
    assert 0 < progress[0] < progress[-1] < 1  # type: ignore[operator]
    desk.play(0.04)
    (first,) = desk.publisher.take(Estimate)
    assert first.label == "rock"
    assert "warming-up" not in [e.reason for e in desk.publisher.take(Estimate)]


def test_warming_up_again(desk: Desk) -> None:
    """A new epoch warms up anew, be the one before complete or not, and its estimates bear its number."""
    rig = desk.rigs[0]
    desk.play(1.0)
    for epoch in (1, 2):
        desk.publisher.take(Estimate)
        rig.connect(2000, channels=epoch)
        desk.play(0.12)
        estimates = desk.publisher.take(Estimate)
        assert [(e.reason, e.epoch, e.progress) for e in estimates] == [("warming-up", epoch, 0.25)]


def test_answers_before_a_window_is_full() -> None:
    """With a shorter first window, warming up ends there: each window that grows is an estimate that says how long."""
    rig = Rig(epochs=new_early_epoch)
    rig.connect()
    desk = Desk(rig)
    desk.play(0.5)
    estimates = desk.publisher.take(Estimate)
    forming = [e for e in estimates if e.reason == "warming-up"]
    assert [e.progress for e in forming] == [5 / 8]
    answers = estimates[len(forming) :]
    assert {e.label for e in answers} == {"rock"}
    assert [e.window_s for e in answers] == [SPEC.seconds(n) for n in (8, 10, 15, 20, 20, 20)]
    assert [e.first_sample for e in answers] == [0, 0, 0, 0, HOP, 2 * HOP]
    assert {round(e.window_s * 2000) - (e.last_sample + 1 - e.first_sample) for e in answers} == {0}
    assert rig.station.counters()[0].published == rig.station.counters()[0].due == 6


def test_windows_that_grow_are_counted() -> None:
    """One that is skipped because a newer one is due, or has no answer, is in the books as any other."""
    rig = Rig(epochs=new_early_epoch)
    rig.connect()
    desk = Desk(rig)
    desk.classifier.verdict_of = lambda w: BatchError("no") if w.number == 2 else ROCK
    for seconds in (SPEC.seconds(10), 0.08, 0.08):
        rig.deliver(seconds)
        desk.worker.round()
    assert [e.window_s for e in desk.publisher.take(Estimate)] == [SPEC.seconds(10), SPEC.seconds(20)]
    counters = rig.station.counters()[0]
    assert (counters.due, counters.published, counters.skipped) == (4, 2, 2)


def test_a_new_epoch_grows_again() -> None:
    """After a reconnection nothing of the old epoch is in a window: it warms up, and answers from the first horizon."""
    rig = Rig(epochs=new_early_epoch)
    rig.connect()
    desk = Desk(rig)
    desk.play(1.0)
    desk.publisher.take(Estimate)
    rig.connect(2000, channels=2)
    desk.play(0.24)
    estimates = desk.publisher.take(Estimate)
    assert {e.epoch for e in estimates} == {1}
    assert [e.reason for e in estimates] == ["warming-up", UNSET, UNSET]
    assert [e.window_s for e in estimates[1:]] == [SPEC.seconds(8), SPEC.seconds(10)]


def test_too_short(caplog: pytest.LogCaptureFixture) -> None:
    """A source that ends before its first window is told so, once, with the length of what was heard; and logged."""
    caplog.set_level(logging.INFO)
    rig = Rig(FakeSource("none", live=False, finite=True))
    desk = Desk(rig)
    rig.connect()
    desk.play(0.2)
    rig.end("ended", "")
    desk.worker.round()
    desk.worker.round()
    *_, last = desk.publisher.take(Estimate)
    assert (last.reason, last.clock) == ("too-short", "none")
    assert last.window_s == pytest.approx(0.2, abs=0.016)
    assert desk.publisher.take(Estimate) == []
    assert desk.worker.snapshot.finished
    assert [record.message for record in caplog.records].count("s0: too-short") == 1


# Trouble


def test_a_window_without_an_answer(desk: Desk) -> None:
    """It is an event, counted as failed and as skipped, and nothing is published for it; the next is as ever."""
    desk.classifier.verdict_of = lambda w: BatchError("not finite") if w.number == 1 else ROCK
    desk.play(0.6)
    estimates = [e for e in desk.publisher.take(Estimate) if e.label is not UNSET]
    assert [e.first_sample // HOP for e in estimates] == [0, 2, 3]
    (error,) = [event for event in desk.publisher.take(Event) if event.event == "error"]
    assert (error.station, error.text, error.epoch) == ("s0", "not finite", 0)
    station = desk.rigs[0].station
    counters = station.counters()[0]
    assert (counters.due, counters.published, counters.skipped) == (4, 3, 1)
    assert station.faults().failed == 1
    assert estimates[-1].skipped == 1


def test_a_failing_station_leaves_others_alone() -> None:
    """While one station's windows have no answer, the others' have."""
    desk = Desk(Rig(), Rig())
    for rig in desk.rigs:
        rig.connect()
    bad, good = desk.rigs
    desk.classifier.verdict_of = lambda w: BatchError("no") if w.level_dbfs < -50 else ROCK
    for _ in range(20):
        bad.deliver(0.05, dbfs=-60)
        good.deliver(0.05)
        desk.worker.round()
    assert {e.station for e in desk.publisher.take(Estimate) if e.label is not UNSET} == {"s1"}
    assert bad.station.counters()[0].published == good.station.counters()[0].skipped == 0
    assert good.station.counters()[0].published == bad.station.counters()[0].skipped > 5


@pytest.mark.parametrize("hops", [0.7, 1.0, 3.5, 40])
def test_a_slow_classifier(desk: Desk, hops: float) -> None:
    """A classifier that takes longer than a hop makes the worker skip, never lag: what it judges is always the newest.

    While it works the device delivers `hops` hops more. Each answer is for a window that was the newest when the
    worker asked; what was passed over is counted.
    """
    rig = desk.rigs[0]
    lags: list[int] = []

    def work() -> None:
        rig.deliver(hops * HOP / 2000)

    def answer(window: Window) -> Verdict:
        lags.append(asked_at - window.last_sample - 1)
        return ROCK

    desk.classifier.busy, desk.classifier.verdict_of = work, answer
    rig.deliver(SPAN / 2000)
    for _ in range(30):
        asked_at = rig.delivered
        desk.worker.round()
    assert max(lags) <= HOP
    counters = rig.station.counters()[0]
    assert counters.published == len(lags)
    assert counters.due == counters.published + counters.skipped
    assert counters.skipped == pytest.approx(max(hops - 1, 0) * (len(lags) - 1), abs=1)
    assert desk.publisher.take(Estimate)[-1].skipped == counters.skipped


def test_a_machine_that_cannot_keep_up_says_so_and_skips_fairly() -> None:
    """Each round takes three hops: every station skips as much as every other, and event, status and snapshot tell."""
    desk = Desk(*(Rig() for _ in range(5)))
    for rig in desk.rigs:
        rig.connect()
        rig.wait(-60.0)  # what is delivered lies in the past
    desk.play(0.5)
    assert not desk.worker.snapshot.remark
    for _ in range(8):
        for rig in desk.rigs:
            rig.deliver(3 * HOP / SPEC.sample_rate)
        desk.worker.round()
    skipped = [rig.station.counters()[0].skipped for rig in desk.rigs]
    assert skipped == [16] * 5
    desk.worker._status_due_s = 0.0
    desk.worker.round()
    (event,) = [event for event in desk.publisher.take(Event) if event.event == "overload"]
    assert "cannot keep up" in event.text
    assert event.station is UNSET
    assert desk.publisher.take(Status)[-1].process.overloaded is True
    assert desk.worker.snapshot.remark == event.text


def test_overruns_of_a_worker_that_is_very_late(desk: Desk) -> None:
    """Even after half a minute of absence the worker goes on with the newest audio, and the books balance."""
    rig = desk.rigs[0]
    desk.play(1.0)
    rig.deliver(30.0)
    desk.worker.round()
    desk.play(1.5)
    epoch, total = rig.station.counters()
    assert 20 * 2000 <= total.overwritten < 20.1 * 2000  # what had come since the worker last listened is in it
    assert total.captured == 32.5 * 2000
    assert epoch.due == epoch.published + epoch.skipped
    assert [event.event for event in desk.publisher.take(Event) if event.event != "state"] == [
        "epoch",
        "overrun",
        "epoch",
    ]


# Events and status


def test_events_are_published_and_logged(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    """What happens is an event for programs and a line in the log for people; trouble is a warning."""
    with caplog.at_level(logging.INFO):
        desk.play(0.1)
        desk.rigs[0].end("lost", "the cable is out")
        desk.worker.round()
    events = desk.publisher.take(Event)
    assert [(event.event, event.state) for event in events] == [
        ("epoch", UNSET),
        ("state", "running"),
        ("state", "lost"),
    ]
    assert {event.station for event in events} == {"s0"}
    assert [(record.levelname, record.message) for record in caplog.records] == [
        ("INFO", "s0: epoch 0 begins, 2000 Hz"),
        ("INFO", "s0: running"),
        ("WARNING", "s0: lost: the cable is out"),
    ]


def test_a_step_of_the_clock_is_an_event() -> None:
    """When the wall clock is set, that is told once, for the daemon and not for a station."""
    clocks, rig = Clocks(), Rig()
    desk = Desk(rig, utc=clocks.utc())
    clocks.wait(61)
    clocks.wall_s -= 120.5
    for _ in range(3):
        desk.worker.round()
    (event,) = desk.publisher.take(Event)
    assert (event.event, event.station) == ("clock-step", UNSET)
    assert event.duration_ms == pytest.approx(-120_500)
    assert event.text == "the wall clock moved by -120.500 s"


def test_status(desk: Desk) -> None:
    """The first round tells every station's health, then no more than one a second."""
    desk.play(0.5)
    (status,) = desk.publisher.take(Status)
    assert (status.station, status.state) == ("s0", "running")
    assert status.process.subscriptions == 3
    assert identities_hold(status)


def test_the_snapshot(desk: Desk) -> None:
    """What others see is replaced as a whole, and says the same as the messages."""
    before = desk.worker.snapshot
    assert (before.hello, before.endpoint, before.stations, before.finished) == (HELLO, "tcp://nowhere:1", (), False)
    desk.play(0.1)
    (status,) = desk.publisher.take(Status)
    (view,) = desk.worker.snapshot.stations
    assert view.status == status
    assert before.stations == ()


def records_in(value: Any) -> Iterator[Any]:
    """Every record in `value`, however deep."""
    if isinstance(value, tuple) and not hasattr(value, "_fields"):
        for part in value:
            yield from records_in(part)
    names = getattr(value, "__struct_fields__", None) or getattr(value, "__dataclass_fields__", ())
    if names:
        yield value
    for name in names:
        yield from records_in(getattr(value, name))


def test_nobody_can_change_a_snapshot(desk: Desk) -> None:
    """The main thread reads it while the worker works: every record in it is frozen."""
    desk.rigs[0].deliver(0.5)
    desk.worker.round()
    found = list(records_in(desk.worker.snapshot))
    assert {type(record) for record in found} >= {Snapshot, StationView, Hello, Status, Estimate, Counters}
    for record in found:
        name = next(iter(getattr(record, "__struct_fields__", None) or record.__dataclass_fields__))
        with pytest.raises(AttributeError):
            setattr(record, name, None)


def test_finished_when_all_have_ended() -> None:
    """The daemon has finished when every source has ended, and not before."""
    rigs = [Rig(FakeSource("none", live=False, finite=True)) for _ in range(2)]
    desk = Desk(*rigs)
    for rig in rigs:
        rig.connect()
    desk.play(0.5)
    rigs[0].end("ended", "")
    desk.worker.round()
    assert not desk.worker.snapshot.finished
    rigs[1].end("ended", "")
    desk.worker.round()
    assert desk.worker.snapshot.finished
    assert {view.status.state for view in desk.worker.snapshot.stations} == {"ended"}


# The thread


def test_an_error_in_the_worker_reaches_main(desk: Desk) -> None:
    """A fault of genred itself ends the worker and is kept for the main thread, which ends the process with it."""

    def broken(_window: Window) -> Verdict:
        raise ZeroDivisionError("a fault")

    desk.classifier.verdict_of = broken
    desk.rigs[0].deliver(0.5)
    desk.worker.start()
    desk.worker._thread.join(10)
    assert not desk.worker._thread.is_alive()
    assert isinstance(desk.worker.error, ZeroDivisionError)


def test_the_worker_ends_when_asked(desk: Desk) -> None:
    """It runs rounds until it is asked to end, and ends without an error."""
    desk.worker.start()
    began_s = desk.worker.alive_s
    deadline_s = time.monotonic() + 10
    while desk.worker.alive_s == began_s:
        assert time.monotonic() < deadline_s, "it runs no rounds"
        desk.wake.set()
    desk.worker.end(10)
    assert not desk.worker._thread.is_alive()
    assert desk.worker.error is None


def test_it_lives_while_a_round_takes_long() -> None:
    """Many stations are attended a few at a time, and each time counts: a long round is no hang."""
    rigs = [Rig() for _ in range(4)]
    for rig in rigs:
        rig.connect()
    desk = Desk(*rigs)
    desk.classifier.at_once = 1
    for rig in rigs:
        rig.deliver(0.5)
    alive_s: list[float] = []
    desk.classifier.busy = lambda: alive_s.append(desk.worker.alive_s)
    desk.worker.round()
    assert len(alive_s) == len(rigs)
    assert alive_s == sorted(set(alive_s)), "it seems to hang from batch to batch"


def test_a_hanging_batch_is_not_waited_for(desk: Desk) -> None:
    """At the end a batch may be on its way: it is waited for a moment only."""
    entered, release = threading.Event(), threading.Event()

    def hang() -> None:
        entered.set()
        release.wait()

    desk.classifier.busy = hang
    desk.rigs[0].deliver(0.5)
    desk.worker.start()
    assert entered.wait(10)
    desk.worker.end(0.01)
    assert desk.worker._thread.is_alive()
    assert desk.worker._thread.daemon
    release.set()
    desk.worker.end(10)
    assert not desk.worker._thread.is_alive()


def test_the_worker_is_woken_by_a_source(desk: Desk) -> None:
    """A source that could wait wakes the worker, which then hears it without waiting for its next round."""
    desk.worker.start()
    rig = desk.rigs[0]
    rig.deliver(0.5)
    desk.wake.set()
    for _ in range(1000):
        if any(isinstance(message, Estimate) for message in desk.publisher.sent):
            break
        threading.Event().wait(0.005)
    desk.worker.end(10)
    assert any(isinstance(message, Estimate) for message in desk.publisher.sent)
