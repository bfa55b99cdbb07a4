"""Devices: what PortAudio and the audio server are asked, and what becomes of bad answers."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import msgspec
import numpy as np
import pytest

from genred.audio_server import AudioServer, ServerSource, ask_server
from genred.devices import as_lines, as_record, listen
from genred.ear import DELIVERY_S, Ear, Level
from genred.errors import SourceError, SourceLost
from genred.inputs import Input, Listing, list_inputs

RATE = 44100
MICROPHONE = Input(
    index=3,
    name="[bold]USB[/b]",
    host_api="ALSA",
    channels=1,
    default_rate_hz=RATE,
    rates_hz=(44100, 48000),
    default=True,
)
MONITOR = ServerSource(name="stage.monitor", description="Hall", format="s16le 2ch 44100Hz", monitor=True, default=True)
SERVER = AudioServer("pulseaudio 16.1", (MONITOR,))


def child(program: str) -> list[str]:
    """A process that answers as `program` does; its argument is in sys.argv[1]."""
    return [sys.executable, "-c", f"import os, sys, time\n{program}"]


def pactl(folder: Path, answers: dict[str, object], code: int = 0) -> list[str]:
    """Write a ``pactl`` that answers ``info`` and ``list sources``; return the command."""
    for name, answer in answers.items():
        (folder / f"{name}.json").write_text(answer if isinstance(answer, str) else json.dumps(answer))
    script = folder / "pactl"
    script.write_text(f'#!/bin/sh\ncat "{folder}/$1.json"\nexit {code}\n')
    script.chmod(0o755)
    return [str(script)]


def test_devices_are_shown_with_all_that_names_them() -> None:
    """An input is a line with index, host API, channels and rates; a source has its name; the defaults are marked."""
    lines = list(as_lines(Listing("PortAudio V19.7", (MICROPHONE,)), SERVER))
    assert next(line for line in lines if "mic:3" in line).split() == [
        *("*", "mic:3", "[bold]USB[/b]", "ALSA", "1", "channel", "44100", "48000", "Hz")
    ]
    assert next(line for line in lines if "Hall" in line).split()[:3] == ["*", "stage.monitor", "monitor"]


@pytest.mark.parametrize(
    ("name", "command"),
    [("pulse", "genred run mic:stage.monitor"), ("USB", "PULSE_SOURCE=stage.monitor genred run mic:")],
)
def test_devices_say_how_a_source_is_heard(name: str, command: str) -> None:
    """A source is chosen by its name where an input leads to the audio server; else it may be the default one's."""
    inputs = tuple(msgspec.structs.replace(MICROPHONE, name=one) for one in ("default", name))
    *_, last = as_lines(Listing("PortAudio V19.7", inputs), SERVER)
    assert last.endswith(f": {command}")


def test_devices_without_a_server_say_why() -> None:
    """Where no audio server answers, the reason stands in its place, for people and in the JSON."""
    listing = Listing("PortAudio V19.7", ())
    assert any("nobody answers" in line for line in as_lines(listing, "nobody answers"))
    assert json.loads(as_record(listing, "nobody answers")) == {
        "portaudio": "PortAudio V19.7",
        "inputs": [],
        "no_server": "nobody answers",
    }


def test_the_audio_server_is_asked_for_sources(tmp_path: Path) -> None:
    """The default source comes first, monitors are told apart, and escape characters and "(null)" are not shown."""
    command = pactl(
        tmp_path,
        {
            "info": {"server_name": "pulseaudio", "server_version": "16.1", "default_source_name": "usb"},
            "list": [
                {"name": "hall.monitor", "description": "(null)", "sample_specification": "s16le 2ch 44100Hz"},
                {"name": "usb", "description": "\x1b[31mred", "sample_specification": "s16le 1ch 48000Hz"},
            ],
        },
    )
    server = ask_server(command)
    assert server.name == "pulseaudio 16.1"
    assert [(s.name, s.description, s.monitor, s.default) for s in server.sources] == [
        ("usb", "\N{REPLACEMENT CHARACTER}[31mred", False, True),
        ("hall.monitor", "", True, False),
    ]


@pytest.mark.parametrize(
    ("answer", "code", "why"),
    [("Connection refused", 1, "answers"), ("Server Name: old", 0, "pactl 16"), ("[]", 0, "pactl 16")],
)
def test_an_audio_server_without_an_answer_is_absent(tmp_path: Path, answer: str, code: int, why: str) -> None:
    """A refused connection, or an answer that is not the JSON of pactl, is an absent server with a reason."""
    with pytest.raises(SourceLost, match=why):
        ask_server(pactl(tmp_path, {"info": answer}, code))


def test_a_missing_pactl_is_told(tmp_path: Path) -> None:
    """Without pactl the package that has it is named."""
    with pytest.raises(SourceLost, match="pulseaudio-utils"):
        ask_server([str(tmp_path / "pactl")])


def test_a_hanging_audio_server_is_left() -> None:
    """A server that does not answer is given up after the time-out."""
    with pytest.raises(SourceLost, match=r"within 0\.2 s"):
        ask_server(child("time.sleep(60)"), timeout_s=0.2)


def test_the_child_speaks_for_portaudio() -> None:
    """What the child prints is the listing; what ALSA writes to its stderr is not seen."""
    answer = as_record(Listing("PortAudio V19.7", (MICROPHONE,)), "none").decode()
    program = f"print('ALSA lib confmisc.c', file=sys.stderr)\nprint({answer!r})"
    assert list_inputs(child(program)) == Listing("PortAudio V19.7", (MICROPHONE,))


@pytest.mark.parametrize(
    ("program", "error", "why"),
    [
        ("print('PortAudio is missing; install it')\nsys.exit(2)", SourceError, "PortAudio is missing; install it"),
        ("print('it is busy')\nsys.exit(1)", SourceLost, "it is busy"),
        ("raise RuntimeError", SourceLost, "exit code 1"),
        ("os.abort()", SourceLost, "exit code -6"),
        ("print('Hello')", SourceLost, "exit code 0"),
        ("time.sleep(60)", SourceLost, "within 2 s"),
    ],
)
def test_a_child_that_fails_is_told(program: str, error: type[Exception], why: str) -> None:
    """Errors of genred cross the process with their kind; a crash, nonsense and a hang are a lost source."""
    with pytest.raises(error, match=why):
        list_inputs(child(program), timeout_s=2)


def test_the_source_is_chosen_for_the_child() -> None:
    """The child hears the selector as its argument and the audio server's source as PULSE_SOURCE."""
    program = "print(sys.argv[1], os.environ['PULSE_SOURCE'])\nsys.exit(1)"
    with pytest.raises(SourceLost, match=r"^pulse hall\.monitor$"):
        listen("pulse", "hall.monitor", child=child(program))


def heard(samples: np.ndarray) -> Level:
    """What an ear makes of `samples` [N, channels]."""
    ear = Ear()
    intake = ear.begin(RATE, samples.shape[1])
    for begin in range(0, len(samples), 1024):
        intake.overwrite(samples[begin : begin + 1024].astype(np.float32))
    return ear.level()


def test_the_level_of_a_sine() -> None:
    """A full-scale sine has an RMS level of -3.0 dBFS and a peak of 0 dBFS; beside a silent channel 3 dB less."""
    sine = np.sin(2 * np.pi * 441 * np.arange(RATE) / RATE)[:, None]
    assert heard(sine) == Level(rate_hz=RATE, channels=1, rms_dbfs=-3.0, peak_dbfs=0.0, digital_silence=False)
    assert heard(np.hstack([sine, 0 * sine])).rms_dbfs == -6.0


def test_digital_silence_is_not_a_quiet_room() -> None:
    """Zeros are digital silence; one bit of noise is not."""
    assert heard(np.zeros((RATE, 1))).digital_silence
    assert not heard(np.full((RATE, 1), 2.0**-15)).digital_silence


def test_a_second_is_enough() -> None:
    """The ear ends its source as soon as a second is there, and not before."""
    ear = Ear()
    intake = ear.begin(RATE)
    intake.overwrite(np.zeros((RATE - 1, 1), np.float32))
    assert not ear.stop.is_set()
    intake.overwrite(np.zeros((1, 1), np.float32))
    assert ear.stop.is_set()


def test_an_input_that_delivers_nothing_is_told() -> None:
    """An open input without audio is lost, not silent."""
    ear = Ear()
    ear.begin(RATE)
    with pytest.raises(SourceLost, match=f"nothing for {DELIVERY_S:g} s"):
        ear.level()
