"""SIGHUP: stations come, go and change, and the model is swapped, while everything else goes on."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from msgspec import UNSET
from wholly import Start, assert_books_balance, statuses, windows

from conftest import Daemon, collect, make_model, music, subscribed, write_wav
from genred.features import MfccSpec
from genred.messages import Estimate, Event, Hello, Message, Segment
from genred.subscriber import Subscriber

HOP_FRAMES, HOP = 10, 10 * 512
OTHER_LABELS = tuple(f"other-{number}" for number in range(5))


class Bench:
    """A daemon, its configuration file, and a subscriber."""

    def __init__(self, start: Start, folder: Path, model: Path, subscriber: Subscriber) -> None:
        self.config, self.model = folder / "genred.toml", folder / "model.onnx"
        self.model.write_bytes(model.read_bytes())
        self.subscriber = subscriber
        self.messages: list[Message] = []
        self._start = start

    def write(self, *stations: str, **settings: str | int) -> None:
        """Write the configuration: settings, then stations, each as the inside of its table."""
        settings = {"model": str(self.model), "hop": HOP_FRAMES} | settings
        lines = [f"{key} = {value!r}" for key, value in settings.items()]
        self.config.write_text("\n".join([*lines, *(f"[[station]]\n{station}" for station in stations)]))

    def begin(self) -> Daemon:
        return self._start("--config", self.config)

    def until(self, condition: Callable[[list[Message]], object]) -> list[Message]:
        """Collect until `condition` holds of what has come since."""
        new = collect(self.subscriber, lambda messages: bool(condition(messages)))
        self.messages += new
        return new

    def reload(self, one: Daemon, kind: str = "reload") -> Event:
        """Send SIGHUP; return the event that answers it."""
        one.process.send_signal(signal.SIGHUP)
        new = self.until(lambda ms: any(isinstance(m, Event) and m.event == kind and m.station is UNSET for m in ms))
        event = new[-1]
        assert isinstance(event, Event)
        return event

    def first_samples(self, station: str) -> list[int]:
        return [e.first_sample for e in windows(self.messages, station)]


@pytest.fixture
def bench(daemon: Start, tmp_path: Path, small_model: Path, endpoint: str) -> object:
    with subscribed(endpoint) as subscriber:
        yield Bench(daemon, tmp_path, small_model, subscriber)


def station(name: str, uri: str = "demo:", more: str = "") -> str:
    return f"name = {name!r}\nuri = {uri!r}\n{more}"


def answered(*names: str) -> Callable[[list[Message]], bool]:
    """Whether three windows of each have been answered."""
    return lambda messages: all(len(windows(messages, name)) >= 3 for name in names)


def segments(messages: list[Message], station: str) -> list[Segment]:
    """Its segments, start and end of each."""
    return [m for m in messages if isinstance(m, Segment) and m.station == station and m.phase != "update"]


def hellos(messages: list[Message]) -> list[Hello]:
    return [m for m in messages if isinstance(m, Hello) and m.repeat is not True]


def assert_undisturbed(bench: Bench, name: str) -> None:
    """Every window of the station has been answered, one hop after the other, in one epoch."""
    numbers = bench.first_samples(name)
    assert len(numbers) >= 6
    assert set(np.diff(numbers)) == {HOP}
    assert {e.epoch for e in windows(bench.messages, name)} == {0}


def test_stations_come_and_go(bench: Bench, tmp_path: Path, endpoint: str) -> None:
    """One is removed, one added, one gets another source; the fourth misses no window, and its epoch goes on."""
    path = write_wav(tmp_path / "loop.wav", music(5.0))
    loop = f"file:{path}?loop=1&pace=realtime"
    bench.write(station("stays"), station("goes", loop), station("changes", loop))
    one = bench.begin()
    bench.until(answered("stays", "goes", "changes"))
    bench.write(station("new", loop), station("changes"), station("stays"))
    event = bench.reload(one)
    assert event.text == "reloaded: 1 station added (new); 1 station removed (goes); 1 station changed (changes)"
    after = bench.until(answered("stays", "new", "changes"))
    assert_undisturbed(bench, "stays")
    assert [s.name for s in hellos(bench.messages)[-1].stations] == ["new", "changes", "stays"]
    assert statuses(bench.messages, "goes")[-1].state == "ended"
    assert segments(bench.messages, "goes")[-1].phase == "end"
    assert not windows(after, "goes")
    assert {e.epoch for e in windows(after, "changes")} == {1}
    assert {e.epoch for e in windows(after, "new")} == {0}
    with subscribed(endpoint, "estimate", "segment", "status", station="goes") as late:
        assert late.receive(1.0) is None
    assert bench.subscriber.gaps == 0
    assert one.stop() == 0
    assert_books_balance(bench.messages)


def test_a_station_that_comes_back_is_numbered_on(bench: Bench) -> None:
    """Removed and added again, a station's epochs, segments and messages have numbers that it never had before."""
    bench.write(station("always"), station("sometimes"))
    one = bench.begin()
    before = bench.until(answered("always", "sometimes"))
    bench.write(station("always"))
    bench.reload(one)
    bench.write(station("always"), station("sometimes"))
    bench.reload(one)
    after = bench.until(answered("sometimes"))
    first, second = windows(before, "sometimes")[-1], windows(after, "sometimes")[0]
    assert (first.epoch, second.epoch) == (0, 1)
    assert second.seq > first.seq
    ended, begun = segments(bench.messages, "sometimes")[-2:]
    assert (ended.phase, begun.phase, begun.number) == ("end", "start", ended.number + 1)
    assert bench.subscriber.gaps == 0


def test_thresholds_change_in_place(bench: Bench) -> None:
    """Another idea of silence holds at once, for a source that goes on."""
    bench.write(station("s"))
    one = bench.begin()
    bench.until(answered("s"))
    bench.write(station("s", more="tags = ['loud']\nsignal = { silence-dbfs = 0, silence-s = 0.5 }"))
    bench.reload(one)
    bench.until(lambda ms: any(e.reason == "silence" for e in windows(ms, "s")))
    assert_undisturbed(bench, "s")
    assert hellos(bench.messages)[-1].stations[0].tags == ("loud",)


def test_a_model_of_the_same_kind_misses_no_window(bench: Bench) -> None:
    """Each window is answered, up to one by the old model and from the next by the new; its hello comes between."""
    bench.write(station("s"))
    one = bench.begin()
    bench.until(answered("s"))
    make_model(bench.model, labels=OTHER_LABELS, seed=1)
    event = bench.reload(one)
    assert event.text.startswith("reloaded: model model on cpu")
    bench.until(answered("s"))
    assert_undisturbed(bench, "s")
    old, new = hellos(bench.messages)[-2:] if len(hellos(bench.messages)) > 1 else (None, hellos(bench.messages)[-1])
    assert new.labels == OTHER_LABELS
    assert old is None or old.model.sha256 != new.model.sha256
    by_new = [tuple(e.probabilities or ()) == OTHER_LABELS for e in windows(bench.messages, "s")]
    assert by_new == sorted(by_new)
    assert by_new[0] is False
    assert by_new[-1] is True
    told = segments(bench.messages, "s")
    (border,) = [n for n, segment in enumerate(told) if tuple(segment.probabilities) == OTHER_LABELS][:1]
    ended, begun = told[border - 1], told[border]
    assert (ended.phase, begun.phase, begun.first_sample) == ("end", "start", ended.last_sample + 1)


def test_a_model_of_another_kind_warms_up_again(bench: Bench) -> None:
    """Other windows and features: a new hello, a new epoch, warm-up, and answers about windows of the new length."""
    bench.write(station("s"))
    one = bench.begin()
    bench.until(answered("s"))
    spec = MfccSpec(sample_rate=16000, n_fft=1024, hop_length=400, n_mels=40, n_mfcc=13)
    make_model(bench.model, spec=spec, window=100)
    bench.reload(one)
    after = bench.until(answered("s"))
    assert (hellos(after)[-1].window_frames, hellos(after)[-1].sample_rate) == (100, 16000)
    estimates = [m for m in after if isinstance(m, Estimate) and m.epoch == 1]
    assert estimates[0].reason == "warming-up"
    assert {e.window_s for e in windows(after, "s") if e.epoch == 1} == {spec.seconds(100)}
    assert one.stop() == 0
    assert_books_balance(bench.messages)


def test_another_hop_is_another_kind(bench: Bench) -> None:
    """Windows that follow each other at another distance begin anew; stations go on taking turns."""
    bench.write(station("s"), station("t"))
    one = bench.begin()
    bench.until(answered("s", "t"))
    bench.write(station("s"), station("t"), hop=20)
    assert bench.reload(one).text == "reloaded: hop 20"
    after = bench.until(answered("s", "t"))
    for turn, name in enumerate("st"):
        numbers = [e.first_sample for e in windows(after, name) if e.epoch == 1]
        assert set(np.diff(numbers)) == {20 * 512}
        assert {number // 512 % 20 for number in numbers} == {turn}


def break_model(bench: Bench) -> None:
    bench.model.write_bytes(b"garbage")


def break_file(bench: Bench) -> None:
    bench.config.write_text("hop = ")


def break_key(bench: Bench) -> None:
    bench.write(station("s"), "name = 'new'\nurl = 'demo:'")


def break_source(bench: Bench) -> None:
    bench.write(station("new"), station("bad", "file:/nowhere.wav"))


def remove_file(bench: Bench) -> None:
    bench.config.unlink()


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (break_model, "is not an ONNX model"),
        (break_file, "is not TOML"),
        (break_key, "unknown field `url`"),
        (break_source, "no file /nowhere.wav"),
        (remove_file, "No such file"),
    ],
)
def test_what_is_broken_changes_nothing(bench: Bench, spoil: Callable[[Bench], None], why: str) -> None:
    """One sentence in the log and one event say why; no window is missed; a good file after it is taken."""
    bench.write(station("s"))
    one = bench.begin()
    model = bench.model.read_bytes()
    bench.until(answered("s"))
    spoil(bench)
    event = bench.reload(one, "error")
    assert event.text.startswith("reload refused, nothing is changed: ")
    assert why in event.text
    assert event.text in one.log
    bench.until(answered("s"))
    assert_undisturbed(bench, "s")
    bench.model.write_bytes(model)
    bench.write(station("s"), station("second"))
    bench.reload(one)
    bench.until(answered("s", "second"))
    assert_undisturbed(bench, "s")
    assert "Traceback" not in one.log


def test_what_cannot_change_is_told(bench: Bench) -> None:
    """Where it publishes stays until the next start, and it says so."""
    bench.write(station("s"))
    one = bench.begin()
    bench.until(answered("s"))
    bench.config.write_text(f"insecure = true\n{bench.config.read_text()}")
    assert bench.reload(one).text == "reloaded: insecure as before until the next start"


def test_without_a_configuration_it_is_logged(daemon: Start, endpoint: str, small_model: Path) -> None:
    """SIGHUP finds nothing to read again: a line says so, and the daemon goes on."""
    one = daemon("demo:", "--model", small_model)
    with subscribed(endpoint) as subscriber:
        collect(subscriber, lambda ms: bool(statuses(ms)))
        one.process.send_signal(signal.SIGHUP)
        collect(subscriber, lambda ms: len(windows(ms, "demo")) >= 2)
    assert "there is no configuration to read again" in one.log
    assert one.stop() == 0


def test_many_reloads_in_a_row(bench: Bench) -> None:
    """Signals that come while a reload is on its way are one more reload; all goes on, and nothing is lost."""
    bench.write(station("s"), station("t"))
    one = bench.begin()
    bench.until(answered("s"))
    for number in range(20):
        bench.write(station("s"), *[station(f"n{n}") for n in range(number % 3)])
        one.process.send_signal(signal.SIGHUP)
        bench.until(lambda ms: bool(statuses(ms, "s")))
    bench.write(station("s"), station("last"))
    bench.reload(one)
    bench.until(answered("s", "last"))
    assert_undisturbed(bench, "s")
    assert bench.subscriber.gaps == 0
    assert one.stop() == 0
    assert_books_balance(bench.messages)
