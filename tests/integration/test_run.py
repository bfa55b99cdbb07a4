"""``genred run`` over files says what ``genred classify`` says of them."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
from msgspec import UNSET
from wholly import Start, assert_books_balance, assert_same, from_the_start, hear_wholly, judged, statuses, windows

from conftest import Daemon, collect, make_model, music, subscribed, write_wav
from genred.features import GainRule, MfccSpec, Samples
from genred.messages import Estimate, Event, Hello, Message
from test_rolling import NETS

HOP_S = 40 * 512 / 22050
ODD_NAMES = (
    "two words.wav",
    "50%25.wav",
    "a?loop=1&b.wav",
    "A:b=c.wav",
    "[red]x.wav",
    "x.1.wav",
    "\u6f22.wav",
    "\udcff.wav",
)
SPAN_S = (79 * 512 + 2048) / 22050  # of the small model's window


def windows_in(seconds: float) -> int:
    return int((seconds - SPAN_S) / HOP_S) + 1


def stereo(samples: Samples) -> Samples:
    """The same sound, unequal left and right."""
    return np.stack([samples, 0.5 * np.roll(samples, 100)], axis=1)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """One file a station: several rates and channel counts, one with silence in its middle."""
    folder = tmp_path_factory.mktemp("files")
    gap = music(12.0)
    gap[4 * 22050 : 10 * 22050] = 0
    return {
        "native": write_wav(folder / "native.wav", music(10.0)),
        "cd": write_wav(folder / "cd.wav", stereo(music(10.0, 44100, seed=1)), 44100),
        "phone": write_wav(folder / "phone.wav", music(10.0, 8000, seed=2), 8000),
        "studio": write_wav(folder / "studio.wav", music(10.0, 96000, seed=3), 96000),
        "gap": write_wav(folder / "gap.wav", gap),
    }


@pytest.fixture(scope="module")
def timelines(files: dict[str, Path], small_model: Path) -> dict[str, list[dict[str, object]]]:
    return {name: judged(path, small_model) for name, path in files.items()}


def test_all_stations_are_judged_as_classify_does(
    daemon: Start, tmp_path: Path, small_model: Path, files: dict[str, Path], timelines: dict[str, list]
) -> None:
    """Files of any rate and channel count, together in one daemon: every window of each, and classify's answers."""
    messages = hear_wholly(daemon, small_model, tmp_path, *(f"{n}=file:{p}?pace=max" for n, p in files.items()))
    for name, timeline in timelines.items():
        assert_same(windows(messages, name), timeline)
        assert len(timeline) == windows_in(12.0 if name == "gap" else 10.0)
    assert {e.reason for e in windows(messages, "gap") if e.reason} == {"silence"}
    assert {name for name in files if any(e.narrow_band for e in windows(messages, name))} == {"phone"}
    assert_books_balance(messages)


def test_windows_that_grow_are_judged_as_classify_does(
    daemon: Start, tmp_path: Path, early_model: Path, files: dict[str, Path]
) -> None:
    """A model of several horizons: the same windows in run and in classify, with what each horizon makes of them.

    Of a file that is shorter than the first there is no window: it is too short.
    """
    heard = {name: files[name] for name in ("native", "phone", "gap")} | {
        "brief": write_wav(tmp_path / "brief.wav", music(1.5, 44100), 44100),  # never a full window
        "click": write_wav(tmp_path / "click.wav", music(0.5)),
    }
    stations = [f"{name}=file:{path}?pace=max" for name, path in heard.items()]
    messages = hear_wholly(daemon, early_model, tmp_path / "run", *stations, "--hop", "16")
    for name, path in heard.items():
        assert_same(windows(messages, name), judged(path, early_model, "--hop", "16"))
    lengths = [round((e.window_s * 22050 - 2048) / 512) + 1 for e in windows(messages, "native")]
    assert lengths[:6] == [24, 32, 48, 64, 80, 80]
    assert [len(windows(messages, name)) for name in ("brief", "click")] == [3, 0]
    *_, last = [e for e in messages if isinstance(e, Estimate) and e.station == "click"]
    assert last.reason == "too-short"
    unsure = [e for name in ("native", "phone") for e in windows(messages, name) if e.reason == "unsure"]
    assert unsure, "the threshold of full windows was never missed"
    assert all(round(e.window_s, 2) == round(SPAN_S, 2) and max(e.probabilities.values()) < 0.6 for e in unsure)
    assert_books_balance(messages)
    for name in heard:
        total = statuses(messages, name)[-1].total
        assert (total.due, total.published) == (len(windows(messages, name)),) * 2


def test_the_card_says_how_to_hear(daemon: Start, tmp_path: Path) -> None:
    """Features, windows and gain are those of the model's card, not genred's own, in run as in classify."""
    spec = MfccSpec(sample_rate=16000, n_fft=1024, hop_length=400, n_mels=40, n_mfcc=13)
    model = make_model(tmp_path / "other.onnx", spec=spec, window=100, gain=GainRule(interval_frames=20, step_db=7.0))
    path = write_wav(tmp_path / "faint.wav", music(6.0) * np.float32(0.01))
    published = windows(hear_wholly(daemon, model, tmp_path / "run", path), "faint")
    assert_same(published, judged(path, model))
    assert {e.window_s for e in published} == {spec.seconds(100)}
    assert published[-1].gain_db in (28, 35)
    assert published[-1].level_dbfs + published[-1].gain_db == pytest.approx(-20, abs=5)


def test_every_message_arrives_before_the_end(
    daemon: Start, tmp_path: Path, small_model: Path, files: dict[str, Path]
) -> None:
    """When the only file has ended, a connected subscriber has had everything: seq without holes, counted windows."""
    messages = hear_wholly(daemon, small_model, tmp_path, files["cd"])
    for kind in {type(m) for m in messages}:
        numbers = [m.seq for m in messages if type(m) is kind and not m.repeat]
        assert numbers == list(range(len(numbers)))
    last = statuses(messages)[-1]
    assert last.state == "ended"
    assert (last.total.captured, last.total.waiting) == (441_000, 0)
    assert last.total.published == last.total.due == len(windows(messages, "cd")) > 0


def test_a_bare_path_is_taken_literally(
    daemon: Start, tmp_path: Path, small_model: Path, files: dict[str, Path], timelines: dict[str, list]
) -> None:
    """Whatever characters a path has, it names that file, and the station gets a name that is its own."""
    paths = [tmp_path / name for name in ODD_NAMES]
    for path in paths:
        path.symlink_to(files["native"])
    messages = hear_wholly(daemon, small_model, tmp_path, *paths)
    hello = next(m for m in messages if isinstance(m, Hello))
    assert len({station.name for station in hello.stations}) == len(ODD_NAMES)
    for station in hello.stations:
        assert_same(windows(messages, station.name), timelines["native"])


def test_a_paced_file_takes_its_time(
    daemon: Start, tmp_path: Path, small_model: Path, files: dict[str, Path], timelines: dict[str, list]
) -> None:
    """pace=realtime delivers at the speed of sound: the answers are classify's, each soon after its window."""
    path = write_wav(tmp_path / "short.wav", music(3.5))
    messages = hear_wholly(daemon, small_model, tmp_path, f"file:{path}?pace=realtime")
    published = windows(messages, "short")
    due = {answer["first_sample"]: answer for answer in judged(path, small_model)}
    assert_same(published, [due[e.first_sample] for e in published])
    last = statuses(messages)[-1]
    assert len(published) + last.total.skipped == len(due) == windows_in(3.5)
    running, ended = (next(m for m in messages if isinstance(m, Event) and m.state == s) for s in ("running", "ended"))
    assert 3.5 - 0.2 < seconds_between(running, ended) < 3.5 * 5
    assert all(e.latency_ms < 5 * 100 for e in published)
    assert_books_balance(messages)


def seconds_between(one: Message, other: Message) -> float:
    return (datetime.fromisoformat(other.time) - datetime.fromisoformat(one.time)).total_seconds()


def test_a_loop_goes_on(daemon: Start, tmp_path: Path, small_model: Path) -> None:
    """loop=1 plays the file for ever without a seam: the answers are those to the file three times in a row."""
    path = write_wav(tmp_path / "once.wav", music(3.0, 44100), 44100)
    thrice = write_wav(tmp_path / "thrice.wav", np.tile(music(3.0, 44100), 3), 44100)
    timeline = judged(thrice, small_model)
    with from_the_start(daemon, small_model, tmp_path, f"file:{path}?loop=1") as (one, subscriber):
        messages = collect(subscriber, lambda ms: len(windows(ms, "once")) == len(timeline))
        assert one.stop() == 0
    assert_same(windows(messages, "once"), timeline)


def test_a_late_subscriber_is_told_at_once(daemon: Start, endpoint: str, small_model: Path) -> None:
    """Who joins late has hello, estimate and status within half a second, though the next hop is far away."""
    daemon("demo:", "--model", small_model, "--hop", "10000")
    with subscribed(endpoint) as first:
        before = collect(first, lambda ms: bool(windows(ms, "demo")))
    for kind in ("hello", "estimate", "status"):
        with subscribed(endpoint, kind) as late:
            message = late.receive(5 * 0.5)
        assert message is not None
        assert message.boot == before[0].boot
        if kind != "status":
            assert message.repeat is True
        if isinstance(message, Estimate):
            assert message.probabilities == windows(before, "demo")[0].probabilities


def test_an_estimate_is_a_distribution(daemon: Start, endpoint: str, small_model: Path) -> None:
    """Before the first window: warming-up with growing progress. Then probabilities that sum to 1, and the best."""
    daemon("demo:", "--model", small_model, "--hop", "10")
    with subscribed(endpoint, "hello", "estimate") as subscriber:
        messages = collect(subscriber, lambda ms: len(windows(ms, "demo")) >= 3)
    forming = [m for m in messages if isinstance(m, Estimate) and m.reason == "warming-up"]
    progress = [e.progress for e in forming]
    assert len(progress) >= 2
    assert progress == sorted(progress)
    assert 0 < progress[0] < progress[-1] <= 1  # type: ignore[operator]
    hello = next(m for m in messages if isinstance(m, Hello))
    for estimate in windows(messages, "demo"):
        assert isinstance(estimate.probabilities, dict)
        assert tuple(estimate.probabilities) == hello.labels
        assert sum(estimate.probabilities.values()) == pytest.approx(1)
        assert estimate.confidence == max(estimate.probabilities.values()) == estimate.probabilities[estimate.label]
        assert estimate.last_sample - estimate.first_sample + 1 == round(SPAN_S * hello.sample_rate)
        assert estimate.clock == "arrival"
        assert 0 <= estimate.latency_ms < 5 * 100


def test_the_first_answer_comes_after_three_seconds(daemon: Start, endpoint: str) -> None:
    """The model that comes with genred, on a live source: an answer for 3 s of sound, then for more and more."""
    daemon("demo:")
    with subscribed(endpoint, "hello", "estimate", "status") as subscriber:
        messages = collect(subscriber, lambda ms: len(windows(ms, "demo")) >= 3)
    hello = next(m for m in messages if isinstance(m, Hello))
    assert (hello.model.name, hello.window_frames) == ("genred", 1000)
    answers = windows(messages, "demo")
    lengths_s = [e.window_s for e in answers]
    assert lengths_s == sorted(set(lengths_s))
    assert {e.first_sample for e in answers} == {0}
    assert 3.0 < lengths_s[0] < 3.1
    assert_books_balance(messages)


def test_without_a_source_something_plays(daemon: Start, endpoint: str, tmp_path: Path, small_model: Path) -> None:
    """No source named, and no PortAudio: the demo station plays, and a sentence says why."""
    (tmp_path / "sounddevice.py").write_text("raise OSError('PortAudio library not found')\n")
    one = daemon("--model", small_model, env=os.environ | {"PYTHONPATH": str(tmp_path)})
    with subscribed(endpoint, "hello") as subscriber:
        hello = collect(subscriber, bool)[0]
    assert isinstance(hello, Hello)
    assert [station.uri for station in hello.stations] == ["demo:"]
    assert "listening to the demo station, because PortAudio is missing" in one.log


def test_windows_of_live_stations_fall_due_evenly(daemon: Callable[..., Daemon], endpoint: str, tmp_path: Path) -> None:
    """Stations that start together begin their windows at different steps of a hop; a file begins with its first."""
    model = NETS["like the paper's"].write(tmp_path / "net.onnx", 96)
    track = write_wav(tmp_path / "track.wav", music(20.0))
    live = [f"live{n}=file:{track}?pace=realtime" for n in range(4)]
    daemon(*live, f"whole={track}", "--model", model, "--hop", "24", "--no-dashboard")
    with subscribed(endpoint, "estimate") as subscriber:
        firsts: dict[str, int] = {}

        def all_there(messages: list[Message]) -> bool:
            for message in messages[-1:]:
                if isinstance(message, Estimate) and message.progress is UNSET:
                    firsts.setdefault(str(message.station), message.first_sample)
            return len(firsts) == 5

        collect(subscriber, all_there)
    assert firsts.pop("whole") % (24 * 512) == 0
    assert [firsts[f"live{n}"] // 512 % 24 for n in range(4)] == [0, 8, 16, 0]
