"""Faults of devices: an audio server that dies, a source that goes and comes back, an input that comes later."""

from __future__ import annotations

import shutil
import signal
import time
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
from aftermath import assert_serves
from wholly import Start, statuses, windows

from conftest import collect, subscribed, write_wav
from genred.features import Samples
from genred.messages import Event, Message
from genred.sources.microphone import GONE_S
from genred.sources.portaudio import CHECK_S
from pulse import RATE, Pulse

pytestmark = [pytest.mark.audio_server, pytest.mark.timeout(240)]

STOP_S, SETTLED_S = 30.0, 8.0  # the clock finds what is missing within the latter
QUIET_DBFS, LOUD_DBFS = -30.0, -10.0


@pytest.fixture
def pulse(tmp_path: Path) -> Iterator[Pulse]:
    if not shutil.which("pulseaudio") or not shutil.which("pactl"):
        pytest.skip("PulseAudio is not installed (apt install pulseaudio pulseaudio-utils)")
    pytest.importorskip(
        "sounddevice", exc_type=OSError, reason="PortAudio is not installed (apt install libportaudio2)"
    )
    folder = tmp_path / "pulse"
    folder.mkdir()
    server = Pulse(folder)
    yield server
    server.close()


def tone(dbfs: float, hz: float) -> Samples:
    """Two minutes of a sine with this RMS level."""
    wave = np.sin(2 * np.pi * hz * np.arange(120 * RATE) / RATE)
    return (np.sqrt(2) * 10 ** (dbfs / 20) * wave).astype(np.float32)


@pytest.fixture(scope="module")
def tones(tmp_path_factory: pytest.TempPathFactory) -> dict[float, Path]:
    """A tone for each of the two levels."""
    folder = tmp_path_factory.mktemp("tones")
    return {
        dbfs: write_wav(folder / f"{hz}.wav", tone(dbfs, hz), RATE)
        for dbfs, hz in ((QUIET_DBFS, 440), (LOUD_DBFS, 3000))
    }


def states(messages: Sequence[Message], station: str) -> list[str]:
    return [str(m.state) for m in messages if isinstance(m, Event) and (m.event, m.station) == ("state", station)]


def sounding(messages: Sequence[Message], **dbfs: float) -> bool:
    """Whether each station is running, with answers to whole windows, and as loud as it should be."""
    last = {str(status.station): status for status in statuses(messages)}
    return (
        all(
            last[name].state == "running" and abs(last[name].level_dbfs - level) < 1 and windows(messages, name)
            for name, level in dbfs.items()
            if name in last
        )
        and last.keys() >= dbfs.keys()
    )


def test_a_source_that_goes_and_comes_back(
    pulse: Pulse, tones: dict[float, Path], daemon: Start, endpoint: str, small_model: Path
) -> None:
    """The server moves the stream to a source that plays another tone: that is a loss, not music.

    It is told once, however often the source is looked for, and when there is one of that name again it is heard again.
    Who records the other source is not disturbed.
    """
    pulse.play("stage0", tones[QUIET_DBFS])
    for stage in ("stage1", "stage2"):
        pulse.play(stage, tones[LOUD_DBFS])
    pulse.control("set-default-source", "stage1.monitor")
    one = daemon("hall=mic:stage0.monitor", "other=mic:stage1.monitor", "--model", small_model, env=pulse.environment)
    with subscribed(endpoint) as subscriber:
        messages = collect(subscriber, lambda ms: sounding(ms, hall=QUIET_DBFS, other=LOUD_DBFS))
        pulse.remove("stage0")
        began_s = time.monotonic()
        lost = collect(subscriber, lambda ms: "lost" in states(ms, "hall"))
        assert time.monotonic() - began_s < 5 * (CHECK_S + 0.25)
        assert states(lost, "hall") == ["lost"]
        away = collect(subscriber, lambda ms: bool(ms) and statuses(ms, "hall")[-1:] != [] and losses(ms, "hall") >= 3)
        assert windows(away, "hall") == []
        assert states(away, "hall") == []
        assert "has no source stage0.monitor" in str(statuses(away, "hall")[-1].text)
        pulse.add("stage0")
        pulse.play("stage0", tones[QUIET_DBFS])
        back = collect(subscriber, lambda ms: sounding(ms, hall=QUIET_DBFS, other=LOUD_DBFS))
        assert states(back, "hall") == ["running"]
        assert {e.epoch for e in windows(back, "hall")} == {windows(messages, "hall")[-1].epoch + 1}
        after = assert_serves(one, subscriber, ["hall", "other"], [*messages, *lost, *away, *back])
    other = statuses(after, "other")[-1]
    assert (other.faults.losses, other.faults.interruptions, other.epoch) == (0, 0, 0)
    gone = statuses(after, "hall")[-1].total
    assert gone.lost > 2 * RATE, "the time that it was away counts"


def losses(messages: Sequence[Message], station: str) -> int:
    return statuses(messages, station)[-1].faults.losses


@pytest.mark.parametrize("away_s", [1.0, GONE_S + 5.0])
def test_an_audio_server_that_dies(
    pulse: Pulse, tones: dict[float, Path], daemon: Start, endpoint: str, small_model: Path, away_s: float
) -> None:
    """Killed and started again, at once or later: every station is heard again by itself, from the source of its name.

    PortAudio is not started anew for it while streams are open.
    """
    for stage, dbfs in (("stage0", QUIET_DBFS), ("stage1", LOUD_DBFS)):
        pulse.play(stage, tones[dbfs])
    sources = "hall=mic:stage0.monitor", "other=mic:stage1.monitor", "demo:"
    one = daemon(*sources, "--model", small_model, env=pulse.environment)
    with subscribed(endpoint) as subscriber:
        messages = collect(subscriber, lambda ms: sounding(ms, hall=QUIET_DBFS, other=LOUD_DBFS))
        pulse.kill()
        until_s = time.monotonic() + away_s
        messages += collect(subscriber, lambda _: time.monotonic() > until_s)
        pulse.start()
        for stage, dbfs in (("stage0", QUIET_DBFS), ("stage1", LOUD_DBFS)):
            pulse.play(stage, tones[dbfs])
        messages += collect(subscriber, lambda ms: sounding(ms, hall=QUIET_DBFS, other=LOUD_DBFS), 120)
        for name in ("hall", "other"):
            assert states(messages, name).count("lost") == 1
            assert statuses(messages, name)[-1].faults.interruptions == 0
        messages += assert_serves(one, subscriber, ["hall", "other", "demo"], messages)
    assert "lost" not in states(messages, "demo")
    assert statuses(messages, "demo")[-1].total.lost == 0


def test_a_stop_for_half_a_minute(
    pulse: Pulse, tones: dict[float, Path], daemon: Start, endpoint: str, small_model: Path
) -> None:
    """After SIGSTOP, what a microphone delivered and what is told as lost are together the time that went by.

    The demo, which can wait, misses nothing.
    """
    pulse.play("stage0", tones[QUIET_DBFS])
    one = daemon("hall=mic:stage0.monitor", "demo:", "--model", small_model, env=pulse.environment)
    with subscribed(endpoint) as subscriber:
        messages = collect(subscriber, lambda ms: sum(s.total.captured > 2 * RATE for s in statuses(ms, "hall")) >= 2)
        before = statuses(messages, "hall")[-1]
        one.process.send_signal(signal.SIGSTOP)
        time.sleep(STOP_S)  # the length of the stop is what is tested
        one.process.send_signal(signal.SIGCONT)
        resumed_s = seconds(before) + STOP_S + SETTLED_S
        messages += collect(subscriber, lambda ms: any(seconds(s) > resumed_s for s in statuses(ms, "hall")))
        after = statuses(messages, "hall")[-1]
        messages += assert_serves(one, subscriber, ["hall", "demo"], messages)
    told_s = (after.total.expected - before.total.expected) / RATE
    assert told_s == pytest.approx(seconds(after) - seconds(before), abs=0.3)
    assert after.total.lost > before.total.lost, "the stop was no fault"
    assert statuses(messages, "demo")[-1].total.lost == 0
    assert "hangs" not in one.log


def seconds(message: Message) -> float:
    return datetime.fromisoformat(message.time).timestamp()


def connect(pulse: Pulse, **cards: str) -> None:
    """Let ALSA have these inputs, each by name and the stage that it hears."""
    lines = [f'pcm.{name} {{ type pulse; device "{stage}.monitor" }}' for name, stage in cards.items()]
    (pulse.folder / ".asoundrc").write_text("\n".join([*lines, ""]))


def test_an_input_that_comes_later(
    pulse: Pulse, tones: dict[float, Path], daemon: Start, endpoint: str, small_model: Path
) -> None:
    """PortAudio has to start anew to see it: the station that is heard meanwhile is interrupted once, and says so.

    What it lost is counted, and it was never lost itself. An input that is not there interrupts nobody.
    """
    for stage, dbfs in (("stage0", QUIET_DBFS), ("stage1", LOUD_DBFS)):
        pulse.play(stage, tones[dbfs])
    connect(pulse, first="stage0")
    one = daemon("hall=mic:first", "late=mic:second", "--model", small_model, env=pulse.environment)
    with subscribed(endpoint) as subscriber:
        messages = collect(subscriber, lambda ms: sounding(ms, hall=QUIET_DBFS) and losses(ms, "late") >= 3)
        assert statuses(messages, "hall")[-1].faults.interruptions == 0
        assert "not there" in str(statuses(messages, "late")[-1].text)
        connect(pulse, first="stage0", second="stage1")
        messages += collect(subscriber, lambda ms: sounding(ms, hall=QUIET_DBFS, late=LOUD_DBFS), 120)
        messages += collect(subscriber, lambda ms: len(statuses(ms, "hall")) > 15)  # until the clock is sure
        messages += assert_serves(one, subscriber, ["hall", "late"], messages)
    last = statuses(messages, "hall")[-1]
    assert (last.faults.interruptions, last.faults.losses) == (1, 0)
    assert 0 < last.total.lost < 5 * 2.0 * RATE, "a null sink hands over two seconds at once"
    assert states(messages, "hall") == ["running"]
    assert statuses(messages, "late")[-1].faults.interruptions == 0
