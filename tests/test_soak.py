"""The soak's own parts: what it would not notice, it could not find."""

from __future__ import annotations

import itertools
import random
from pathlib import Path

import msgspec
import numpy as np
import pytest

from conftest import ROOT
from genred.messages import Estimate, Hello, Message, Status, decode
from genred.soak import ledger as books
from genred.soak.forms import MUSIC, Entry, Form
from genred.soak.ledger import Ledger
from genred.soak.orders import Order
from genred.soak.plan import DECK, plan
from genred.soak.recovery import MOST_S, Occurrence, Recoveries
from genred.soak.samples import Sample, slope, warm
from genred.soak.server import Station
from genred.soak.subject import Subject


def golden(name: str) -> Message:
    return decode((ROOT / "tests" / "golden" / f"{name}.json").read_bytes())


def samples(mb_per_h: float, minutes: float = 60.0, noise_mb: float = 2.0) -> list[Sample]:
    """Looks every ten seconds at a process that grows."""
    rng, at_s = np.random.default_rng(1), np.arange(0.0, 60 * minutes, 10.0)
    memory = 300.0 + mb_per_h * at_s / 3600 + rng.normal(0.0, noise_mb, len(at_s))
    return [Sample(float(s), float(mb), 20, 9, 0.0, 0, {}) for s, mb in zip(at_s, memory, strict=True)]


@pytest.mark.parametrize("mb_per_h", [-3.0, 0.0, 12.0])
def test_the_slope_of_memory(mb_per_h: float) -> None:
    """The interval has the truth in it, and is narrow enough to tell a leak."""
    found = slope(samples(mb_per_h))
    assert found is not None
    assert found.low < mb_per_h < found.high
    assert found.high - found.low < 4.0


def test_memory_that_wanders_is_less_sure() -> None:
    """Neighbouring looks know of each other: the interval is wider than that of as many independent ones."""
    steps = np.random.default_rng(3).normal(0.0, 2.0, 390)
    wandering = [Sample(10.0 * n, 300.0 + mb, 20, 9, 0.0, 0, {}) for n, mb in enumerate(np.cumsum(steps) * 0.5)]
    straight = slope(samples(0.0, noise_mb=float(np.std([s.memory_mb for s in wandering]))))
    found = slope(wandering)
    assert found is not None
    assert straight is not None
    assert found.high - found.low > 1.5 * (straight.high - straight.low)


def test_a_short_run_tells_no_slope() -> None:
    """Ten minutes of samples say nothing of an hour; the warm-up is of no account."""
    assert slope(samples(100.0, minutes=10)) is None
    assert warm(samples(0.0), 600.0)[0].at_s == 600.0


def test_the_same_seed_is_the_same_plan() -> None:
    """Kind, time and every choice; another seed is another plan, and each kind comes in a round."""

    def first(seed: int) -> list[tuple[object, ...]]:
        faults = itertools.islice(plan(seed, 3600.0), sum(DECK.values()))
        return [(one.at_s, one.kind, one.for_s, one.dice.random()) for one in faults]

    assert first(5) == first(5) != first(6)
    assert {kind for _, kind, *_ in first(5)} == set(DECK)
    times = [at_s for at_s, *_ in first(5)]
    assert times == sorted(times)


def test_a_short_run_has_every_kind_of_fault() -> None:
    """Twenty seconds, too."""
    assert {one.kind for one in itertools.takewhile(lambda one: one.at_s < 20.0, plan(0, 20.0))} == set(DECK)


@pytest.fixture
def status() -> Status:
    message = golden("status")
    assert isinstance(message, Status)
    return message


def test_a_ledger_of_good_books(status: Status) -> None:
    """What the examples of the protocol say is in order."""
    ledger = Ledger()
    for name in ("hello", "status", "estimate"):
        ledger.hear(golden(name), gaps=0)
    assert not ledger.broken, ledger.examples
    assert len(ledger.checked) > 5


@pytest.mark.parametrize(
    ("counter", "identity"),
    [
        ("lost", "expected = captured + lost"),
        ("fed", "captured = fed + overwritten + discarded + waiting"),
        ("waiting", "captured = fed + overwritten + discarded + waiting"),
        ("skipped", "due = published + skipped"),
    ],
)
@pytest.mark.parametrize("which", ["this_epoch", "total"])
def test_a_count_that_is_wrong_by_one(status: Status, which: str, counter: str, identity: str) -> None:
    """It is found, and the message is shown."""
    counts = getattr(status, which)
    wrong = msgspec.structs.replace(counts, **{counter: getattr(counts, counter) + 1})
    ledger = Ledger()
    ledger.hear(msgspec.structs.replace(status, **{which: wrong}), gaps=0)
    assert ledger.broken[identity] == 1
    assert any(example.startswith(identity) for example in ledger.examples)


def test_a_count_that_goes_back(status: Status) -> None:
    """From one status to the next."""
    ledger = Ledger()
    ledger.hear(status, gaps=0)
    back = {
        name: max(getattr(status.total, name) - 1, 0) for name in ("expected", "captured", "fed", "due", "published")
    }
    ledger.hear(msgspec.structs.replace(status, total=msgspec.structs.replace(status.total, **back)), gaps=0)
    assert ledger.broken["no count goes back"] == 1


def test_a_window_that_is_missing(status: Status) -> None:
    """Two estimates two hops apart, of which none says that one was skipped; and one that no status has counted."""
    hello, estimate = golden("hello"), golden("estimate")
    assert isinstance(hello, Hello)
    assert isinstance(estimate, Estimate)
    hop = round(hello.hop_s * hello.sample_rate)
    ledger = Ledger()
    for message in (hello, status, estimate):
        ledger.hear(msgspec.structs.replace(message, repeat=msgspec.UNSET), gaps=0)
    ledger.hear(
        msgspec.structs.replace(estimate, repeat=msgspec.UNSET, last_sample=estimate.last_sample + 2 * hop), gaps=0
    )
    assert ledger.broken["a window each hop, but for those skipped"] == 1
    ledger.hear(status, gaps=0)
    assert ledger.broken["published = estimates heard"] == 1


def test_another_boot_and_a_hole(status: Status) -> None:
    """The daemon has started again, or messages are missing."""
    ledger = Ledger()
    ledger.hear(status, gaps=0)
    ledger.hear(msgspec.structs.replace(status, boot="f" * 32), gaps=1)
    assert ledger.broken["one boot"] == 1
    assert ledger.broken["no hole in seq"] == 1


def test_only_what_is_about_a_window_is_an_answer() -> None:
    """A repeat is none, nor what says that the first window is not there yet."""
    estimate = golden("estimate")
    assert isinstance(estimate, Estimate)
    new = msgspec.structs.replace(estimate, repeat=msgspec.UNSET)
    assert books.is_answer(new)
    assert not books.is_answer(msgspec.structs.replace(new, repeat=True))
    assert not books.is_answer(msgspec.structs.replace(new, reason="warming-up"))


def test_who_is_not_back_in_time() -> None:
    """A station has so long from the end of its fault; another's answer is not its own."""
    recoveries = Recoveries()
    recoveries.begin(Occurrence(10.0, 15.0, "gone", "a"))
    recoveries.begin(Occurrence(12.0, 12.0, "stall", "b"))
    recoveries.answered("a", 14.0)  # it is not over yet
    recoveries.answered("b", 14.0)
    assert recoveries.pending(20.0) == 1
    assert [one.station for one in recoveries.late(15.0 + MOST_S)] == ["a"]
    recoveries.answered("a", 15.5)
    assert recoveries.late(15.0 + MOST_S) == []
    assert [one.back_s for one in recoveries.all] == [0.5, 2.0]


def test_who_is_not_waited_for() -> None:
    """A station with another fault since, or that a reload has taken out."""
    recoveries = Recoveries()
    recoveries.begin(Occurrence(0.0, 5.0, "gone", "a"))
    recoveries.begin(Occurrence(1.0, 6.0, "stall", "a"))
    recoveries.take_out("a")
    assert recoveries.late(1000.0) == []
    assert [one.note for one in recoveries.all] == ["overtaken", "taken out"]


def test_a_stream_without_end() -> None:
    """The head is sent once, what follows it again and again, however it is cut."""
    form = Form("x", Entry("x", 2, 1.0, "audio/wav"), b"HHabc")
    whole = b"HH" + b"abc" * 10
    assert form.piece(0, 20) == whole[:20]
    assert form.piece(7, 9) == whole[7:16]
    assert b"".join(form.piece(n, 1) for n in range(20)) == whole[:20]


def test_a_station_obeys() -> None:
    """What is lent counts from when somebody listens; another codec drops who is there."""
    station = Station(MUSIC[0])
    station.obey(Order(path="a", act="lend", form="nan", for_s=5.0), 10.0)
    assert station.plays(1000.0) == "nan"
    station.come(1000.0)
    assert station.plays(1004.0) == "nan"
    assert station.plays(1006.0) == MUSIC[0]
    drops = station.drops
    station.obey(Order(path="a", act="codec", form=MUSIC[1]), 1010.0)
    assert (station.plays(1011.0), station.drops) == (MUSIC[1], drops + 1)


def test_reloads_are_asked_for_one_by_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A configuration that is no TOML has to be refused; each is written only when the one before was answered."""
    model = tmp_path / "m.onnx"
    model.write_bytes(b"model")
    subject = Subject(tmp_path, model, "tcp://127.0.0.1:1", {f"r{n}": f"http://x/{n}" for n in range(6)}, {})
    sent: list[int] = []
    monkeypatch.setattr(subject, "send", sent.append)
    subject.reload("not TOML", random.Random(0))
    subject.reload("add", random.Random(0))
    config = tmp_path / "soak.toml"
    assert (len(sent), subject.pending) == (1, 2)
    assert config.read_text().endswith("[[station\n")
    event = golden("event-reload")
    refusal = msgspec.structs.replace(event, event="error", station=msgspec.UNSET)
    subject.heed(refusal)
    assert (len(sent), subject.pending, subject.wrong) == (2, 1, 0)
    assert not config.read_text().endswith("[[station\n")
    subject.heed(refusal)  # this one was good
    assert (subject.pending, subject.answered, subject.wrong) == (0, 2, 1)
