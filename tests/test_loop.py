from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import tiny_gtzan
from genred.errors import BadInputError
from genred.features import GainRule
from genretrain import checkpoint, dataset, gtzan, loop, recipe, rows
from genretrain.cli import main

NOT_ON_TRAINING_MACHINES = (
    "msgspec",
    "soxr",
    "av",
    "onnxruntime",
    "zmq",
    "rich",
    "click",
    "sounddevice",
    "onnx",
    "sklearn",
    "scipy",
    "matplotlib",
)
ALONE = f"""
import sys
sys.modules.update(dict.fromkeys({NOT_ON_TRAINING_MACHINES!r}))  # None: importing it fails
from genretrain.cli import main
main()
"""


def write_recipe(path: Path, text: str = tiny_gtzan.RECIPE, **changed: object) -> Path:
    """Write a recipe; `changed` replaces values of its top level."""
    lines = [line for line in text.splitlines() if line.split(" =")[0] not in changed]
    path.write_text("\n".join([*(f"{key} = {json.dumps(value)}" for key, value in changed.items()), *lines]))
    return path


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_gtzan.write(tmp_path_factory.mktemp("tiny"))


def fit(recipe_path: Path, data: Path, out: Path) -> list[str]:
    return ["fit", str(recipe_path), "--data", str(data), "--out", str(out)]


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """The sentence on stderr with which genretrain refuses `arguments`."""
    with pytest.raises(SystemExit) as exit_:
        main([*arguments])
    error = capsys.readouterr().err
    assert exit_.value.code == 2
    assert error.startswith("genretrain: ")
    assert error.count("\n") == 1
    return error


def weights(run: Path) -> dict[str, torch.Tensor]:
    """Everything in the checkpoint that is a number of the network, its average, or the optimiser."""
    state = torch.load(run / "checkpoint.pt", weights_only=True)
    moments = {f"{i} {key}": value for i, entry in state["optimiser"]["state"].items() for key, value in entry.items()}
    return {**state["network"], **{f"averaged {k}": v for k, v in state["averaged"].items()}, **moments}


def test_fit_needs_numpy_and_torch_only(data, tmp_path):
    """A rented GPU needs nothing of what the daemon needs."""
    command = [sys.executable, "-c", ALONE, *fit(write_recipe(tmp_path / "tiny.toml"), data, tmp_path / "run")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "run" / "best.pt").exists()


def test_fit_ends_with_where_the_best_epoch_is(data, tmp_path, capsys):
    """The last line names the epoch, its accuracy and its file; they are those of the log."""
    main(fit(write_recipe(tmp_path / "tiny.toml", epochs=3), data, tmp_path / "run"))
    rows = [json.loads(line) for line in (tmp_path / "run" / "epochs.jsonl").read_text().splitlines()]
    assert [row["epoch"] for row in rows] == [1, 2, 3]
    best = max(rows, key=lambda row: (row["valid_accuracy"], -row["valid_loss"]))
    assert capsys.readouterr().out.splitlines()[-1] == (
        f"best epoch: {best['epoch']} of 3, validation accuracy {100 * best['valid_accuracy']:.1f} %,"
        f" in {tmp_path / 'run' / 'best.pt'}"
    )


def test_a_killed_run_ends_in_the_same_weights(data, tmp_path, capsys):
    """SIGKILL after some epoch, the same command again: every weight and moment is bit for bit as without the kill."""
    path = write_recipe(tmp_path / "tiny.toml", epochs=8, mixed_precision=True)
    run = tmp_path / "killed"
    child = subprocess.Popen([sys.executable, "-c", ALONE, *fit(path, data, run)], stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 90
    while not (run / "epochs.jsonl").exists():
        assert child.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.005)
    os.kill(child.pid, signal.SIGKILL)
    assert child.wait() == -signal.SIGKILL
    main(fit(path, data, run))
    assert "going on after epoch" in capsys.readouterr().out
    main(fit(path, data, tmp_path / "whole"))
    killed, whole = weights(run), weights(tmp_path / "whole")
    assert killed.keys() == whole.keys()
    assert all(torch.equal(killed[key], whole[key]) for key in whole)


def test_a_finished_run_stays_as_it_is(data, tmp_path, capsys):
    """The same command again trains nothing, and tells the best epoch again."""
    arguments = fit(write_recipe(tmp_path / "tiny.toml"), data, tmp_path / "run")
    main(arguments)
    checkpoint = (tmp_path / "run" / "checkpoint.pt").read_bytes()
    told = capsys.readouterr().out
    main(arguments)
    assert (tmp_path / "run" / "epochs.jsonl").read_text().count("\n") == 1
    assert (tmp_path / "run" / "checkpoint.pt").read_bytes() == checkpoint
    assert capsys.readouterr().out.splitlines()[-1] == told.splitlines()[-1]


def test_the_best_epoch_is_loaded_with_its_recipe(data, tmp_path):
    """A checkpoint holds its own configuration: network and recipe come back without the TOML file."""
    path = write_recipe(tmp_path / "tiny.toml")
    main(fit(path, data, tmp_path / "run"))
    plan, network, record = checkpoint.load_best(tmp_path / "run")
    assert plan == recipe.read(path)
    assert record["epoch"] == 1
    assert not network.training
    averaged = torch.load(tmp_path / "run" / "best.pt", weights_only=True)["averaged"]
    assert all(torch.equal(value, averaged[key]) for key, value in network.state_dict().items())


def test_training_hears_by_the_rule_that_the_card_will_state(data, tmp_path):
    """Features and gain are the recipe's: the network standardises by the statistics of the tracks as they then are."""
    rule = "\n[gain]\ninterval_frames = 10\nlow_dbfs = 100.0\ntarget_dbfs = 0.0\n"
    path = write_recipe(tmp_path / "tiny.toml", tiny_gtzan.RECIPE + rule)
    main(fit(path, data, tmp_path / "run"))
    plan, network, _ = checkpoint.load_best(tmp_path / "run")
    tracks = dataset.load(data)
    train = [tracks[name] for name in gtzan.split(plan.split, list(tracks), plan.seed).train]
    mean, deviation = dataset.Crops(train, plan.spec, plan.gain, plan.window).statistics()
    np.testing.assert_allclose(network.standardise.mean.numpy(), mean, rtol=1e-5)
    np.testing.assert_allclose(network.standardise.deviation.numpy(), deviation, rtol=1e-5)
    ungained, _ = dataset.Crops(train, plan.spec, GainRule(), plan.window).statistics()
    assert mean[0] > ungained[0] + 10


def test_a_checkpoint_from_before_a_setting_goes_on(data, tmp_path, capsys):
    """What its recipe does not name had its default then: the split was random, nothing was recorded."""
    path, run = write_recipe(tmp_path / "tiny.toml"), tmp_path / "run"
    main(fit(path, data, run))
    state = torch.load(run / "checkpoint.pt", weights_only=True)
    named = json.loads(state["recipe"])
    assert (named.pop("split"), named.pop("record_test")) == ("random", False)
    torch.save({**state, "recipe": json.dumps(named)}, run / "checkpoint.pt")
    capsys.readouterr()
    main(fit(path, data, run))
    assert "going on after epoch 1" in capsys.readouterr().out


def test_test_tracks_are_looked_at_only_where_the_recipe_says_so(data, tmp_path, capsys):
    """Their accuracy is in the log and nowhere else, and the weights are bit for bit the same with it."""
    main(fit(write_recipe(tmp_path / "tiny.toml", epochs=2), data, tmp_path / "without"))
    main(fit(write_recipe(tmp_path / "tiny.toml", epochs=2, record_test=True), data, tmp_path / "with"))
    said = capsys.readouterr()
    without, noted = (
        [json.loads(line) for line in (tmp_path / run / "epochs.jsonl").read_text().splitlines()]
        for run in ("without", "with")
    )
    assert all("test_accuracy" not in row for row in without)
    assert all(0 <= row["test_accuracy"] <= 1 for row in noted)
    assert "test" not in said.out.replace(str(tmp_path), "") + said.err.replace(str(tmp_path), "")
    one, other = weights(tmp_path / "without"), weights(tmp_path / "with")
    assert all(torch.equal(one[key], other[key]) for key in one)


@pytest.mark.parametrize("network", ["cnn", "dnn"])
def test_every_network_is_fitted_by_the_same_loop(data, tmp_path, network):
    """From recipe to both readings, the last epoch's and the best one's."""
    run = tmp_path / network
    main(fit(write_recipe(tmp_path / "tiny.toml", network=network), data, run))
    plan, last, epoch = checkpoint.load_last(run)
    assert (plan.network, epoch) == (network, 1)
    state = torch.load(run / "checkpoint.pt", weights_only=True)["averaged"]
    assert all(torch.equal(value, state[key]) for key, value in last.state_dict().items())
    assert checkpoint.load_best(run)[2]["epoch"] == 1


def test_the_loss_is_the_last_answers_and_in_its_share_that_of_every_step():
    """Target replication by its formula: (1 - a) * loss of the last + a * mean loss over the steps."""
    answers = torch.randn(3, 5, 10, generator=torch.manual_seed(0))  # [B, S, K]
    target = nn.functional.one_hot(torch.tensor([1, 4, 9]), 10).float()
    by_step = torch.stack([nn.functional.cross_entropy(answers[:, s], target) for s in range(5)])
    for share in (0.0, 0.25, 1.0):
        loss = loop.loss_of(answers, target, recipe.Recipe(replication=share))
        torch.testing.assert_close(loss, (1 - share) * by_step[-1] + share * by_step.mean())


def test_batches_have_crops_of_one_length_between_the_shortest_and_the_window(data, tmp_path):
    """Each length is a multiple of what the pooling makes one step of, and the window is among them."""
    plan = recipe.read(write_recipe(tmp_path / "tiny.toml", shortest=16))
    rng = np.random.default_rng(0)
    assert {loop.crop_frames(plan, rng) for _ in range(200)} == {16, 24, 32, 40}
    main(fit(tmp_path / "tiny.toml", data, tmp_path / "run"))
    assert {loop.crop_frames(recipe.Recipe(), rng) for _ in range(9)} == {1000}


def test_a_run_that_is_not_at_its_end_has_no_last_reading(data, tmp_path):
    """The paper reads the last epoch: half a run is not it."""
    run = tmp_path / "run"
    main(fit(write_recipe(tmp_path / "tiny.toml"), data, run))
    state = torch.load(run / "checkpoint.pt", weights_only=True)
    longer = json.loads(state["recipe"]) | {"epochs": 3}
    torch.save({**state, "recipe": json.dumps(longer)}, run / "checkpoint.pt")
    with pytest.raises(BadInputError, match="is at epoch 1 of 3: run genretrain fit to its end"):
        checkpoint.load_last(run)


def test_the_filtered_split_is_learnt_from(data, tmp_path, monkeypatch):
    """``--split`` is the recipe's ``split``, and names the run."""
    monkeypatch.chdir(tmp_path)
    with np.load(data / "logmel" / "blues.npz") as blues:
        track = blues["blues.00000"]
    full = tmp_path / "full" / "logmel"
    full.mkdir(parents=True)
    for genre in gtzan.GENRES:
        np.savez(full / f"{genre}.npz", **{f"{genre}.{i:05}": track for i in range(0, 100, 4)})
    path = write_recipe(tmp_path / "tiny.toml")
    main(["fit", str(path), "--data", str(full.parent), "--split", "filtered", "--seed", "2"])
    plan, _, _ = checkpoint.load_best(tmp_path / "runs" / "tiny-filtered-2")
    assert (plan.split, plan.seed) == ("filtered", 2)


def test_a_folder_without_gtzan_is_refused(tmp_path, capsys):
    """It says what it expected to find."""
    assert "no GTZAN" in refused(capsys, *fit(write_recipe(tmp_path / "tiny.toml"), tmp_path, tmp_path / "run"))


def test_a_folder_with_three_genres_is_refused(tmp_path, capsys):
    """It names the seven that are missing."""
    three = tiny_gtzan.write(tmp_path / "three", ("blues", "jazz", "rock"))
    error = refused(capsys, *fit(write_recipe(tmp_path / "tiny.toml"), three, tmp_path / "run"))
    assert "no tracks of classical, country, disco, hiphop, metal, pop, reggae" in error


def test_a_missing_recipe_is_refused(data, tmp_path, capsys):
    """By its path."""
    assert "no recipe" in refused(capsys, *fit(tmp_path / "absent.toml", data, tmp_path / "run"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("epoch = 3", "unknown key 'epoch'; known are augment, average, batch"),
        ("[augment]\nvolume = 3", "unknown key 'augment.volume'; known are band_masks"),
        ("epochs = 'ten'", "epochs is 'ten', but must be a whole number"),
        ("epochs = 2.5", "epochs is 2.5, but must be a whole number"),
        ("batch = true", "batch is True, but must be a whole number"),
        ("cosine = 1", "cosine is 1, but must be true or false"),
        ("augment = 3", "augment is 3, but must be a table, [augment]"),
        ("[spec]\nn_mfcc = '20'", "spec.n_mfcc is '20', but must be a whole number"),
        ("[spec]\nn_mfcc = 4", "spec.n_mfcc is 4, but must be at least 8"),
        ("[spec]\nhop_length = 256", "only n_mfcc can be chosen"),
        ("[spec]\nn_mfcc = 200", "n_mfcc is 200, but there are only 128 mel bands"),
        ("network = 'transformer'", "network is 'transformer', but must be one of crnn"),
        ("split = 'artists'", "split is 'artists', but must be one of random, filtered"),
        ("window = 0", "window is 0, but must be at least 8"),
        ("batch = 0", "batch is 0, but must be positive"),
        ("learning_rate = nan", "learning_rate is nan, but must be positive"),
        ("average = 1.0", "average is 1.0, but must be at least 0 and below 1"),
        ("shortest = 4", "shortest is 4, but must be 0, or up to the window"),
        ("shortest = 1001", "shortest is 1001, but must be 0, or up to the window"),
        ("network = 'dnn'\nshortest = 80", "shortest is 80, but must be 0: a dnn"),
        ("replication = 2", "replication is 2.0, but must be from 0 to 1"),
        ("network = 'cnn'\nreplication = 0.5", "replication is 0.5, but must be 0: only a crnn"),
        ("[augment]\nstretch = 1", "augment.stretch is 1.0, but must be below 1"),
        ("window = 40\n[augment]\nmask_frames = 41", "augment.mask_frames is 41, but must be at most the window"),
        ("epochs = ", "Invalid value"),
    ],
)
def test_a_recipe_that_cannot_be_trained_is_refused(data, tmp_path, capsys, text, message):
    """The sentence has the file, the key with its table, its value, and what it must be."""
    (tmp_path / "bad.toml").write_text(text)
    error = refused(capsys, *fit(tmp_path / "bad.toml", data, tmp_path / "run"))
    assert error.startswith(f"genretrain: recipe {tmp_path / 'bad.toml'}: ")
    assert message in error


def test_whole_numbers_are_numbers(tmp_path):
    """TOML's ``12`` and ``12.0`` are the same recipe, so a run goes on after the one was changed to the other."""
    first = recipe.read(write_recipe(tmp_path / "a.toml", learning_rate=1))
    assert type(first.learning_rate) is float
    assert first == recipe.read(write_recipe(tmp_path / "b.toml", learning_rate=1.0))


def test_a_checkpoint_of_another_recipe_is_refused(data, tmp_path, capsys):
    """It is neither continued nor overwritten."""
    main(fit(write_recipe(tmp_path / "tiny.toml"), data, tmp_path / "run"))
    before = (tmp_path / "run" / "checkpoint.pt").read_bytes()
    other = write_recipe(tmp_path / "other.toml", learning_rate=0.5)
    capsys.readouterr()
    assert "checkpoint of another recipe" in refused(capsys, *fit(other, data, tmp_path / "run"))
    assert (tmp_path / "run" / "checkpoint.pt").read_bytes() == before


def test_a_damaged_checkpoint_is_refused(data, tmp_path, capsys):
    """The sentence says which file to remove."""
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "checkpoint.pt").write_bytes(b"half a checkp")
    error = refused(capsys, *fit(write_recipe(tmp_path / "tiny.toml"), data, tmp_path / "run"))
    assert f"{tmp_path / 'run' / 'checkpoint.pt'} is damaged; remove it" in error


def test_a_full_disk_loses_nothing_that_was_trained(data, tmp_path):
    """One sentence, and the checkpoint of the epoch before is as it was; with space again, the run goes on."""
    path, run = write_recipe(tmp_path / "tiny.toml"), tmp_path / "run"
    main(fit(path, data, run))
    state = torch.load(run / "checkpoint.pt", weights_only=True)
    torch.save({**state, "recipe": json.dumps(json.loads(state["recipe"]) | {"epochs": 2})}, run / "checkpoint.pt")
    before = (run / "checkpoint.pt").read_bytes()
    longer = fit(write_recipe(tmp_path / "longer.toml", epochs=2), data, run)
    small = f"import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000)){ALONE}"
    done = subprocess.run([sys.executable, "-c", small, *longer], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith("genretrain: cannot write ")
    assert (run / "checkpoint.pt").read_bytes() == before
    assert list(run.glob("*.partial")) == []
    main(longer)
    assert checkpoint.load_last(run)[2] == 2


@pytest.mark.parametrize("path", sorted((Path(__file__).parents[1] / "train" / "configs").glob("*.toml")))
def test_every_recipe_in_the_checkout_can_be_trained(path):
    """It is read, and its network is built; the paper's other networks are trained by 70 epochs of plain Adam."""
    plan = recipe.read(path)
    network = checkpoint.untrained(plan)
    assert network(torch.zeros(1, plan.window, plan.spec.n_mfcc)).shape == (1, 10)
    if path.stem in {*rows.NETWORKS} - {"crnn"}:
        network_name, mixed = path.stem.removesuffix("-plain"), plan.mixed_precision
        assert plan == recipe.Recipe(network=network_name, mixed_precision=mixed, record_test=True)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there_is_refused(data, tmp_path, capsys):
    """Before any data are read."""
    path = write_recipe(tmp_path / "tiny.toml")
    assert "torch finds no GPU" in refused(capsys, *fit(path, data, tmp_path / "run"), "--device", "cuda")
