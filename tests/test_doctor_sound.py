"""Doctor: what it makes of PortAudio, the audio server and the inputs."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import Any

import pytest

from genred.audio_server import AudioServer, ServerSource
from genred.doctor.finding import Finding
from genred.doctor.sound import MOST_HEARD, Ears, check_inputs, check_portaudio, check_server
from genred.ear import Level
from genred.errors import SourceError, SourceLost
from genred.inputs import Input, Listing

LOUD = Level(rate_hz=44100, channels=2, rms_dbfs=-18.0, peak_dbfs=-3.0, digital_silence=False)
QUIET = Level(rate_hz=44100, channels=2, rms_dbfs=-85.0, peak_dbfs=-60.0, digital_silence=False)
ZEROS = Level(rate_hz=44100, channels=2, rms_dbfs=-120.0, peak_dbfs=-120.0, digital_silence=True)


def device(index: int, name: str, *, default: bool = False) -> Input:
    return Input(
        index=index, name=name, host_api="ALSA", channels=2, default_rate_hz=44100, rates_hz=(44100,), default=default
    )


def source(name: str, *, default: bool = False) -> ServerSource:
    monitor = name.endswith(".monitor")
    return ServerSource(name=name, description="", format="", monitor=monitor, default=default)


CARD = Listing("PortAudio V19.7", (device(0, "hw:0", default=True), device(1, "hw:1")))
PULSE = Listing("PortAudio V19.7", (device(0, "pulse"), device(1, "default", default=True)))
SERVER = AudioServer("pulseaudio 16.1", (source("usb", default=True), source("hall.monitor")))
NO_SERVER = SourceLost("none answers; start one")


class Fakes:
    """Ears that answer, or fail, as they are told; `asked` has what was listened to."""

    def __init__(
        self,
        listing: Listing | Exception,
        server: AudioServer | Exception = NO_SERVER,
        level: Level | Exception = LOUD,
    ) -> None:
        self.asked: list[tuple[str, str]] = []
        self.ears = Ears(partial(answer, listing), partial(answer, server), self._listen)
        self._level = level

    def _listen(self, selector: str, name: str) -> Level:
        self.asked.append((selector, name))
        level: Level = answer(self._level)
        return level


def answer(outcome: Any) -> Any:
    if isinstance(outcome, Exception):
        raise outcome
    return outcome


def verdicts(findings: Iterable[Finding]) -> list[tuple[str, str]]:
    return [(finding.check, finding.verdict) for finding in findings]


def only(findings: Iterable[Finding]) -> Finding:
    (finding,) = findings
    return finding


def test_portaudio_is_told_with_its_version() -> None:
    """PortAudio is told with its version and how many inputs it has."""
    assert only(check_portaudio(Fakes(CARD).ears)).text == "PortAudio V19.7, inputs: 2"


def test_no_audio_server_is_a_warning() -> None:
    """Without an audio server a sound card can still be used directly."""
    finding = only(check_server(Fakes(CARD).ears))
    assert (finding.verdict, finding.remedy) == ("warning", "start one")


def test_no_input_is_a_warning() -> None:
    """Without any input, files, pipes and the demo station work."""
    assert verdicts(check_inputs(Fakes(Listing("PortAudio V19.7", ())).ears)) == [("inputs", "warning")]


def test_missing_portaudio_is_told_once() -> None:
    """The check of the inputs leaves it to the check of PortAudio to say that it is missing."""
    assert verdicts(check_inputs(Fakes(SourceError("PortAudio is missing")).ears)) == []


def test_every_source_of_the_server_is_heard() -> None:
    """With an audio server the default input and each source are heard, the sources through PULSE_SOURCE."""
    fakes = Fakes(PULSE, SERVER)
    found = verdicts(check_inputs(fakes.ears))
    assert found == [("default input", "ok"), ("source usb", "ok"), ("source hall.monitor", "ok")]
    assert sorted(fakes.asked) == [("1", ""), ("pulse", "hall.monitor"), ("pulse", "usb")]


def test_every_input_of_a_card_is_heard_without_a_server() -> None:
    """Without an audio server the default input and the others are heard."""
    fakes = Fakes(CARD)
    assert verdicts(check_inputs(fakes.ears)) == [("default input", "ok"), ("input hw:1", "ok")]
    assert fakes.asked == [("0", ""), ("1", "")]


def test_a_server_out_of_reach_is_told() -> None:
    """Where ALSA has no way to the audio server, the package that has it is named."""
    first = next(iter(check_inputs(Fakes(CARD, SERVER).ears)))
    assert (first.verdict, "libasound2-plugins" in first.remedy) == ("warning", True)


def test_only_so_many_inputs_are_heard() -> None:
    """Of many names no more than MOST_HEARD are heard, and the rest is counted."""
    fakes = Fakes(Listing("PortAudio V19.7", tuple(device(i, f"hw:{i}") for i in range(MOST_HEARD + 3))))
    last = list(check_inputs(fakes.ears))[-1]
    assert len(fakes.asked) == MOST_HEARD
    assert last.text == "not listened to: 3 more"


@pytest.mark.parametrize(
    ("level", "verdict", "words"),
    [(LOUD, "ok", "-18.0 dBFS"), (QUIET, "warning", "silence"), (ZEROS, "warning", "digital")],
)
def test_levels_are_judged(level: Level, verdict: str, words: str) -> None:
    """What is under the level of silence is a warning, and so is digital silence."""
    first = next(iter(check_inputs(Fakes(CARD, level=level).ears)))
    assert (first.verdict, words in first.text) == (verdict, True)


def test_a_silent_monitor_needs_music() -> None:
    """The remedy for a silent monitor is to play something; for a silent microphone it is the mute switch."""
    findings = {finding.check: finding for finding in check_inputs(Fakes(PULSE, SERVER, ZEROS).ears)}
    assert "play" in findings["source hall.monitor"].remedy
    assert "unmute" in findings["source usb"].remedy


def test_an_input_that_cannot_be_opened() -> None:
    """It is a fault if genred would use it by default, else a warning."""
    found = verdicts(check_inputs(Fakes(CARD, level=SourceLost("it is busy")).ears))
    assert found == [("default input", "fault"), ("input hw:1", "warning")]
