"""A real audio server: PulseAudio with null sinks, recorded through PortAudio."""

from __future__ import annotations

import shutil
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest

from conftest import Daemon, collect, genred, identities_hold, music, subscribed, write_wav
from genred.messages import Estimate, Event, Message, Status
from genred.sources import Intake
from pulse import RATE, STAGES, Pulse, wait_until

pytestmark = [pytest.mark.audio_server, pytest.mark.timeout(240)]


@pytest.fixture(scope="module")
def pulse(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pulse]:
    if not shutil.which("pulseaudio") or not shutil.which("pactl"):
        pytest.skip("PulseAudio is not installed (apt install pulseaudio pulseaudio-utils)")
    try:
        import sounddevice  # noqa: F401
    except OSError:
        pytest.skip("PortAudio is not installed (apt install libportaudio2)")
    server = Pulse(tmp_path_factory.mktemp("pulse"))
    yield server
    server.close()


def statuses(messages: list[Message]) -> list[Status]:
    return [message for message in messages if isinstance(message, Status)]


def running(messages: list[Message]) -> bool:
    return any(isinstance(m, Status) and m.state in ("running", "silent") and m.this_epoch.captured for m in messages)


def seconds(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def test_what_plays_is_estimated(
    pulse: Pulse, daemon: Callable[..., Daemon], endpoint: str, small_model: Path, tmp_path: Path
) -> None:
    """Music that plays into a sink becomes estimates at a subscriber, with device time and a small age."""
    path = write_wav(tmp_path / "music.wav", music(12.0, RATE), RATE)
    daemon("mic:", "--model", small_model, env=pulse.hearing("stage0"))
    with subscribed(endpoint) as subscriber:
        collect(subscriber, running)
        player = pulse.play("stage0", path)
        heard = collect(subscriber, lambda ms: any(isinstance(m, Estimate) and m.probabilities for m in ms))
        player.wait()
    last = heard[-1]
    assert isinstance(last, Estimate)
    assert last.clock == "device"
    assert 0 < last.latency_ms < 5 * 100
    assert isinstance(last.age_ms, float)
    assert 0 < last.age_ms < 5 * 1000
    assert all(identities_hold(status) for status in statuses(heard))


class Recorder:
    """An Output that keeps everything."""

    def __init__(self) -> None:
        self.stop = threading.Event()
        self.blocks: list[np.ndarray] = []

    def begin(self, rate_hz: int, channels: int = 1) -> Intake:
        recorder = self

        class Keeping(Intake):
            def overwrite(self, block: np.ndarray, sounded_s: float | None = None) -> None:  # noqa: ARG002 - it keeps no times
                recorder.blocks.append(block.copy())

        return Keeping(rate_hz, channels)

    def count_error(self) -> None:
        raise AssertionError("a microphone decodes nothing")


def test_two_clicks_keep_their_distance(pulse: Pulse, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Two clicks 5 s apart are found 5 s apart within a block."""
    from genred.sources.microphone import Microphone
    from genred.sources.portaudio import BLOCK

    for key, value in pulse.hearing("stage1").items():
        monkeypatch.setenv(key, value)
    clicks = np.zeros(8 * RATE, np.float32)
    clicks[RATE : RATE + 40] = clicks[6 * RATE : 6 * RATE + 40] = 0.9
    recorder = Recorder()
    thread = threading.Thread(target=Microphone().run, args=(recorder,))
    thread.start()
    wait_until(lambda: len(recorder.blocks) > 10)
    pulse.play("stage1", write_wav(tmp_path / "clicks.wav", clicks, RATE)).wait()
    recorder.stop.set()
    thread.join()
    loud = np.flatnonzero(np.abs(np.concatenate(recorder.blocks)).max(axis=1) > 0.3)
    first, second = loud[0], loud[loud > loud[0] + RATE][0]
    assert abs((second - first) - 5 * RATE) <= BLOCK


def test_stations_share_a_device(
    pulse: Pulse, daemon: Callable[..., Daemon], endpoint: str, small_model: Path, tmp_path: Path
) -> None:
    """Two stations hear different channels of one device's stream."""
    left = music(10.0, RATE)
    path = write_wav(tmp_path / "left.wav", np.stack([left, np.zeros_like(left)], axis=1), RATE)
    uris = ("left=mic:?channels=1", "right=mic:?channels=2")
    daemon(*uris, "--model", small_model, env=pulse.hearing("stage0"))
    with subscribed(endpoint) as subscriber:
        collect(subscriber, running)
        pulse.play("stage0", path)

        def both(messages: list[Message]) -> bool:
            levels = {m.station: m.level_dbfs for m in statuses(messages)}
            return levels.get("left", -120) > -40 and levels.get("right", 0) < -90

        collect(subscriber, both)


def test_a_dead_server_is_told(daemon: Callable[..., Daemon], endpoint: str, small_model: Path, tmp_path: Path) -> None:
    """When the audio server dies under a station, the station says that it delivers nothing."""
    if not shutil.which("pulseaudio"):
        pytest.skip("PulseAudio is not installed (apt install pulseaudio)")
    server = Pulse(tmp_path)
    daemon("mic:", "--model", small_model, env=server.hearing("stage0"))
    with subscribed(endpoint) as subscriber:
        collect(subscriber, running)
        server.close()
        collect(
            subscriber,
            lambda ms: any(isinstance(m, Event) and m.state in ("stalled", "lost") for m in ms),
        )


@pytest.fixture
def hung(tmp_path: Path) -> Iterator[Pulse]:
    """An audio server that hangs: it takes connections and answers none."""
    if not shutil.which("pulseaudio"):
        pytest.skip("PulseAudio is not installed (apt install pulseaudio)")
    server = Pulse(tmp_path)
    server.server.send_signal(signal.SIGSTOP)
    yield server
    server.close()


def test_a_hanging_server_hangs_nobody(
    hung: Pulse, daemon: Callable[..., Daemon], endpoint: str, small_model: Path
) -> None:
    """A microphone whose audio server hangs from the start is stalled, says so, and runs once the server goes on."""
    one = daemon("mic:", "--model", small_model, env=hung.hearing("stage0"))
    with subscribed(endpoint) as subscriber:
        collect(subscriber, lambda ms: any(isinstance(m, Event) and m.state == "stalled" for m in ms))
        hung.server.send_signal(signal.SIGCONT)
        collect(subscriber, running)
    assert one.stop() == 0


def test_a_hanging_server_does_not_hold_the_end(
    hung: Pulse, daemon: Callable[..., Daemon], endpoint: str, small_model: Path
) -> None:
    """While the audio server hangs, SIGINT ends the daemon within about a second, with 0."""
    one = daemon("mic:", "--model", small_model, env=hung.hearing("stage0"))
    with subscribed(endpoint) as subscriber:
        collect(subscriber, lambda ms: bool(statuses(ms)))
    assert one.stop(signal.SIGINT, timeout_s=5 * 1.0) == 0


def test_a_hanging_server_is_no_default(
    hung: Pulse, daemon: Callable[..., Daemon], endpoint: str, small_model: Path
) -> None:
    """Where no source is named and the audio server hangs, the demo station is listened to, and the log says why."""
    one = daemon("--model", small_model, env=hung.hearing("stage0"))
    with subscribed(endpoint) as subscriber:
        assert {m.station for m in statuses(collect(subscriber, lambda ms: bool(statuses(ms))))} == {"demo"}
    assert "the demo station, because PortAudio has not started within 2 s; does the audio server hang?" in one.log
    assert one.stop(signal.SIGINT, timeout_s=5 * 1.0) == 0


def test_an_absent_channel_holds_no_device(
    pulse: Pulse, daemon: Callable[..., Daemon], endpoint: str, small_model: Path
) -> None:
    """A station that wants a channel that is not there is lost, and the device is not recorded meanwhile."""
    daemon("mic:pulse?channels=77", "--model", small_model, env=pulse.hearing("stage0"))
    with subscribed(endpoint) as subscriber:
        collect(subscriber, lambda ms: any(m.state == "lost" and "no channel 77" in str(m.text) for m in statuses(ms)))
    assert pulse.control("list", "short", "source-outputs").stdout == ""


@pytest.mark.gtzan
def test_the_label_is_classifys(
    pulse: Pulse, tmp_path_factory: pytest.TempPathFactory, gtzan: Path, tmp_path: Path
) -> None:
    """Tracks that ``classify`` is sure of, by a margin of 0.3, get the same label through the audio server."""
    import json

    tracks = sorted((gtzan / "audio").glob("*/*.ogg"))[::40]
    lines = genred("classify", "--json", *tracks).stdout.splitlines()
    sure = [r for r in map(json.loads, lines) if margin(r["overall"]["probabilities"]) >= 0.3][: len(STAGES)]
    assert len(sure) == len(STAGES), "too few tracks with a margin"
    daemons = []
    for number, (stage, record) in enumerate(zip(STAGES, sure, strict=True)):
        endpoint = f"ipc://{tmp_path}/{number}"
        daemons.append((Daemon(tmp_path / f"{number}.log", endpoint, "mic:", env=pulse.hearing(stage)), record, stage))
    try:
        with_players = [
            (one, record, play_wav(pulse, stage, record["path"], tmp_path)) for one, record, stage in daemons
        ]
        for one, record, player in with_players:
            assert label_heard(one.endpoint, player) == record["overall"]["label"], record["path"]
    finally:
        for one, _, _ in daemons:
            one.stop()


def play_wav(pulse: Pulse, stage: str, path: str, folder: Path) -> subprocess.Popen[bytes]:
    from genred.sources.file import decode

    samples = np.concatenate([piece.block[:, 0] for piece in decode(Path(path))])
    return pulse.play(stage, write_wav(folder / f"{stage}.wav", samples, 22050))


def label_heard(endpoint: str, player: subprocess.Popen[bytes]) -> object:
    """Label of the newest estimate whose window was all music, when the player is done."""
    with subscribed(endpoint, "estimate") as subscriber:
        player.wait()
        return collect(subscriber, lambda ms: any(isinstance(m, Estimate) and m.label for m in ms))[-1].label  # type: ignore[union-attr]


def margin(probabilities: dict[str, float]) -> float:
    first, second = sorted(probabilities.values())[-1:-3:-1]
    return first - second
