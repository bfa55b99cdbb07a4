"""Models that are slow, that answer nonsense, or that fail."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from wholly import Start, assert_books_balance, hear_wholly, statuses, windows

from conftest import collect, music, subscribed, write_wav
from genred.messages import Estimate, Event

SIDE, TIMES = 1024, 6  # of the matrices that a slow model multiplies: about 0.2 s


def changed(model: Path, out: Path, constants: dict[str, np.ndarray], nodes: Sequence[Any]) -> Path:
    """Write `model` with `nodes` between its "logits" and its softmax, which then takes their "changed"."""
    import onnx
    from onnx import numpy_helper

    whole = onnx.load(model)
    whole.graph.initializer.extend(numpy_helper.from_array(value, name) for name, value in constants.items())
    *before, softmax = list(whole.graph.node)
    softmax.input[0] = "changed"
    del whole.graph.node[:]
    whole.graph.node.extend([*before, *nodes, softmax])
    onnx.save(whole, out)
    return out


@pytest.fixture
def slow_model(small_model: Path, tmp_path: Path) -> Path:
    """It multiplies large matrices of zeros, for nothing."""
    from onnx.helper import make_node

    constants = {
        "project": np.zeros((20, SIDE), np.float32),
        "one": np.array([1], np.int64),
        "two": np.array([2], np.int64),
    }
    nodes = [
        make_node("MatMul", ["mean", "project"], ["wide"]),  # [B, SIDE]
        make_node("Unsqueeze", ["wide", "one"], ["row"]),
        make_node("Unsqueeze", ["wide", "two"], ["column"]),
        make_node("Mul", ["column", "row"], ["square0"]),  # [B, SIDE, SIDE]
        *(make_node("MatMul", [f"square{i}"] * 2, [f"square{i + 1}"]) for i in range(TIMES)),
        make_node("ReduceMax", [f"square{TIMES}"], ["nothing"], axes=[2], keepdims=0),  # [B, SIDE]
        make_node("ReduceMax", ["nothing"], ["zero"], axes=[1], keepdims=1),  # [B, 1]
        make_node("Add", ["logits", "zero"], ["changed"]),
    ]
    return changed(small_model, tmp_path / "slow.onnx", constants, nodes)


@pytest.fixture
def choosy_model(small_model: Path, tmp_path: Path) -> Path:
    """It answers NaN to what has its energy low in the spectrum: to music, not to noise."""
    from onnx.helper import make_node

    constants = {"limit": np.float32([10]), "second": np.array([1], np.int64), "none": np.float32([0])}
    nodes = [
        make_node("Gather", ["mean", "second"], ["tilt"], axis=1),  # [B, 1]
        make_node("Sub", ["limit", "tilt"], ["below"]),
        make_node("Sqrt", ["below"], ["root"]),  # of a negative number it is NaN
        make_node("Mul", ["root", "none"], ["zero"]),
        make_node("Add", ["logits", "zero"], ["changed"]),
    ]
    return changed(small_model, tmp_path / "choosy.onnx", constants, nodes)


@pytest.fixture
def failing_model(small_model: Path, tmp_path: Path) -> Path:
    """It looks beyond the end of a table when it hears music: ONNX Runtime raises."""
    from onnx import TensorProto
    from onnx.helper import make_node

    constants = {
        "limit": np.float32([10]),
        "second": np.array([1], np.int64),
        "far": np.array([1000], np.int64),
        "table": np.float32([0]),
    }
    nodes = [
        make_node("Gather", ["mean", "second"], ["tilt"], axis=1),
        make_node("Greater", ["tilt", "limit"], ["high"]),
        make_node("Cast", ["high"], ["number"], to=TensorProto.INT64),
        make_node("Mul", ["number", "far"], ["index"]),
        make_node("Gather", ["table", "index"], ["zero"], axis=0),
        make_node("Add", ["logits", "zero"], ["changed"]),
    ]
    return changed(small_model, tmp_path / "failing.onnx", constants, nodes)


def test_a_slow_model_skips_and_never_lags(daemon: Start, endpoint: str, slow_model: Path) -> None:
    """With a window each 23 ms and 0.2 s for an answer, most windows are skipped and counted, and no answer is old."""
    one = daemon("demo:", "--model", slow_model, "--hop", "1")
    with subscribed(endpoint) as subscriber:
        messages = collect(subscriber, lambda ms: len(windows(ms, "demo")) >= 15)
        assert one.stop() == 0
    published = windows(messages, "demo")
    times = [datetime.fromisoformat(e.time).timestamp() for e in published]
    round_s = float(np.median(np.diff(times)))
    hop_s = 512 / 22050
    assert round_s > 2 * hop_s, "this model is not slow on this machine"
    jumps = np.diff([e.last_sample for e in published]) // 512
    assert np.median(jumps) > 1
    assert sum(jumps - 1) == published[-1].skipped - published[0].skipped
    ages_s = np.array([float(e.age_ms) / 1000 for e in published])  # type: ignore[arg-type]
    assert np.median(ages_s) < 2 * round_s + 2 * hop_s
    assert max(ages_s) < 5 * (round_s + hop_s)
    assert_books_balance(messages)


def test_a_slow_model_skips_nothing_of_a_file(daemon: Start, tmp_path: Path, slow_model: Path) -> None:
    """A file waits for a slow model: each of its windows is judged."""
    path = write_wav(tmp_path / "file.wav", music(3.0))
    messages = hear_wholly(daemon, slow_model, tmp_path / "gate", path, "--hop", "5")
    last = statuses(messages)[-1]
    assert last.total.due == last.total.published == len(windows(messages, "file")) == 10
    assert last.total.skipped == 0


def test_an_answer_that_is_no_distribution_is_not_published(daemon: Start, tmp_path: Path, choosy_model: Path) -> None:
    """NaN from the model: nothing is published, each such window is an error event and counted; others are answered."""
    noise = np.random.default_rng(0).normal(scale=0.1, size=round(2.5 * 22050)).astype(np.float32)
    path = write_wav(tmp_path / "mixed.wav", np.concatenate([noise, music(3.0), noise]))
    uri = f"file:{path}?pace=realtime"  # one window a batch: a batch fails as a whole
    messages = hear_wholly(daemon, choosy_model, tmp_path / "gate", uri, "--hop", "10")
    answered = [e for e in messages if isinstance(e, Estimate) and e.probabilities]
    errors = [m for m in messages if isinstance(m, Event) and m.event == "error"]
    last = statuses(messages)[-1]
    assert 3 <= len(errors) == last.faults.failed <= last.total.skipped
    assert all("not finite" in event.text for event in errors)
    assert last.total.published == len(windows(messages, "mixed")) == len(answered)
    assert answered[0].last_sample < 3 * 22050
    assert answered[-1].last_sample > 7 * 22050
    assert_books_balance(messages)


def test_a_model_that_fails_has_no_answer(daemon: Start, tmp_path: Path, failing_model: Path) -> None:
    """A model that fails inside ONNX Runtime: each such window is an error event and counted; nothing is published."""
    path = write_wav(tmp_path / "music.wav", music(3.0))
    messages = hear_wholly(daemon, failing_model, tmp_path / "gate", path, "--hop", "10")
    errors = [m for m in messages if isinstance(m, Event) and m.event == "error"]
    last = statuses(messages)[-1]
    assert 1 <= len(errors) == last.faults.failed <= last.total.skipped
    assert all("the model failed on 1 windows" in event.text for event in errors)
    assert last.total.published == len(windows(messages, "music"))
    assert_books_balance(messages)
