from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator
from pathlib import Path

import msgspec
import numpy as np
import onnx
import pytest
import torch
from torch import Tensor

import tiny_gtzan
from genred.card import CARD_KEY, Horizon, ModelCard, Result
from genred.classifier import Classifier
from genred.errors import BadInputError, GenredError
from genretrain import card, checkpoint, gtzan, recipe
from genretrain.cli import main
from genretrain.export import Probabilities, _card, _command, export
from genretrain.networks import NETWORKS


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return tiny_gtzan.fitted(tmp_path_factory.mktemp("fitted"))


@pytest.fixture(scope="module")
def model(fitted: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    data, run = fitted
    out = tmp_path_factory.mktemp("models") / "tiny.onnx"
    export(run, out, data)
    return out


def windows(batch: int, frames: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 50, size=(batch, frames, 8)).astype(np.float32)


@pytest.mark.parametrize("batch", [1, 3, 8])
@pytest.mark.parametrize("frames", [8, 40, 48, 1000])
def test_the_file_answers_as_the_network_does(fitted, model, batch, frames):
    """To 1e-5 in every probability, for any number of windows of any length."""
    _, network, _ = checkpoint.load_best(fitted[1])
    mfcc = windows(batch, frames)
    with torch.no_grad():
        expected = network(torch.from_numpy(mfcc)).softmax(1).numpy()
    np.testing.assert_allclose(Classifier(model, "cpu").probabilities(mfcc), expected, atol=1e-5, rtol=0)


def test_batch_and_time_are_free(model):
    """``mfcc`` [B, T, 8] and ``probabilities`` [B, 10]: only coefficients and classes are fixed."""
    graph = onnx.load(model).graph
    shapes = {
        value.name: [axis.dim_param or axis.dim_value for axis in value.type.tensor_type.shape.dim]
        for value in (*graph.input, *graph.output)
    }
    assert shapes == {"mfcc": ["B", "T", 8], "probabilities": ["B", 10]}


def test_the_weights_are_in_the_file(model):
    """It is moved as one file: nothing lies beside it but the readable card."""
    assert all(not weight.external_data for weight in onnx.load(model, load_external_data=False).graph.initializer)
    assert sorted(path.name for path in model.parent.iterdir()) == ["tiny.md", "tiny.onnx"]


def test_the_card_tells_what_the_run_was(fitted, model):
    """Features, gain, window, recipe and split are the run's own."""
    plan, network, record = checkpoint.load_best(fitted[1])
    model_card = Classifier(model, "cpu").card
    assert model_card.labels == gtzan.GENRES
    assert (model_card.spec, model_card.gain, model_card.window_frames) == (plan.spec, plan.gain, plan.window)
    assert model_card.horizons == (Horizon(plan.window),)
    assert model_card.geometry == network.geometry()
    assert Classifier(model, "cpu").passes == "rolling windows, in steps of 8 frames"
    assert model_card.results == ()
    training = model_card.training
    assert training["tracks"] == {"train": 70, "valid": 10, "test": 20}
    assert (training["seed"], training["epoch"]) == (plan.seed, record["epoch"])
    assert training["valid_accuracy"] == record["valid_accuracy"]
    assert training["recipe"]["augment"] == dataclasses.asdict(plan.augment)
    assert plan.augment.gain_db == 6
    assert 0 <= training["parity"] <= 1e-5
    assert re.fullmatch(r"[0-9a-f]{7,}(-dirty)?", training["commit"])
    assert "GTZAN" in model_card.licence
    assert "\n" not in model_card.licence


@pytest.mark.parametrize(("shortest", "frames"), [(0, [1000]), (128, [128, 208, 432, 1000])])
def test_the_card_has_the_horizons_that_were_trained_for(shortest, frames):
    """A network that learned from short crops answers as short ones; one that did not, full windows only."""
    plan = recipe.Recipe(network="genred", shortest=shortest)
    assert _card(plan, NETWORKS["genred"](20, 10, 1000), {}).horizons == tuple(Horizon(n) for n in frames)


def test_the_card_comes_back_as_it_was_stored(model, tmp_path):
    """Storing replaces the card and nothing else: the network is the same, byte for byte."""
    copy = tmp_path / "copy.onnx"
    copy.write_bytes(model.read_bytes())
    before = Classifier(copy, "cpu").card
    changed = msgspec.structs.replace(
        before,
        horizons=(Horizon(8), Horizon(40, 1.5, 0.25)),
        results=(Result("random", "log-mel", 20, 5, 0.25, 0.1, 0.5),),
    )
    card.store(copy, changed)
    assert Classifier(copy, "cpu").card == changed
    proto = onnx.load(copy)
    assert [entry.key for entry in proto.metadata_props] == [CARD_KEY]
    assert proto.graph == onnx.load(model).graph


def numbers(value: object) -> Iterator[float]:
    """All numbers in nested settings."""
    if isinstance(value, dict | list | tuple):
        for part in value.values() if isinstance(value, dict) else value:
            yield from numbers(part)
    elif isinstance(value, int | float):
        yield float(value)


def test_the_fingerprint_is_of_what_answers(model, tmp_path):
    """Other results leave it as it is, another threshold and other weights do not."""
    copy, told = tmp_path / model.name, Classifier(model, "cpu").card
    copy.write_bytes(model.read_bytes())
    card.store(copy, msgspec.structs.replace(told, results=(Result("random", "log-mel", 2, 1, 0.5, 0.1, 0.9),)))
    assert card.fingerprint(copy) == card.fingerprint(model)
    card.store(copy, msgspec.structs.replace(told, horizons=(Horizon(told.window_frames, unsure_below=0.5),)))
    assert card.fingerprint(copy) != card.fingerprint(model)
    proto = onnx.load(model)
    proto.graph.initializer[0].raw_data = bytes(len(proto.graph.initializer[0].raw_data))
    onnx.save(proto, copy)
    assert card.fingerprint(copy) != card.fingerprint(model)


def test_every_number_of_the_readable_card_is_in_the_card(model):
    """The ``.md`` is the card and nothing else: change the card, and it changes."""
    model_card = Classifier(model, "cpu").card
    text = model.with_suffix(".md").read_text()
    assert text == card.markdown(model_card, "tiny")
    numeric = re.sub(r"\| (commit|held_out) \|.*", "", text)  # hexadecimal: 25e7775 is no number
    shown = [float(number) for number in re.findall(r"\| (-?[0-9][0-9.e+-]*) \|", numeric)]
    assert len(shown) > 30
    assert set(shown) <= set(numbers(msgspec.to_builtins(model_card)))


def test_the_readable_card_sets_out_the_horizons(model):
    """A row for each, with its length in seconds; and in the head from what to what it answers."""
    horizons = (Horizon(20, 1.25), Horizon(40, 0.75, 0.5))
    text = card.markdown(msgspec.structs.replace(Classifier(model, "cpu").card, horizons=horizons), "tiny")
    assert "| 20 | 0.53 s | 1.25 | 0.0 |\n| 40 | 1.00 s | 0.75 | 0.5 |" in text
    assert "windows of 20 to 40 MFCC frames (0.53 s to 1.00 s)" in text


def test_the_readable_card_sets_out_the_results_with_their_intervals(model):
    """A row for each result, in per cent; before there are any, it says so."""
    model_card = Classifier(model, "cpu").card
    assert "Not evaluated yet." in card.markdown(model_card, "tiny")
    result = Result("random", "log-mel", 200, 150, 0.75, 0.6857, 0.8049)
    text = card.markdown(msgspec.structs.replace(model_card, results=(result,)), "tiny")
    assert "| random | log-mel | 200 | 150 | 75.0 % | 68.6 % to 80.5 % |" in text


def test_the_shipped_recipe_is_the_command_that_is_written_down(fitted, tmp_path):
    """A run of a recipe that is in the checkout says how to repeat it; another one has only its recipe."""
    shipped = Path(__file__).parents[1] / "train" / "configs" / "crnn.toml"
    assert _command(recipe.read(shipped)) == {"command": "genretrain fit train/configs/crnn.toml"}
    assert _command(checkpoint.load_best(fitted[1])[0]) == {}


class Drifting(Probabilities):
    """A network whose export says something else than itself, as a broken exporter's would."""

    def forward(self, mfcc: Tensor) -> tuple[Tensor, Tensor]:
        steps = self.network.steps(mfcc)
        logits = self.network.over_steps(steps)
        return (logits * (1.1 if torch.onnx.is_in_onnx_export() else 1.0)).softmax(1), steps


def test_a_file_that_answers_otherwise_is_not_written(fitted, tmp_path, monkeypatch):
    """The difference is told, and no file is left, whole or partial."""
    data, run = fitted
    monkeypatch.setattr("genretrain.export.Probabilities", Drifting)
    with pytest.raises(GenredError, match="differs from torch's by"):
        export(run, tmp_path / "models" / "tiny.onnx", data)
    assert list((tmp_path / "models").iterdir()) == []


def test_a_run_without_an_epoch_is_refused(tmp_path, capsys):
    """Exit code 2, and what to do first."""
    with pytest.raises(SystemExit) as exit_:
        main(["export", str(tmp_path), "--out", str(tmp_path / "tiny.onnx")])
    assert exit_.value.code == 2
    error = capsys.readouterr().err
    assert error == f"genretrain: no finished epoch in {tmp_path}: run genretrain fit first\n"


def test_another_network_than_the_crnn_is_refused(tmp_path):
    """The daemon must know how a network is built: a perceptron, say, has one length of window."""
    plan = recipe.Recipe(network="dnn", window=8)
    saved = {"averaged": checkpoint.untrained(plan).state_dict(), **checkpoint.identity(plan)}
    torch.save(saved | {"epoch": 1, "valid_accuracy": 0.1, "valid_loss": 2.3}, tmp_path / "best.pt")
    with pytest.raises(BadInputError, match="is a dnn, but only a network that can be rolled is exported"):
        export(tmp_path, tmp_path / "tiny.onnx", tmp_path)


def test_a_run_of_another_program_is_refused(tmp_path):
    """A checkpoint whose recipe has keys that are not known is not guessed at."""
    torch.save({"recipe": '{"optimiser": "sgd"}'}, tmp_path / "best.pt")
    with pytest.raises(BadInputError, match="not a checkpoint of this genretrain: unknown key 'optimiser'"):
        export(tmp_path, tmp_path / "tiny.onnx", tmp_path)


def test_the_card_is_refused_by_no_reader_of_its_own_version(model):
    """What is in the metadata is strict JSON of a ModelCard."""
    [entry] = onnx.load(model).metadata_props
    assert msgspec.json.decode(entry.value, type=ModelCard) == Classifier(model, "cpu").card
