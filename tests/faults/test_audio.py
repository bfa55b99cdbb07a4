"""Faults of what is heard: audio that is no numbers, a decoder that raises, a model that is garbage."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import numpy as np
from aftermath import assert_serves
from wholly import Start, statuses, windows

from conftest import collect, music, subscribed, write_wav
from genred.messages import Event, Message

RATE = 22050


def test_audio_that_is_no_numbers(daemon: Start, endpoint: str, small_model: Path) -> None:
    """NaN and infinities become zeros and are counted; each window has an answer, of this station and of the other."""
    one = daemon("-?format=f32le&rate=22050&channels=2", "demo:", "--model", small_model, stdin=subprocess.PIPE)
    stdin = one.process.stdin
    samples = np.repeat(music(20.0)[:, None], 2, axis=1)
    samples[4 * RATE : 5 * RATE] = np.nan
    samples[6 * RATE : 8 * RATE : 50, 0] = np.inf
    samples[8 * RATE : 9 * RATE] = 1e38
    with subscribed(endpoint) as subscriber:
        messages = collect(subscriber, lambda ms: bool(statuses(ms, "demo")))
        stdin.write(samples.astype("<f4").tobytes())
        stdin.flush()
        messages += collect(subscriber, lambda ms: statuses(ms, "stdin")[-1:] and heard(ms) == len(samples))
        last = statuses(messages, "stdin")[-1]
        assert_serves(one, subscriber, ["demo"], messages)
    assert last.faults.nonfinite == RATE + 2 * RATE // 50 + RATE
    assert (last.faults.failed, last.faults.crashes) == (0, 0)
    assert last.total.published == last.total.due > 10
    assert all(e.label or e.reason for e in windows(messages, "stdin"))


def heard(messages: list[Message]) -> int:
    """Samples of stdin that have been fed, or are in no whole frame."""
    total = statuses(messages, "stdin")[-1].total
    return total.captured if total.captured - total.fed < RATE else 0


BREAK_DECODER = """
import pathlib, av
whole, trigger = av.open, pathlib.Path({path!r})
def open(*arguments, **options):
    if trigger.exists():
        raise RuntimeError("the decoder is broken")
    return whole(*arguments, **options)
av.open = open
"""


def test_a_decoder_that_raises(daemon: Start, endpoint: str, small_model: Path, tmp_path: Path) -> None:
    """What no decoder should raise ends the attempt: lost, counted each time, one traceback; then it runs again."""
    trigger = tmp_path / "broken"
    (tmp_path / "sitecustomize.py").write_text(BREAK_DECODER.format(path=str(trigger)))
    environment = os.environ | {"PYTHONPATH": f"{tmp_path}:{os.environ.get('PYTHONPATH', '')}"}
    uri = f"file:{write_wav(tmp_path / 'loop.wav', music(1.0))}?loop=1&pace=realtime"
    one = daemon(f"loop={uri}", "demo:", "--model", small_model, env=environment)
    with subscribed(endpoint) as subscriber:
        messages = collect(subscriber, lambda ms: bool(windows(ms, "loop")))
        trigger.touch()
        messages += collect(subscriber, lambda ms: any(s.faults.crashes >= 2 for s in statuses(ms, "loop")))
        trigger.unlink()
        messages += collect(subscriber, lambda ms: bool(windows(ms, "loop")))
        assert_serves(one, subscriber, ("loop", "demo"), messages)
    assert one.log.count("Traceback") == 1
    assert one.log.count("RuntimeError: the decoder is broken\n") >= 1
    changes = [m.state for m in messages if isinstance(m, Event) and m.event == "state" and m.station == "loop"]
    assert changes == ["running", "lost", "running"]
    assert {s.state for s in statuses(messages, "demo")} <= {"connecting", "running"}


def test_a_model_that_is_garbage(daemon: Start, endpoint: str, small_model: Path, tmp_path: Path) -> None:
    """Model replaced by garbage, and SIGHUP: one event says so, and every window is answered by the old model."""
    model, config = tmp_path / "model.onnx", tmp_path / "genred.toml"
    model.write_bytes(small_model.read_bytes())
    config.write_text(f"model = '{model}'\nhop = 10\n[[station]]\nname = 'demo'\nuri = 'demo:'\n")
    one = daemon("--config", config)
    with subscribed(endpoint) as subscriber:
        messages = collect(subscriber, lambda ms: len(windows(ms, "demo")) >= 3)
        model.write_bytes(np.random.default_rng(0).bytes(100_000))
        one.process.send_signal(signal.SIGHUP)
        messages += collect(subscriber, lambda ms: any(isinstance(m, Event) and m.event == "error" for m in ms))
        messages += assert_serves(one, subscriber, ["demo"], messages)
    error = next(m for m in messages if isinstance(m, Event) and m.event == "error")
    assert "is not an ONNX model that can be run" in error.text
    numbers = [e.first_sample for e in windows(messages, "demo")]
    assert set(np.diff(numbers)) == {10 * 512}
