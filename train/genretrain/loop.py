"""The training loop, in the order it happens.

A run is a folder: ``checkpoint.pt`` after every epoch (weights, optimiser, random states, the recipe), ``best.pt`` by
validation, ``epochs.jsonl`` for reading. Accuracy does not show what a network has learned of outliers: of a run with
them the last epoch counts as the best. A killed run goes on from its last epoch and ends in the same numbers.
"""

from __future__ import annotations

import copy
import json
import math
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from genred.errors import BadInputError

from . import checkpoint, dataset, gtzan, outliers
from .augment import Deck
from .checkpoint import Run
from .networks import Network
from .progress import Progress
from .recipe import SMALLEST, Recipe

VALIDATION_HOP = 280  # frames: two windows, the whole of a GTZAN track
VALIDATION_BATCH = 64  # windows
HORIZONS = (128, 208, 432)  # frames, 3, 5 and 10 s: also judged of a network that learns from crops of many lengths
UNSHOWN = ("epoch", "test_accuracy")  # the bar has the one already; whoever sees the other may choose by it


def fit(data: Path, out: Path, plan: Recipe, device: str = "cpu") -> None:
    """Train `plan` on the log-mels in `data`; leave checkpoints in `out`, and go on from those found there.

    Raises
    ------
    BadInputError
        If `data` has no GTZAN, or `out` holds a run of another recipe, or a damaged one.
    """
    tracks = dataset.load(data)
    split = gtzan.split(plan.split, list(tracks), plan.seed)
    train, targets = _taught(tracks, split.train, plan)
    valid = _exam(tracks, split.valid, plan, device)
    test = _exam(tracks, split.test, plan, device) if plan.record_test else None

    run, identity = _start(plan, train, device, out), checkpoint.identity(plan)
    teachers = [_beside(plan, out, name).to(device).eval() for name in plan.teachers]
    lesson = Lesson(Deck(train, plan.spec, device), torch.from_numpy(targets).to(device), teachers)
    out.mkdir(parents=True, exist_ok=True)
    checkpoint.resume(run, plan, out / "checkpoint.pt")

    bar = Progress(range(run.epoch, plan.epochs), "fit", done=run.epoch)
    for epoch in bar:
        started = time.monotonic()
        loss, train_accuracy = _train_epoch(run, plan, lesson, device)
        run.epoch = epoch + 1
        accuracy, valid_loss = validate(run.averaged, valid, plan, device)
        row = {
            "epoch": run.epoch,
            "loss": round(loss, 4),
            "train_accuracy": round(train_accuracy, 4),
            "valid_loss": round(valid_loss, 4),
            "valid_accuracy": round(accuracy, 4),
            "tracks_per_second": round(len(train) / (time.monotonic() - started), 1),
        }
        for frames in HORIZONS if plan.shortest else ():
            row[f"valid_accuracy_{frames}"] = round(validate(run.averaged, valid, plan, device, frames)[0], 4)
        if test:
            row["test_accuracy"] = round(validate(run.averaged, test, plan, device)[0], 4)
        bar.note = ", ".join(f"{key} {value}" for key, value in row.items() if key not in UNSHOWN)
        if plan.outliers or (accuracy, -valid_loss) > run.best:
            run.best = (accuracy, -valid_loss)
            checkpoint.save({"averaged": run.averaged.state_dict(), **identity, **row}, out / "best.pt")
        checkpoint.save({**run.state(), **identity}, out / "checkpoint.pt")
        with (out / "epochs.jsonl").open("a") as log:
            log.write(json.dumps(row) + "\n")
    _tell_best(out, plan)


@dataclass(frozen=True)
class Lesson:
    """What is learned from: tracks, the probabilities [tracks, K] they are to be answered with, and an ensemble."""

    deck: Deck
    targets: Tensor
    teachers: list[Network]


@dataclass(frozen=True)
class Exam:
    """What is judged: windows [N, T, C], the track of each [N], and the genre numbers of the tracks."""

    windows: Tensor
    track: NDArray[np.int64]
    truth: NDArray[np.int64]


def _tell_best(out: Path, plan: Recipe) -> None:
    _, _, record = checkpoint.load_best(out)
    print(
        f"best epoch: {record['epoch']} of {plan.epochs}, validation accuracy {100 * record['valid_accuracy']:.1f} %,"
        f" in {out / 'best.pt'}"
    )


def _taught(
    tracks: dict[str, NDArray[np.uint8]], names: tuple[str, ...], plan: Recipe
) -> tuple[dataset.Crops, NDArray[np.float32]]:
    """Crops of the tracks `names` and of outliers, and what they are to be answered with [tracks, K]."""
    strange = outliers.made(round(plan.outliers * len(names)), plan.seed) if plan.outliers else []
    crops = dataset.Crops([*(tracks[name] for name in names), *strange], plan.spec, plan.gain, plan.window)
    targets = np.full((len(crops), len(gtzan.GENRES)), 1.0 / len(gtzan.GENRES), np.float32)
    targets[: len(names)] = [[gtzan.genre_of(name) == genre for genre in gtzan.GENRES] for name in names]
    return crops, targets


def _exam(tracks: dict[str, NDArray[np.uint8]], names: tuple[str, ...], plan: Recipe, device: str) -> Exam:
    crops, truth = dataset.part(tracks, names, plan.spec, plan.gain, plan.window)
    windows = [crops.windows(index, VALIDATION_HOP) for index in range(len(crops))]
    track = np.repeat(np.arange(len(crops)), [len(of_track) for of_track in windows])
    return Exam(torch.from_numpy(np.concatenate(windows)).to(device), track, truth)


def _start(plan: Recipe, train: dataset.Crops, device: str, out: Path) -> Run:
    torch.manual_seed(plan.seed)
    network = _beside(plan, out, plan.start) if plan.start else _fresh(plan, train)
    network.to(device)
    optimiser = torch.optim.AdamW(network.parameters(), plan.learning_rate, weight_decay=plan.weight_decay)
    return Run(network, copy.deepcopy(network).eval(), optimiser, np.random.default_rng(plan.seed))


def _fresh(plan: Recipe, train: dataset.Crops) -> Network:
    network = checkpoint.untrained(plan)
    mean, deviation = train.statistics()
    network.standardise.mean.copy_(torch.from_numpy(mean))
    network.standardise.deviation.copy_(torch.from_numpy(deviation))
    return network


def _beside(plan: Recipe, out: Path, name: str) -> Network:
    """Return the best network of the run of the recipe `name` that has the split and seed of `plan`."""
    folder = out.parent / f"{name}-{plan.split}-{plan.seed}"
    other, network, _ = checkpoint.load_best(folder)
    if (other.network, other.spec, other.gain, other.split, other.seed) != (
        plan.network,
        plan.spec,
        plan.gain,
        plan.split,
        plan.seed,
    ):
        raise BadInputError(f"{folder} has another network, spec, gain rule or split than the recipe; fit it again")
    return network


def _train_epoch(run: Run, plan: Recipe, lesson: Lesson, device: str) -> tuple[float, float]:
    """One pass over the tracks in random order; returns the mean loss and the share of crops that were answered right.

    A mixed crop counts as the genre that it has more of; an outlier has none.
    """
    order = run.rng.permutation(len(lesson.targets))
    batches = np.array_split(order, math.ceil(len(order) / plan.batch))
    losses, right, judged = [], [], []
    run.network.train()
    for number, batch in enumerate(batches):
        _set_rate(run.optimiser, plan, run.epoch + number / len(batches))
        length = crop_frames(plan, run.rng)
        crops = lesson.deck.draw(batch, run.rng, plan.augment, length)
        genre = lesson.targets[torch.from_numpy(batch).to(device)]
        target = _taught_by(lesson.teachers, crops, genre, plan) if lesson.teachers else genre
        if plan.mixup:
            share = float(run.rng.beta(plan.mixup, plan.mixup))
            crops, genre, target = (share * x + (1 - share) * x.roll(1, 0) for x in (crops, genre, target))
        with torch.autocast(device, torch.bfloat16, enabled=plan.mixed_precision):
            answers = run.network.as_it_goes(crops) if plan.replication else run.network(crops).unsqueeze(1)
        loss = loss_of(answers.float(), target, plan)
        run.optimiser.zero_grad()
        torch.autograd.backward(loss)
        nn.utils.clip_grad_norm_(run.network.parameters(), 1.0)
        run.optimiser.step()
        _average(run, plan)
        losses.append(loss.detach())
        sure = genre.amax(1) > 0.5  # of a genre, or mostly of one
        right.append((sure & (answers[:, -1].argmax(1) == genre.argmax(1))).sum())
        judged.append(sure.sum())
    return float(torch.stack(losses).mean()), int(torch.stack(right).sum()) / int(torch.stack(judged).sum())


@torch.no_grad()
def _taught_by(teachers: list[Network], crops: Tensor, genre: Tensor, plan: Recipe) -> Tensor:
    """What `crops` [B, T, C] are to be answered with [B, K]: in part as the teachers do, if they have a `genre`."""
    answer = torch.stack([teacher(crops).float().softmax(1) for teacher in teachers]).mean(0)
    return torch.where(genre.amax(1, keepdim=True) > 0.5, torch.lerp(genre, answer, plan.distillation), genre)


def loss_of(answers: Tensor, target: Tensor, plan: Recipe) -> Tensor:
    """Cross-entropy of the last of `answers` [B, S, K] against `target` [B, K], and in its share the mean over all."""
    of_each = nn.functional.cross_entropy(
        answers.transpose(1, 2),  # [B, K, S]
        target.unsqueeze(2).expand(-1, -1, answers.shape[1]),
        label_smoothing=plan.label_smoothing,
        reduction="none",
    )  # [B, S]
    return (1 - plan.replication) * of_each[:, -1].mean() + plan.replication * of_each.mean()


def crop_frames(plan: Recipe, rng: np.random.Generator) -> int:
    """Frames of the next batch's crops."""
    if not plan.shortest:
        return plan.window
    steps = rng.integers(plan.shortest // SMALLEST, plan.window // SMALLEST, endpoint=True)
    return int(steps) * SMALLEST


def _set_rate(optimiser: torch.optim.Optimizer, plan: Recipe, epoch: float) -> None:
    rate = plan.learning_rate
    if epoch < plan.warm_up:
        rate *= (epoch + 0.1) / (plan.warm_up + 0.1)
    elif plan.cosine:
        rate *= 0.5 + 0.5 * math.cos(math.pi * (epoch - plan.warm_up) / (plan.epochs - plan.warm_up))
    for group in optimiser.param_groups:
        group["lr"] = rate


@torch.no_grad()
def _average(run: Run, plan: Recipe) -> None:
    """Move the averaged weights a step towards the network's; batch statistics are taken as they are."""
    for mean, value in zip(run.averaged.parameters(), run.network.parameters(), strict=True):
        mean.lerp_(value, 1.0 - plan.average)
    for kept, current in zip(run.averaged.buffers(), run.network.buffers(), strict=True):
        kept.copy_(current)


@torch.no_grad()
def validate(
    network: nn.Module, exam: Exam, plan: Recipe, device: str, frames: int | None = None
) -> tuple[float, float]:
    """Accuracy and mean negative log-likelihood per track, of the first `frames` of each window, or of all.

    A track's answer is its windows' mean probability.
    """
    network.eval()
    answers = []
    for windows in torch.split(exam.windows[:, :frames], VALIDATION_BATCH):
        with torch.autocast(device, torch.bfloat16, enabled=plan.mixed_precision):
            logits: Tensor = network(windows)  # [N, K]
        answers.append(logits.float().softmax(1))
    probabilities = torch.cat(answers).cpu().numpy()
    table = np.zeros((len(exam.truth), probabilities.shape[1]))  # [tracks, K]
    np.add.at(table, exam.track, probabilities)
    table /= np.bincount(exam.track)[:, None]
    likelihood = table[np.arange(len(exam.truth)), exam.truth]
    return float((table.argmax(1) == exam.truth).mean()), float(-np.log(np.maximum(likelihood, 1e-12)).mean())
