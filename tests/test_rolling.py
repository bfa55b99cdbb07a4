from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from conftest import LABELS, make_model, music
from genred.card import CARD_KEY, Horizon, ModelCard
from genred.classifier import Classifier
from genred.epoch import Epoch, Geometry, Past, Window
from genred.errors import ConfigError
from genred.features import GainRule, Mfcc, MfccSpec
from genred.rolling import Convolution, Rolling, local_part, reach, rolling_engine

TOLERANCE = 1e-5  # of a probability


class Net:
    """A network of blocks (kernel, pooling) of convolutions over time, then an LSTM or a GRU."""

    def __init__(self, blocks: Sequence[tuple[int, int]], recurrent: str = "LSTM", n_mfcc: int = 20) -> None:
        self.blocks, self.recurrent, self.n_mfcc = blocks, recurrent, n_mfcc
        self._weights: list[onnx.TensorProto] = []

    def geometry(self) -> dict[str, Any]:
        blocks = [{"kernel": k, "padding": "same", "filters": 8, "pooling": p} for k, p in self.blocks]
        return {"steps": "steps", "convolutions": blocks, "recurrent": [8]}

    def write(self, path: Path, window: int, **geometry: object) -> Path:
        """Write it with a card that says `geometry` where its own is to be changed."""
        card = ModelCard(
            labels=LABELS,
            spec=MfccSpec(n_mfcc=self.n_mfcc),
            gain=GainRule(),
            window_frames=window,
            geometry=self.geometry() | geometry,
            training={},
            licence="for tests",
        )
        model = helper.make_model(self._graph(), opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
        model.metadata_props.add(key=CARD_KEY, value=msgspec.json.encode(card).decode())
        onnx.save(model, path)
        return path

    def _weight(self, *shape: int) -> str:
        name = f"w{len(self._weights)}"
        values = self._rng.normal(scale=1 / np.sqrt(shape[-1]), size=shape).astype(np.float32)
        self._weights.append(numpy_helper.from_array(values, name))
        return name

    def _shape(self, *sizes: int) -> str:
        name = f"w{len(self._weights)}"
        self._weights.append(numpy_helper.from_array(np.array(sizes, np.int64), name))
        return name

    def _graph(self) -> onnx.GraphProto:
        self._rng, self._weights = np.random.default_rng(0), []  # the same weights each time
        node, hidden = helper.make_node, 8
        gates = {"LSTM": 4, "GRU": 3}[self.recurrent]
        nodes = [node("Transpose", ["mfcc"], ["x0"], perm=[0, 2, 1])]  # [B, C, T]
        width = self.n_mfcc
        for i, (kernel, pooling) in enumerate(self.blocks):
            pads = [(kernel - 1) // 2, kernel // 2]
            nodes += [
                node("Conv", [f"x{i}", self._weight(8, width, kernel), self._weight(8)], [f"c{i}"], pads=pads),
                node("Tanh", [f"c{i}"], [f"r{i}"]),
                node("MaxPool", [f"r{i}"], [f"x{i + 1}"], kernel_shape=[pooling], strides=[pooling]),
            ]
            width = 8
        weights = [self._weight(1, gates * hidden, 8), self._weight(1, gates * hidden, hidden)]
        nodes += [
            node("Transpose", [f"x{len(self.blocks)}"], ["steps"], perm=[0, 2, 1]),  # [B, S, F]
            node("Transpose", ["steps"], ["turned"], perm=[1, 0, 2]),
            node(self.recurrent, ["turned", *weights], ["", "last"], hidden_size=hidden),
            node("Squeeze", ["last", self._shape(0)], ["flat"]),
            node("MatMul", ["flat", self._weight(hidden, len(LABELS))], ["logits"]),
            node("Softmax", ["logits"], ["probabilities"]),
        ]
        value = helper.make_tensor_value_info
        inputs = [value("mfcc", TensorProto.FLOAT, ["B", "T", self.n_mfcc])]
        outputs = [value("probabilities", TensorProto.FLOAT, ["B", len(LABELS)])]
        return helper.make_graph(nodes, "net", inputs, outputs, self._weights)


NETS = {
    "like the paper's": Net([(3, 2), (3, 2), (3, 2)]),
    "odd and even kernels, a GRU": Net([(5, 2), (4, 3)], "GRU", n_mfcc=13),
    "far-seeing": Net([(9, 1), (7, 4)], n_mfcc=7),
    "seeing ahead": Net([(2, 1)] * 4),  # a window may be shorter than what its end sees
    "seeing nothing but its own frames": Net([(1, 2), (1, 2)]),
}
WINDOW = 96  # frames: steps of all of them


@lru_cache
def engine(name: str, folder: Path) -> Rolling:
    judge = Classifier(NETS[name].write(folder / f"{len(name)}.onnx", WINDOW), "cpu")
    assert isinstance(judge._engine, Rolling), judge.passes
    return judge._engine


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("nets")


def frames(n: int, n_mfcc: int, seed: int) -> Any:
    return np.random.default_rng(seed).normal(size=(n, n_mfcc)).astype(np.float32)


def window(mfcc: Any, first: int, past: Past, n: int = WINDOW) -> Window:
    return Window(0, first, 0, 0, mfcc[first : first + n], 0.0, 0.0, lost_ms=0.0, silent=False, past=past)


@pytest.mark.parametrize("name", NETS)
@given(
    first=st.integers(1, WINDOW // 12),
    hop=st.integers(1, 12),
    plans=st.lists(st.lists(st.sampled_from(["due", "due", "late", "reset"]), max_size=12), min_size=1, max_size=3),
)
def test_growing_windows_are_whole(folder: Path, name: str, first: int, hop: int, plans: list[list[str]]) -> None:
    """From the first window of an epoch, however short, through all that grow, to those that move: the whole pass's.

    Whatever the hops, windows that are skipped, and resets in between, for several stations together.
    """
    rolling = engine(name, folder)
    pooling = rolling.reach.pooling
    geometry = Geometry(WINDOW // pooling * pooling, hop * pooling, min(first * pooling, WINDOW))
    tracks = [frames(WINDOW + 13 * hop * pooling, NETS[name].n_mfcc, seed) for seed in range(len(plans))]
    numbers, pasts = [0] * len(plans), [Past() for _ in plans]
    for turn in range(max(map(len, plans))):
        due = []
        for i, plan in enumerate(plans):
            what = plan[turn] if turn < len(plan) else "late"
            if what == "reset":
                numbers[i], pasts[i] = 0, Past()
            begin, end = geometry.place(numbers[i])
            numbers[i] += 1
            if what != "late":
                due.append(window(tracks[i], begin, pasts[i], end - begin))
        if due:
            expected = np.stack([rolling.whole(one.mfcc[None])[0] for one in due])
            np.testing.assert_allclose(rolling.roll(due), expected, atol=TOLERANCE)


moves = st.lists(
    st.tuples(
        st.integers(0, 30),  # steps to the next window
        st.sampled_from(["on", "on", "on", "reset", "shorter", "longer"]),
        st.booleans(),  # a window of this station is due
    ),
    min_size=1,
    max_size=8,
)


@pytest.mark.parametrize("name", NETS)
@given(plans=st.lists(moves, min_size=1, max_size=4))
def test_rolled_is_whole(folder: Path, name: str, plans: list[list[tuple[int, str, bool]]]) -> None:
    """Whatever the hops, gaps, resets and lengths of windows of however many stations: the answer is the whole pass's.

    To 1e-5 of a probability, for networks of other kernels, poolings, coefficients and recurrence.
    """
    rolling = engine(name, folder)
    pooling = rolling.reach.pooling
    tracks = [frames(WINDOW + 240 * pooling, NETS[name].n_mfcc, seed) for seed in range(len(plans))]
    firsts, lengths, pasts = [0] * len(plans), [WINDOW] * len(plans), [Past() for _ in plans]
    for turn in range(max(map(len, plans))):
        due = []
        for i, plan in enumerate(plans):
            if turn >= len(plan):
                continue
            steps, what, wanted = plan[turn]
            firsts[i] += steps * pooling
            lengths[i] = {"shorter": WINDOW // 2, "longer": WINDOW}.get(what, lengths[i]) // pooling * pooling
            if what == "reset":
                pasts[i] = Past()
                firsts[i] = 0
            if wanted:
                due.append(window(tracks[i], firsts[i], pasts[i], lengths[i]))
        if due:
            expected = np.stack([rolling.whole(one.mfcc[None])[0] for one in due])
            np.testing.assert_allclose(rolling.roll(due), expected, atol=TOLERANCE)


@pytest.mark.parametrize("name", NETS)
def test_only_what_is_new_is_convolved(folder: Path, name: str) -> None:
    """After the first window of an epoch a hop costs its own steps, and the edges."""
    whole = engine(name, folder)
    lengths: list[int] = []

    def convolve(batch: Any) -> Any:
        lengths.append(batch.shape[1])
        return whole._convolve(batch)

    rolling = Rolling(convolve, whole._recur, whole.reach)
    far, past, mfcc = rolling.reach, Past(), frames(WINDOW + 10 * 12, NETS[name].n_mfcc, 0)
    for number in range(5):
        rolling.roll([window(mfcc, number * 2 * far.pooling, past)])
    edge = (far.left + far.right) * far.pooling
    assert lengths == [WINDOW, *[edge + 2 * far.pooling, *([edge] if far.left else [])] * 4]


@pytest.mark.parametrize("name", NETS)
def test_of_a_growing_window_only_what_is_new_is_convolved(folder: Path, name: str) -> None:
    """A window that has grown by a hop costs the hop's steps and the edges, as one that has moved by it."""
    whole = engine(name, folder)
    lengths: list[int] = []

    def convolve(batch: Any) -> Any:
        lengths.append(batch.shape[1])
        return whole._convolve(batch)

    rolling = Rolling(convolve, whole._recur, whole.reach)
    far, past, mfcc = rolling.reach, Past(), frames(WINDOW, NETS[name].n_mfcc, 0)
    for number in range(4):
        rolling.roll([window(mfcc, 0, past, 48 + number * far.pooling)])
    edge = (far.left + far.right) * far.pooling
    assert lengths == [48, *[edge + far.pooling, *([edge] if far.left else [])] * 3]


@pytest.mark.parametrize("name", NETS)
def test_shorter_windows_after_a_longer_one(folder: Path, name: str) -> None:
    """Batches that are answered at the same time may keep a later window's steps first: an earlier one is whole."""
    rolling, past = engine(name, folder), Past()
    mfcc, pooling = frames(WINDOW, NETS[name].n_mfcc, 0), rolling.reach.pooling
    for n in (WINDOW // pooling, 1, 2, 3):
        rolled = rolling.roll([window(mfcc, 0, past, n * pooling)])
        np.testing.assert_allclose(rolled, rolling.whole(mfcc[: n * pooling][None]), atol=TOLERANCE)
        rolling.roll([window(mfcc, 0, past)])


def test_a_new_epoch_starts_empty(folder: Path) -> None:
    """After a reset nothing of the old epoch is used, though the frame numbers would fit."""
    rolling = engine("like the paper's", folder)
    one, other = frames(400, 20, 1), frames(400, 20, 2)
    past = Past()
    rolling.roll([window(one, 0, past)])
    after = rolling.roll([window(other, 8, Past())])
    np.testing.assert_allclose(after, rolling.whole(other[8 : 8 + WINDOW][None]), atol=TOLERANCE)
    stale = rolling.roll([window(other, 8, past)])
    assert np.abs(stale - after).max() > 100 * TOLERANCE, "the network does not tell the two apart"


@pytest.mark.parametrize(
    ("blocks", "pooling", "left", "right"),
    [
        ([(3, 2), (3, 2), (3, 2)], 8, 1, 1),
        ([(1, 4)], 4, 0, 0),
        ([(3, 1)], 1, 1, 1),
        ([(9, 1), (7, 4)], 4, 2, 2),
        ([(2, 2)], 2, 0, 1),
    ],
)
def test_reach(blocks: list[tuple[int, int]], pooling: int, left: int, right: int) -> None:
    """How many steps at either end of a window see its padding follows from kernels and poolings."""
    far = reach([Convolution(kernel, pool, "same") for kernel, pool in blocks])
    assert (far.pooling, far.left, far.right) == (pooling, left, right)


@pytest.mark.parametrize(
    ("geometry", "says"),
    [
        ({"convolutions": [{"kernel": 3, "padding": "valid", "filters": 8, "pooling": 2}] * 3}, "another kind"),
        ({"convolutions": [{"kernel": 3, "padding": "same", "filters": 8, "pooling": 0}]}, "another kind"),
        ({"convolutions": "three"}, "does not say how"),
        ({"steps": "nowhere"}, "no tensor 'nowhere'"),
        (
            {"convolutions": [{"kernel": 1, "padding": "same", "filters": 8, "pooling": 2}] * 3},
            "other steps than by a whole pass",
        ),
        ({"convolutions": [{"kernel": 3, "padding": "same", "filters": 8, "pooling": 5}]}, "not a multiple"),
    ],
)
def test_cards_that_do_not_allow_it(tmp_path: Path, geometry: dict[str, Any], says: str) -> None:
    """A card that does not say how, or is wrong, costs speed and nothing else: whole passes, and the reason is told."""
    net = NETS["like the paper's"]
    plain, odd = net.write(tmp_path / "plain.onnx", WINDOW), net.write(tmp_path / "odd.onnx", WINDOW, **geometry)
    judge = Classifier(odd, "cpu")
    assert judge.passes.startswith("whole windows: ")
    assert says in judge.passes
    mfcc = frames(3 * WINDOW, 20, 0)
    windows = [window(mfcc, 8 * i, Past()) for i in range(3)]
    expected = Classifier(plain, "cpu").judge(windows)
    for one, other in zip(judge.judge(windows), expected, strict=True):
        assert one.probabilities == pytest.approx(other.probabilities, abs=TOLERANCE)  # type: ignore[union-attr]
    judge.check_hop(7)


def test_a_wrong_card_shows_though_the_answers_are_the_same() -> None:
    """The steps are compared: a network may be so sure of its answer that it hides a wrong geometry."""

    def convolve(batch: Any) -> Any:
        padded = np.pad(batch, ((0, 0), (1, 1), (0, 0)))
        return padded[:, :-2] + padded[:, 1:-1] + padded[:, 2:]  # a kernel of 3

    def sure(steps: Any) -> Any:
        return np.tile([[1.0, 0.0]], (len(steps), 1))

    Rolling(convolve, sure, reach([Convolution(3, 1, "same")])).check([8, 16], 4)
    with pytest.raises(ValueError, match="other steps"):
        Rolling(convolve, sure, reach([Convolution(1, 1, "same")])).check([8, 16], 4)


def test_a_part_that_fails_is_no_engine() -> None:
    """Whatever a part of the network raises at the check is a reason for whole passes, not a traceback."""

    def fail(_batch: Any) -> Any:
        raise RuntimeError("Invalid input shape")

    with pytest.raises(ValueError, match="cannot be answered: RuntimeError"):
        Rolling(fail, fail, reach([Convolution(3, 2, "same")])).check([8, 16], 4)


def test_hops_between_steps_are_refused(tmp_path: Path) -> None:
    """Windows must begin where a step does; the sentence names a hop that can be had."""
    judge = Classifier(NETS["like the paper's"].write(tmp_path / "net.onnx", WINDOW), "cpu")
    assert judge.passes == "rolling windows, in steps of 8 frames"
    for hop in (8, 40, 800):
        judge.check_hop(hop)
    for hop, better in ((1, 8), (7, 8), (44, 40)):
        with pytest.raises(ConfigError, match=f"--hop {hop}: .* 8 frames.* as {better}$"):
            judge.check_hop(hop)


def test_both_parts_run_in_the_thread_that_calls(tmp_path: Path) -> None:
    """Whatever a window is rolled through takes one thread, and does not spin."""
    judge = Classifier(NETS["like the paper's"].write(tmp_path / "net.onnx", WINDOW), "cpu", 2)
    rolling: Any = judge._engine
    for part in (rolling._convolve, rolling._recur):
        options = part._session.get_session_options()
        assert options.intra_op_num_threads == options.inter_op_num_threads == 1
        assert options.get_session_config_entry("session.intra_op.allow_spinning") == "0"


@pytest.mark.parametrize("stations", [3, 9, 80])
def test_threads_change_no_answer(tmp_path: Path, stations: int) -> None:
    """Batches that are answered at the same time have the answers of one thread, also several windows of one epoch."""
    path = NETS["like the paper's"].write(tmp_path / "net.onnx", WINDOW)
    one, four = Classifier(path, "cpu"), Classifier(path, "cpu", 4)
    tracks = [frames(WINDOW + 160, 20, seed) for seed in range(stations)]
    here, there = ([Past() for _ in tracks] for _ in range(2))
    for first in range(0, 160, 32):
        due = [
            [window(track, at, past) for track, past in zip(tracks, pasts, strict=True) for at in (first, first + 16)]
            for pasts in (here, there)
        ]
        for a, b in zip(one.judge(due[0]), four.judge(due[1]), strict=True):
            assert a.probabilities == pytest.approx(b.probabilities, abs=TOLERANCE)  # type: ignore[union-attr]


def test_models_without_a_geometry_take_any_hop(tmp_path: Path) -> None:
    """What answers whole windows does not care where they begin."""
    judge = Classifier(make_model(tmp_path / "m.onnx"), "cpu")
    assert judge.passes.startswith("whole windows: its card does not say how")
    judge.check_hop(7)


def test_through_an_epoch(folder: Path) -> None:
    """From samples to answers, in any chunking: rolled, the windows of a stream are answered as whole passes."""
    rolling = engine("like the paper's", folder)
    mfcc = Mfcc(MfccSpec())
    epoch = Epoch(mfcc, Geometry(WINDOW, 16), GainRule(), 44100)
    samples, windows = music(8.0, rate=44100), []
    for start in range(0, len(samples), 5000):
        due = epoch.feed(samples[start : start + 5000])
        if due:
            np.testing.assert_allclose(
                rolling.roll(due), rolling.whole(np.stack([one.mfcc for one in due])), atol=TOLERANCE
            )
        windows += due
    assert len(windows) > 10
    assert len({id(one.past) for one in windows}) == 1


def test_what_a_card_says() -> None:
    """Other entries of a geometry are for people and change nothing."""
    local = local_part({"steps": "s", "convolutions": [{"kernel": 3, "padding": "same", "pooling": 2}], "dense": 64})
    assert local.steps == "s"
    assert local.convolutions == (Convolution(3, 2, "same"),)


def test_a_window_that_cannot_be_whole_steps(tmp_path: Path) -> None:
    """A window that is not a whole number of steps is refused by the engine, before anything is computed."""
    card = Classifier(NETS["like the paper's"].write(tmp_path / "net.onnx", WINDOW), "cpu").card
    for horizons, frames in (((Horizon(100),), 100), ((Horizon(28), Horizon(96)), 28)):
        odd = msgspec.structs.replace(card, window_frames=horizons[-1].frames, horizons=horizons)
        with pytest.raises(ValueError, match=f"{frames} frames are not a multiple of the 8"):
            rolling_engine(odd, lambda _part: lambda batch: batch, b"", 4_000)
