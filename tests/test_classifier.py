from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from conftest import LABELS, SMALL_WINDOW, make_model
from genred import runtime
from genred.card import CARD_KEY, SHIPPED, Horizon, ModelCard, Result, find_model
from genred.classifier import LEAST_BATCH, Classifier, Verdict, Whole
from genred.epoch import Window
from genred.errors import BatchError, ModelError
from genred.features import GainRule, MfccSpec
from genred.runtime import Graph

C = MfccSpec().n_mfcc
CARD = ModelCard(
    labels=LABELS,
    spec=MfccSpec(),
    gain=GainRule(),
    window_frames=SMALL_WINDOW,
    geometry={},
    training={},
    licence="for tests",
)
HAS_CUDA = runtime.has_driver()
no_cuda = pytest.mark.skipif(HAS_CUDA, reason="this machine has an NVIDIA driver")


def windows(n: int, seed: int = 0, frames: int = SMALL_WINDOW) -> NDArray[np.float32]:
    """[B, T, C], as music makes them."""
    return (40 * np.random.default_rng(seed).normal(size=(n, frames, C))).astype(np.float32)


def window(mfcc: NDArray[np.float32], *, silent: bool = False) -> Window:
    return Window(0, 0, 0, 0, mfcc, level_dbfs=-20.0, gain_db=0.0, lost_ms=0.0, silent=silent)


def with_card(model: Path, card: str | ModelCard) -> Path:
    """Replace the card of a model file."""
    proto = onnx.load(model)
    (entry,) = [entry for entry in proto.metadata_props if entry.key == CARD_KEY]
    entry.value = card if isinstance(card, str) else msgspec.json.encode(card).decode()
    onnx.save(proto, model)
    return model


def save(path: Path, nodes: list[Any], inputs: list[Any], outputs: list[Any], card: ModelCard = CARD) -> Path:
    """Write a model of these nodes, with a card."""
    weights = numpy_helper.from_array(np.zeros((C, len(LABELS)), np.float32), "weights")
    graph = helper.make_graph(nodes, "odd", inputs, outputs, [weights])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    entry = model.metadata_props.add()
    entry.key, entry.value = CARD_KEY, msgspec.json.encode(card).decode()
    onnx.save(model, path)
    return path


def tensor(name: str, *shape: int | str) -> Any:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, list(shape))


def refusal(path: Path, provider: Any = "cpu") -> str:
    """The sentence with which a model is refused."""
    with pytest.raises(ModelError) as caught:
        Classifier(path, provider)
    text = str(caught.value)
    assert "\n" not in text
    assert caught.value.exit_code == 2
    return text


def session_of(judge: Classifier) -> Any:
    """ONNX Runtime's session of a model that answers whole windows."""
    engine: Any = judge._engine
    return engine.whole._session


# What it answers


def test_probabilities(small_model: Path) -> None:
    """Every window has one probability for each label, they are not negative, and sum to 1."""
    judge = Classifier(small_model, "cpu")
    table = judge.probabilities(windows(7))
    assert table.shape == (7, len(LABELS))
    assert (table >= 0).all()
    np.testing.assert_allclose(table.sum(axis=1), 1.0, atol=1e-9)
    assert len(set(table.argmax(axis=1).tolist())) > 1


def test_a_batch_is_its_windows(small_model: Path) -> None:
    """A window is judged the same alone and among others: batches only save time."""
    judge = Classifier(small_model, "cpu")
    batch = windows(5)
    together = judge.probabilities(batch)
    alone = np.concatenate([judge.probabilities(batch[i : i + 1]) for i in range(5)])
    np.testing.assert_allclose(together, alone, atol=1e-6)


def test_temperature(tmp_path: Path) -> None:
    """Calibration takes probabilities to the power 1 / T: the label stays, the confidence changes as the card says."""
    hot = make_model(tmp_path / "hot.onnx", horizons=(Horizon(SMALL_WINDOW, temperature=2.0),))
    raw = Classifier(make_model(tmp_path / "raw.onnx"), "cpu").probabilities(windows(3))
    calibrated = Classifier(hot, "cpu").probabilities(windows(3))
    np.testing.assert_allclose(calibrated, np.sqrt(raw) / np.sqrt(raw).sum(axis=1, keepdims=True), atol=1e-6)


def test_unsure(tmp_path: Path) -> None:
    """Below the card's threshold an answer has no label: it says ``unsure``, and with which probabilities."""
    raw = Classifier(make_model(tmp_path / "raw.onnx"), "cpu")
    table = raw.probabilities(windows(20))
    threshold = float(np.median(table.max(axis=1)))
    shy = make_model(tmp_path / "shy.onnx", horizons=(Horizon(SMALL_WINDOW, unsure_below=threshold),))
    verdicts = [Classifier(shy, "cpu").verdict(row) for row in table]
    unsure = [verdict for verdict in verdicts if verdict.reason == "unsure"]
    assert len(unsure) == 10
    for verdict in unsure:
        assert (verdict.label, verdict.confidence) == (None, None)
        assert verdict.probabilities is not None
        assert max(verdict.probabilities.values()) < threshold
    assert all(v.confidence is not None and v.confidence >= threshold for v in verdicts if v.reason is None)
    assert [v.label for v in verdicts if v.label] == [
        v.label for v in map(raw.verdict, table) if v.confidence >= threshold
    ]


def test_each_horizon_is_judged_in_its_own_way(tmp_path: Path) -> None:
    """A window is calibrated, and found unsure, as the longest horizon wants it that is not longer; also in one batch.

    The probabilities that are compared with the threshold are the calibrated ones, which are those that are told.
    """
    horizons = (Horizon(20, 0.5), Horizon(40, 2.0, unsure_below=0.999), Horizon(SMALL_WINDOW, 4.0))
    judge = Classifier(make_model(tmp_path / "m.onnx", horizons=horizons), "cpu")
    raw = Classifier(make_model(tmp_path / "raw.onnx"), "cpu")
    lengths = {20: 0.5, 39: 0.5, 40: 2.0, 64: 2.0, 79: 2.0, 80: 4.0}
    heard = [windows(1, seed=n, frames=n)[0] for n in lengths]
    for mfcc, temperature, verdict in zip(heard, lengths.values(), judge.judge(list(map(window, heard))), strict=True):
        assert isinstance(verdict, Verdict)
        powers = raw.probabilities(mfcc[None])[0] ** (1 / temperature)
        expected = powers / powers.sum()
        np.testing.assert_allclose(list((verdict.probabilities or {}).values()), expected, atol=1e-6)
        np.testing.assert_allclose(judge.probabilities(mfcc[None])[0], expected, atol=1e-6)
        assert verdict.reason == ("unsure" if temperature == 2.0 else None)
        assert verdict.confidence == (None if temperature == 2.0 else pytest.approx(expected.max()))


def test_windows_of_several_lengths_are_one_batch_each(early_model: Path) -> None:
    """Those of one length are answered together, and none fails because it is among others."""
    judge, lengths = Classifier(early_model, "cpu"), []
    whole = judge._engine.whole

    def run(batch: Any) -> Any:
        lengths.append(batch.shape[:2])
        return whole(batch)

    judge._engine = Whole(run)
    judge.judge([window(windows(1, frames=n)[0]) for n in (80, 24, 80, 40, 24, 80)])
    assert sorted(lengths) == [(1, 40), (2, 24), (3, 80)]


def test_a_card_without_horizons_has_that_of_full_windows() -> None:
    """It changes no answer: the temperature is 1, and nothing is too unsure."""
    assert CARD.horizons == (Horizon(SMALL_WINDOW, temperature=1.0, unsure_below=0.0),)


def test_the_lowest_temperature(tmp_path: Path) -> None:
    """However sharp a card makes the answers, they are probabilities: nothing underflows to 0 / 0."""
    cold = make_model(tmp_path / "cold.onnx", horizons=(Horizon(SMALL_WINDOW, temperature=0.05),))
    judge = Classifier(cold, "cpu")
    judge._engine = Whole(lambda _: np.full((1, len(LABELS)), 1 / len(LABELS), np.float32))
    np.testing.assert_allclose(judge.probabilities(windows(1)), 1 / len(LABELS))


@pytest.mark.parametrize("answer", [RuntimeError("no \x1b such\nindex"), np.zeros((2, 3))], ids=["raises", "shape"])
def test_a_network_that_fails_has_not_answered(small_model: Path, answer: Any) -> None:
    """Whatever ONNX Runtime raises, or an answer of another shape, is an error of that batch, in one line."""

    def run(_batch: Any) -> Any:
        if isinstance(answer, Exception):
            raise answer
        return answer

    judge = Classifier(small_model, "cpu")
    judge._engine = Whole(run)
    with pytest.raises(BatchError) as caught:
        judge.probabilities(windows(2))
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("error", [MemoryError(), RuntimeError("std::bad_alloc")], ids=["Python", "C++"])
def test_too_little_memory(small_model: Path, error: Exception) -> None:
    """A machine without the memory for a model is told so, and the model is not blamed."""

    def run(_batch: Any) -> Any:
        raise error

    judge = Classifier(small_model, "cpu")
    judge._engine = Whole(run)
    with pytest.raises(ModelError, match="not enough memory"):
        judge._check_shapes(small_model)


def test_verdicts(small_model: Path) -> None:
    """Each window is answered in its place; silence without asking the network, which would have a label for it."""
    judge = Classifier(small_model, "cpu")
    batch = windows(3)
    first, silence, last = judge.judge([window(batch[0]), window(batch[1], silent=True), window(batch[2])])
    assert silence == Verdict(reason="silence")
    for verdict, row in ((first, judge.probabilities(batch[:1])[0]), (last, judge.probabilities(batch[2:])[0])):
        assert isinstance(verdict, Verdict)
        assert verdict.label == LABELS[row.argmax()]
        assert verdict.confidence == pytest.approx(row.max())
        assert verdict.reason is None
        assert list(verdict.probabilities or {}) == list(LABELS)
    assert judge.judge([]) == []


def test_more_windows_than_a_batch(small_model: Path) -> None:
    """A hundred windows at once are a hundred answers, in order."""
    judge = Classifier(small_model, "cpu")
    many = windows(100)
    verdicts = judge.judge([window(mfcc) for mfcc in many])
    labels = [LABELS[i] for i in judge.probabilities(many).argmax(axis=1)]
    assert [verdict.label for verdict in verdicts if isinstance(verdict, Verdict)] == labels


def test_nan_is_no_answer(small_model: Path) -> None:
    """A network that answers NaN has not answered; that harms no other window, of the same batch or a later one."""
    judge = Classifier(small_model, "cpu")
    bad = windows(3)
    bad[1, 3, 4] = np.nan
    with pytest.raises(BatchError, match="not finite"):
        judge.probabilities(bad)
    first, none, last = judge.judge([window(mfcc) for mfcc in bad])
    assert isinstance(none, BatchError)
    expected = [LABELS[i] for i in judge.probabilities(bad[::2]).argmax(axis=1)]
    assert [verdict.label for verdict in (first, last) if isinstance(verdict, Verdict)] == expected


def test_numbers_that_are_no_probabilities_are_no_answer(tmp_path: Path) -> None:
    """Logits taken for probabilities do not sum to 1: no answer either, instead of a wrong confidence."""
    judge = Classifier(make_model(tmp_path / "logits.onnx", softmax=False), "cpu")
    with pytest.raises(BatchError, match="does not sum to 1"):
        judge.probabilities(windows(2))


def test_negative_probabilities_are_no_answer(tmp_path: Path) -> None:
    """Not even if they sum to 1."""
    nodes = [
        helper.make_node("ReduceMean", ["mfcc"], ["mean"], axes=[1], keepdims=0),
        helper.make_node("MatMul", ["mean", "weights"], ["zeros"]),
        helper.make_node("Constant", [], ["odd"], value_floats=[2.0, -1.0, *[0.0] * (len(LABELS) - 2)]),
        helper.make_node("Add", ["zeros", "odd"], ["out"]),
    ]
    path = save(tmp_path / "odd.onnx", nodes, [tensor("mfcc", "B", "T", C)], [tensor("out", "B", len(LABELS))])
    with pytest.raises(BatchError):
        Classifier(path, "cpu").probabilities(windows(1))


# What it says of itself


def test_name_digest_card_and_claim(small_model: Path, tmp_path: Path) -> None:
    """A classifier knows the name and SHA-256 of its file, its card, and the result that the card claims."""
    import hashlib

    judge = Classifier(small_model, "cpu")
    assert judge.name == "small"
    assert judge.digest == hashlib.sha256(small_model.read_bytes()).hexdigest()
    assert judge.card == CARD
    assert judge.claim() is None
    result = Result("test", "audio", 100, 80, 0.8, 0.71, 0.87)
    claiming = with_card(make_model(tmp_path / "m.onnx"), msgspec.structs.replace(CARD, results=(result,)))
    assert Classifier(claiming, "cpu").claim() == result


def test_the_claim_is_that_of_the_split_that_does_not_flatter(tmp_path: Path) -> None:
    """Where the card has results of several splits, the claim is the filtered one's first."""
    names = ("random", "filtered", "filtered", "random")
    results = tuple(Result(name, f"{i}", 100, 80, 0.8, 0.71, 0.87) for i, name in enumerate(names))
    for given, claimed in ((results, results[1]), (results[3:], results[3])):
        path = with_card(make_model(tmp_path / "m.onnx"), msgspec.structs.replace(CARD, results=given))
        assert Classifier(path, "cpu").claim() == claimed


def test_cards_may_say_more(tmp_path: Path) -> None:
    """Fields that a later genred adds to cards are ignored."""
    text = msgspec.json.encode(CARD).decode()
    path = with_card(make_model(tmp_path / "m.onnx"), text[:-1] + ', "colour": "blue"}')
    assert Classifier(path, "cpu").card == CARD


def test_threads_and_spinning(small_model: Path) -> None:
    """ONNX Runtime runs in the thread that calls it, and burns no core while it waits."""
    options = Graph(small_model.read_bytes(), small_model, "cpu")._session.get_session_options()
    assert options.intra_op_num_threads == options.inter_op_num_threads == 1
    assert options.get_session_config_entry("session.intra_op.allow_spinning") == "0"


def test_batches_at_the_same_time(small_model: Path) -> None:
    """With three threads three batches are answered at once: each waits here until all have begun."""
    judge = Classifier(small_model, "cpu", 3)
    together, engine = threading.Barrier(3, timeout=30), judge._engine
    sizes: list[int] = []

    class Waiting:
        whole = engine.whole

        def roll(self, due: Sequence[Window]) -> Any:
            sizes.append(len(due))
            together.wait()
            return engine.roll(due)

    judge._engine = Waiting()
    many = windows(3 * LEAST_BATCH + 1)
    verdicts = judge.judge([window(mfcc) for mfcc in many])
    assert sorted(sizes) == [LEAST_BATCH - 1, LEAST_BATCH + 1, LEAST_BATCH + 1]
    labels = [LABELS[i] for i in judge.probabilities(many).argmax(axis=1)]
    assert [verdict.label for verdict in verdicts if isinstance(verdict, Verdict)] == labels


# Where it runs


def test_cpu_as_asked(small_model: Path) -> None:
    """--provider cpu is obeyed, and one line says so."""
    judge = Classifier(small_model, "cpu")
    assert (judge.provider, judge.choice) == ("cpu", "cpu, as asked")
    assert session_of(judge).get_providers() == ["CPUExecutionProvider"]


def test_auto_says_what_and_why(small_model: Path) -> None:
    """--provider auto chooses what truly runs, and says in one line what it is and why."""
    judge = Classifier(small_model, "auto")
    assert session_of(judge).get_providers()[0].lower().startswith(judge.provider)
    assert judge.choice.startswith(f"{judge.provider}: ")
    assert "libcuda" in judge.choice
    assert "\n" not in judge.choice


@no_cuda
def test_auto_without_a_card(small_model: Path) -> None:
    """Without libcuda it is the CPU, even though ONNX Runtime lists CUDA as available."""
    assert Classifier(small_model, "auto").choice == "cpu: no NVIDIA driver (libcuda) on this machine"


@no_cuda
def test_cuda_without_a_card(small_model: Path) -> None:
    """--provider cuda must truly be in use: without libcuda it is refused, not replaced."""
    text = refusal(small_model, "cuda")
    assert "libcuda" in text
    assert "--provider cpu" in text


QUIETLY = """
import sys
from pathlib import Path
from genred.classifier import Classifier
from genred.errors import ModelError
for path in sys.argv[1:]:
    try:
        print(Classifier(Path(path), "auto").choice)
    except ModelError as error:
        print(error)
"""


def test_libraries_write_nothing_to_the_terminal(small_model: Path, tmp_path: Path) -> None:
    """ONNX Runtime complains on stderr of missing drivers and damaged files; none of it is seen."""
    damaged = tmp_path / "damaged.onnx"
    damaged.write_bytes(small_model.read_bytes()[:200])
    odd = save(
        tmp_path / "odd.onnx",
        [helper.make_node("Identity", ["mfcc"], ["out"])],
        [tensor("mfcc", 7, 7, 7)],
        [tensor("out", 7, 7, 7)],
    )
    run = subprocess.run(
        [sys.executable, "-c", QUIETLY, small_model, damaged, odd], capture_output=True, text=True, check=True
    )
    assert run.stderr == ""
    assert len(run.stdout.splitlines()) == 3


def test_what_libraries_write_is_not_seen(capfd: pytest.CaptureFixture[str]) -> None:
    """Nor is what they write past Python, as C++ does."""
    with runtime.quiet_stderr():
        os.write(2, b"red lines\n")
    os.write(2, b"ours\n")
    assert capfd.readouterr().err == "ours\n"


def test_stderr_is_given_back(small_model: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """After loading, what the program itself writes to stderr is seen again."""
    Classifier(small_model, "cpu")
    print("still here", file=sys.stderr)
    assert capfd.readouterr().err == "still here\n"


# What it refuses


def test_no_file(tmp_path: Path) -> None:
    """A missing file is named, with the reason."""
    path = tmp_path / "nothing.onnx"
    assert refusal(path) == f"cannot read the model {path}: No such file or directory"


def test_a_folder(tmp_path: Path) -> None:
    """A folder is no model."""
    assert "Is a directory" in refusal(tmp_path)


def test_what_never_ends() -> None:
    """A device, which would fill the memory, is refused unread."""
    assert refusal(Path("/dev/zero")) == "the model /dev/zero is a device, not a file"


def test_too_large(tmp_path: Path) -> None:
    """A file larger than any ONNX file is refused unread."""
    path = tmp_path / "large.onnx"
    with path.open("wb") as file:
        file.truncate(5 * 2**30)  # of holes
    assert refusal(path) == f"the model {path} has 5.0 GiB, but an ONNX file 2 at most"


def test_names_that_no_file_has() -> None:
    """Nor is a name that no file can have."""
    assert "No file can have that name" in refusal(Path("\0"))
    assert "too long" in refusal(Path(5000 * "a"))


@pytest.mark.parametrize("keep", [0, 1, 50, 300, 800])
def test_truncated(small_model: Path, tmp_path: Path, keep: int) -> None:
    """A file that was cut, anywhere, is refused."""
    path = tmp_path / "cut.onnx"
    path.write_bytes(small_model.read_bytes()[:keep])
    assert str(path) in refusal(path)


def test_random_bytes(tmp_path: Path) -> None:
    """So is a file of something else."""
    path = tmp_path / "noise.onnx"
    path.write_bytes(np.random.default_rng(0).bytes(100_000))
    assert "not an ONNX model" in refusal(path)


def test_weights_that_are_no_numbers(tmp_path: Path) -> None:
    """One weight that is NaN is refused by name: a Relu or a Max makes 0 of it, and the answers look like answers."""
    path = make_model(tmp_path / "m.onnx")
    proto = onnx.load(path)
    weights = numpy_helper.to_array(proto.graph.initializer[0]).copy()
    weights[3, 4] = np.nan
    proto.graph.initializer[0].CopyFrom(numpy_helper.from_array(weights, "weights"))
    onnx.save(proto, path)
    assert refusal(path) == f"the model {path} has weights that are no numbers (weights); export it again"


def test_an_operator_that_is_no_text(small_model: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """A model with a damaged operator is refused, and ONNX Runtime prints nothing on stdout of a second attempt."""
    path = tmp_path / "operator.onnx"
    path.write_bytes(small_model.read_bytes().replace(b"Softmax", b"Softma\xff"))
    assert "damaged" in refusal(path)
    assert capfd.readouterr() == ("", "")


def test_no_card(tmp_path: Path) -> None:
    """A model that does not say how it hears cannot be trusted; the refusal says how to make one that can."""
    text = refusal(make_model(tmp_path / "m.onnx", card=False))
    assert CARD_KEY in text
    assert "genretrain export" in text


def test_weights_in_another_file(tmp_path: Path) -> None:
    """A model is one file: weights kept beside it are refused, whether that file is there or not."""
    path = tmp_path / "external.onnx"
    proto = onnx.load(make_model(tmp_path / "m.onnx"))
    onnx.save(proto, path, save_as_external_data=True, location="external.data", size_threshold=0)
    assert (tmp_path / "external.data").exists()
    assert "keeps weights in another file" in refusal(path)
    (tmp_path / "external.data").unlink()
    assert "keeps weights in another file" in refusal(path)


def test_other_input_than_the_card_says(tmp_path: Path) -> None:
    """A network that takes another number of coefficients than its card says is refused before it hears anything."""
    path = with_card(make_model(tmp_path / "m.onnx"), msgspec.structs.replace(CARD, spec=replace(CARD.spec, n_mfcc=13)))
    assert "13 coefficients" in refusal(path)


@pytest.mark.parametrize("outputs", [1, 9, 11])
def test_other_output_than_the_card_says(tmp_path: Path, outputs: int) -> None:
    """A network with more or fewer outputs than labels would name the wrong genre."""
    text = refusal(make_model(tmp_path / "m.onnx", outputs=outputs))
    assert f"[2, {outputs}]" in text
    assert "10 labels" in text


def test_one_window_at_a_time(tmp_path: Path) -> None:
    """A network whose batch is fixed cannot serve several stations: refused at the start, not at the second station."""
    nodes = [
        helper.make_node("ReduceMean", ["mfcc"], ["mean"], axes=[1], keepdims=0),
        helper.make_node("MatMul", ["mean", "weights"], ["out"]),
    ]
    path = save(tmp_path / "m.onnx", nodes, [tensor("mfcc", 1, "T", C)], [tensor("out", 1, len(LABELS))])
    assert "does not take batches" in refusal(path)


def test_another_window_length(tmp_path: Path) -> None:
    """A network of fixed length takes the windows of its card, those of all horizons, or is refused."""
    nodes = [
        helper.make_node("ReduceMean", ["mfcc"], ["mean"], axes=[1], keepdims=0),
        helper.make_node("MatMul", ["mean", "weights"], ["out"]),
    ]
    path = save(tmp_path / "m.onnx", nodes, [tensor("mfcc", "B", 1000, C)], [tensor("out", "B", len(LABELS))])
    assert f"{SMALL_WINDOW} frames" in refusal(path)
    inputs, horizons = [tensor("mfcc", "B", SMALL_WINDOW, C)], (Horizon(20), Horizon(SMALL_WINDOW))
    card = msgspec.structs.replace(CARD, horizons=horizons)
    shorter = save(tmp_path / "m.onnx", nodes, inputs, [tensor("out", "B", len(LABELS))], card)
    assert "batches of 20 frames" in refusal(shorter)


def test_two_inputs(tmp_path: Path) -> None:
    """A network that wants more than MFCC cannot be run."""
    nodes = [
        helper.make_node("Add", ["mfcc", "more"], ["sum"]),
        helper.make_node("ReduceMean", ["sum"], ["mean"], axes=[1], keepdims=0),
        helper.make_node("MatMul", ["mean", "weights"], ["out"]),
    ]
    inputs = [tensor("mfcc", "B", "T", C), tensor("more", "B", "T", C)]
    refusal(save(tmp_path / "m.onnx", nodes, inputs, [tensor("out", "B", len(LABELS))]))


@pytest.mark.parametrize(
    "change",
    [
        {"labels": ()},
        {"labels": ("rock", "rock", *LABELS[2:])},
        {"labels": ("\x1b[2J", *LABELS[1:])},
        {"labels": ("", *LABELS[1:])},
        {"window_frames": 0},
        {"horizons": [{"frames": 80, "temperature": 0.0}]},
        {"horizons": [{"frames": 80, "temperature": -1.0}]},
        {"horizons": [{"frames": 80, "temperature": 1e-3}]},
        {"horizons": [{"frames": 40, "temperature": 1e6}, {"frames": 80}]},
        {"horizons": [{"frames": 80, "unsure_below": -0.1}]},
        {"horizons": [{"frames": 40, "unsure_below": 1.1}, {"frames": 80}]},
        {"horizons": [{"frames": 0}, {"frames": 80}]},
        {"horizons": [{"frames": 40}]},
        {"horizons": [{"frames": 40}, {"frames": 120}]},
        {"horizons": [{"frames": 60}, {"frames": 40}, {"frames": 80}]},
        {"horizons": [{"frames": 80}, {"frames": 80}]},
        {"horizons": [{"frames": 80, "warmth": 1.0}]},
        {"horizons": [{"frames": 40.5}, {"frames": 80}]},
        {"horizons": 3},
        {"window_frames": 10**9},
        {"spec": {"n_fft": 2**40}},
        {"spec": {"n_mels": 10**9}},
        {"spec": {"sample_rate": 10**9}},
        {"spec": {"n_mfcc": 0}},
        {"spec": {"n_fft": "2048"}},
        {"spec": {"hop_length": 4096}},
        {"gain": {"interval_frames": 0}},
        {"gain": {"interval_frames": 10**9}},
        {"gain": {"history": 10**9}},
        {"gain": {"step_db": 1e-300}},
        {"gain": {"max_db": 1e4}},
        {"window_frames": None},
        {"labels": 3},
    ],
    ids=str,
)
def test_cards_that_make_no_sense(tmp_path: Path, change: dict[str, Any]) -> None:
    """Each is refused in a sentence that says what in the card is wrong."""
    card = msgspec.json.decode(msgspec.json.encode(CARD)) | change
    text = refusal(with_card(make_model(tmp_path / "m.onnx"), msgspec.json.encode(card).decode()))
    assert "the card of the model" in text


@pytest.mark.parametrize("card", ["", "{", "[]", "{}", "null", "\x00"])
def test_cards_that_are_no_cards(tmp_path: Path, card: str) -> None:
    """So is a card that is not one at all."""
    assert "card" in refusal(with_card(make_model(tmp_path / "m.onnx"), card))


def test_a_card_that_is_no_text(small_model: Path, tmp_path: Path) -> None:
    """So is one of which a byte was damaged."""
    path = tmp_path / "card.onnx"
    path.write_bytes(small_model.read_bytes().replace(b"for tests", b"for test\xff"))
    assert "the card of the model" in refusal(path)


@pytest.mark.parametrize(
    ("name", "spec", "convolutions", "recurrent", "horizons"),
    [
        ("genred", MfccSpec(n_mfcc=64), 4, [128], [128, 208, 432, 1000]),
        ("crnn", MfccSpec(), 3, [256, 128], [1000]),
    ],
)
def test_models_that_come_with_genred(
    name: str, spec: MfccSpec, convolutions: int, recurrent: list[int], horizons: list[int]
) -> None:
    """Each is found by its name: ten genres, windows of 1000 frames, the daemon's gain, its horizons and its origin."""
    judge = Classifier(find_model(name), "cpu")
    card = judge.card
    assert judge.name == name
    assert card.labels == LABELS
    assert (card.spec, card.window_frames) == (spec, 1000)
    assert [horizon.frames for horizon in card.horizons] == horizons
    assert (len(card.geometry["convolutions"]), card.geometry["recurrent"]) == (convolutions, recurrent)
    assert judge.passes == "rolling windows, in steps of 8 frames"
    assert {"data", "split", "seed", "commit", "command"} <= set(card.training)
    assert card.training["recipe"]["gain"] == asdict(card.gain)
    assert card.training["recipe"]["augment"]["gain_db"] > 0


def test_the_default_model_is_genreds_own() -> None:
    """Without a name it is the first of those that come with genred."""
    assert find_model() == find_model("") == find_model("genred")
    assert SHIPPED == ("genred", "crnn")


@pytest.mark.parametrize("path", ["./crnn", "crnn.onnx", "models/genred", "Genred", "/crnn"])
def test_a_path_is_no_name(path: str) -> None:
    """Whatever is not exactly the name of a model is the path of a file."""
    assert find_model(path) == Path(path)
