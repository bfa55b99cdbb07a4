"""Doctor: what each check makes of what it looks at."""

from __future__ import annotations

import io
import json
import socket
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from conftest import ROOT
from genred.card import Result
from genred.classifier import Classifier
from genred.clock import UtcClock
from genred.doctor import line, tell
from genred.doctor.finding import REPORT, Finding, guarded
from genred.doctor.machine import check_endpoint, check_python, check_terminal, check_versions
from genred.doctor.model import check_cpu, check_cuda, check_model
from genred.errors import ModelError, SourceError
from genred.messages import decode
from genred.publisher import Publisher


def verdicts(findings: Iterable[Finding]) -> list[tuple[str, str]]:
    return [(finding.check, finding.verdict) for finding in findings]


def only(findings: Iterable[Finding]) -> Finding:
    (finding,) = findings
    return finding


def test_findings_are_told_as_lines_and_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    """One line a finding with the remedy at its end; in the JSON a remedy only where there is one."""
    findings = [Finding("python", "ok", "3.11"), Finding("inputs", "warning", "there is no input", "connect one")]
    assert tell(findings, Console(), as_json=False) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines == ["ok      python: 3.11", "warning inputs: there is no input; connect one"]
    assert tell(findings, Console(), as_json=True) == 0
    assert json.loads(capsys.readouterr().out)["findings"] == [
        {"check": "python", "verdict": "ok", "text": "3.11"},
        {"check": "inputs", "verdict": "warning", "text": "there is no input", "remedy": "connect one"},
    ]


def test_on_a_terminal_the_verdicts_stand_alone(capsys: pytest.CaptureFixture[str]) -> None:
    """What is longer than a line goes on beside the verdict, word by word; elsewhere a finding is one line."""
    finding = Finding("inputs", "warning", "there is no input", "connect a microphone or a line-in of any kind")
    tell([finding], Console(force_terminal=True, color_system=None, width=40), as_json=False)
    assert capsys.readouterr().out.splitlines() == [
        "warning inputs: there is no input;",
        "        connect a microphone or a",
        "        line-in of any kind",
    ]
    tell([finding], Console(force_terminal=False, width=40), as_json=False)
    assert len(capsys.readouterr().out.splitlines()) == 1


def test_a_fault_is_exit_code_1(capsys: pytest.CaptureFixture[str]) -> None:
    """Only a fault makes the exit code 1."""
    assert tell([Finding("inputs", "warning", "there is none")], Console(), as_json=True) == 0
    assert tell([Finding("model", "fault", "it is damaged"), Finding("cpu", "ok", "")], Console(), as_json=True) == 1


def test_names_from_outside_stay_text(capsys: pytest.CaptureFixture[str]) -> None:
    """A name with Rich markup is shown as it is, and its escape characters are replaced."""
    named = Finding("source [bold]x[/b]\x1b[31m", "ok", "[/red]\x07")
    tell(guarded("inputs", lambda: [named]), Console(force_terminal=True, color_system=None), as_json=False)
    assert (
        capsys.readouterr().out
        == "ok      source [bold]x[/b]\N{REPLACEMENT CHARACTER}[31m: [/red]\N{REPLACEMENT CHARACTER}\n"
    )


def test_what_a_terminal_cannot_write_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that the output's encoding does not have is written with question marks instead of a traceback."""
    output = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr("sys.stdout", output)
    tell([Finding("source", "ok", "Müller")], Console(), as_json=False)
    assert output.buffer.getvalue() == b"ok      source: M?ller\n"  # type: ignore[attr-defined]


def test_an_unexpected_error_is_a_fault_of_that_check() -> None:
    """A bug in a check is a line that asks for a report; what the check found before it is kept."""

    def broken() -> Iterable[Finding]:
        yield Finding("inputs", "ok", "one")
        raise ZeroDivisionError("division by zero")

    assert list(guarded("inputs", broken)) == [
        Finding("inputs", "ok", "one"),
        Finding("inputs", "fault", "ZeroDivisionError: division by zero", REPORT),
    ]


def test_an_error_of_genred_carries_its_remedy() -> None:
    """What an error says after its semicolon is the remedy."""

    def missing() -> Iterable[Finding]:
        raise SourceError("PortAudio is missing; install libportaudio2")

    finding = only(guarded("portaudio", missing))
    assert finding == Finding("portaudio", "fault", "PortAudio is missing", "install libportaudio2")


def test_the_users_name_is_not_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The home folder, which has the user's name in it, is written as ~."""
    monkeypatch.setenv("HOME", str(tmp_path))
    finding = only(guarded("model", lambda: [Finding("model", "fault", f"cannot read {tmp_path}/music.onnx")]))
    assert finding.text == "cannot read ~/music.onnx"


def test_old_python_is_a_fault() -> None:
    """Python 3.10 is too old, 3.11 is not."""
    assert only(check_python((3, 10, 9))).verdict == "fault"
    assert only(check_python((3, 11, 0))).verdict == "ok"


def test_versions_name_packages_and_libraries() -> None:
    """Packages are told with the libraries they bring; a missing one is a fault that names it."""
    finding = only(check_versions())
    assert finding.verdict == "ok"
    for name in ("genred", "numpy", "onnxruntime", "FFmpeg", "libzmq", "msgspec", "rich", "soxr", "sounddevice"):
        assert f"{name} " in finding.text
    missing = only(check_versions(["numpy", "no-such-package"]))
    assert (missing.verdict, "no-such-package" in missing.text) == ("fault", True)


def test_a_model_without_a_claim_is_a_warning(small_model: Path) -> None:
    """A model says its name, digest and labels; without a measured accuracy that is a warning."""
    finding = only(check_model(partial(Classifier, small_model)))
    assert finding.verdict == "warning"
    for words in ("small ", Classifier(small_model, "cpu").digest[:12], "blues, classical"):
        assert words in finding.text


def fake_classifier(*, sample_rate: int = 22050) -> Any:
    """A classifier that claims 71 % and answers at once."""
    claim = Result(split="test", input="audio", tracks=290, correct=206, accuracy=0.71, low=0.65, high=0.76)
    spec = SimpleNamespace(n_mfcc=20, hop_length=512, sample_rate=sample_rate)
    card = SimpleNamespace(spec=spec, window_frames=10, labels=("jazz", "rock"))
    return SimpleNamespace(name="crnn", digest="a" * 64, card=card, claim=lambda: claim, probabilities=np.square)


def test_the_claimed_accuracy_is_told() -> None:
    """The claim is told with its interval, the number of tracks and how they were split off."""
    finding = only(check_model(lambda _provider: fake_classifier()))
    assert finding.verdict == "ok"
    assert finding.text.endswith("claims 71% (65% to 76%) of 290 held-out tracks of the split test")


def test_a_damaged_model_is_a_fault_told_once(tmp_path: Path) -> None:
    """What is no model is a fault with a remedy; the checks of what would run it say nothing more."""
    path = tmp_path / "damaged.onnx"
    path.write_bytes(b"no model")
    finding = only(check_model(partial(Classifier, path)))
    assert (finding.verdict, "--model" in finding.remedy) == ("fault", True)
    assert verdicts(check_cpu(partial(Classifier, path))) == verdicts(check_cuda(partial(Classifier, path))) == []


def test_the_processor_is_timed(small_model: Path) -> None:
    """The time for a window is measured, and compared with the time between two windows."""
    assert only(check_cpu(partial(Classifier, small_model))).verdict == "ok"
    late = only(check_cpu(lambda _provider: fake_classifier(sample_rate=10**12)))
    assert (late.verdict, "--hop" in late.remedy) == ("warning", True)


def test_cuda_is_tried_only_with_a_driver(small_model: Path) -> None:
    """Without the driver's library nothing is tried, and nothing is wrong."""
    finding = only(check_cuda(partial(Classifier, small_model), driver="libno-such-driver.so"))
    assert (finding.verdict, finding.text.startswith("not tried")) == ("ok", True)


def test_cuda_that_cannot_be_used_is_a_warning() -> None:
    """With a driver, a session that does not use the device is a warning with the remedy."""

    def load(provider: str) -> Classifier:
        if provider == "cuda":
            raise ModelError("ONNX Runtime could not use it; install NVIDIA's libraries")
        fake: Classifier = fake_classifier()
        return fake

    finding = only(check_cuda(load, driver="libc.so.6"))
    assert (finding.verdict, finding.remedy) == ("warning", "install NVIDIA's libraries")


def test_a_free_endpoint_is_left_free(endpoint: str) -> None:
    """Looking at an endpoint does not occupy it."""
    assert [only(check_endpoint(endpoint)).verdict for _ in range(2)] == ["ok", "ok"]


def test_an_endpoint_of_another_genred_is_a_warning(endpoint: str) -> None:
    """Where a genred publishes, its version is told."""
    hello = decode((ROOT / "tests" / "golden" / "hello.json").read_bytes())
    with Publisher(endpoint, UtcClock()) as publisher:
        publisher.send(hello)
        finding = only(check_endpoint(endpoint))
    assert finding.verdict == "warning"
    assert f"genred {hello.daemon} answers" in finding.text  # type: ignore[union-attr]


def test_an_endpoint_of_something_else_is_a_fault() -> None:
    """Where another program listens, genred could not publish."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        finding = only(check_endpoint(f"tcp://127.0.0.1:{other.getsockname()[1]}"))
    assert (finding.verdict, finding.remedy) == ("fault", "choose another with --bind")


@pytest.mark.parametrize(
    "bind", ["5557", "", "ipc://*", "ipc:///nowhere/genred", "ipc:///tmp/" + "x" * 200, "ipc://a\0b", "tcp://\udcff:1"]
)
def test_a_badly_written_endpoint_is_a_fault(bind: str) -> None:
    """What is no endpoint is told as such, and not as a fault of genred, with an example of one."""
    finding = only(guarded("endpoint", partial(check_endpoint, bind)))
    assert (finding.verdict, "tcp://127.0.0.1:5557" in finding.remedy) == ("fault", True)


def terminal(width: int, height: int, encoding: str = "utf-8", *, real: bool = True) -> Console:
    output = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    return Console(file=output, force_terminal=real, width=width, height=height)


@pytest.mark.parametrize(
    ("console", "verdict", "words"),
    [
        (terminal(120, 40), "ok", "120x40"),
        (terminal(79, 24), "warning", "79x24"),
        (terminal(80, 23), "warning", "80x23"),
        (terminal(120, 40, "ascii"), "warning", "ascii"),
        (terminal(20, 5, real=False), "ok", "none"),
    ],
)
def test_the_terminal_is_judged(console: Console, verdict: str, words: str) -> None:
    """It needs 80x24 and UTF-8; having none is no trouble."""
    finding = only(check_terminal(console))
    assert (finding.verdict, words in finding.text) == (verdict, True)


def test_a_line_shows_its_verdict_in_colour() -> None:
    """Verdicts have colours, and everything after them has none."""
    text = line(Finding("python", "fault", "[bold]"))
    assert [(span.start, span.end, span.style) for span in text.spans] == [(0, 8, "bold red")]
