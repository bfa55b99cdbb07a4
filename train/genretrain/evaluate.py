"""Evaluate: the held-out tracks, judged once, by the file and the code that the daemon runs.

::

    test split --+--> log-mels --> windows --> Classifier --> mean probability --+--> card, .md
                 +--> audio ----> listen_to, the daemon's own path --------------+--> train/results/<name>.json
                        +-> degradations --> the same path ----------------------+

Accuracy is that of the likeliest genre, as if the model had to answer; how often it is `unsure` is told beside it. The
split is the one that the model was trained on. Whoever chooses among models by these figures has used them up: the
results file counts how often they were looked at.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from genred.card import ModelCard, Result
from genred.classifier import Classifier
from genred.classify import HOP_FRAMES, listen_to
from genred.errors import BadInputError, SourceError

from . import abstention, card, dataset, gtzan, judge, robustness, shipped
from .abstention import Answered
from .intervals import wilson
from .progress import Progress
from .robustness import Answers

LOG_MEL, AUDIO, SAME_TRACKS = "log-mel", "audio", "log-mel, tracks with audio"
OTHER_RUN = "log-mel, a run of the same recipe"


@dataclass(frozen=True)
class Evaluation:
    """What the held-out tracks were answered with, by input and by degradation; and how often they have been judged."""

    name: str
    split: str
    touches: int
    answers: dict[str, Answers]
    unmusical: list[Answered]
    degraded: dict[str, Answers] = field(default_factory=dict)

    @property
    def costs(self) -> dict[str, Any]:
        """What the change to audio cost, and each degradation of it; nothing without audio."""
        return robustness.report(self.answers[LOG_MEL], self.answers.get(AUDIO, {}), self.degraded)


def evaluate(model: Path, data: Path, results: Path = Path("train/results"), others: Path | None = None) -> None:
    """Judge the test split of `data` with `model`; write the results into its card, its ``.md`` and below `results`.

    With sounds that are no music in `others`, judge those of the reporting part, too.

    Raises
    ------
    BadInputError
        If `data` is not GTZAN, or does not give the split that `model` was trained on.
    """
    classifier = Classifier(model, "cpu")
    report = results / f"{classifier.name}.json"
    touches = touches_of(report) + 1
    tracks = dataset.load(data)
    split = shipped.split_of(classifier.card, list(tracks), data)
    answers = {LOG_MEL: _from_log_mels(classifier, {name: tracks[name] for name in split.test})}
    degraded = {}
    if files := {name: path for name, path in gtzan.audio_files(data).items() if name in split.test}:
        answers[AUDIO] = _from_audio(classifier, files)
        answers[SAME_TRACKS] = {name: answers[LOG_MEL][name] for name in answers[AUDIO]}
        degraded = robustness.listen(classifier, {name: files[name] for name in answers[AUDIO]})
    unmusical = abstention.report(classifier, others) if others else []
    evaluation = Evaluation(classifier.name, split.name, touches, answers, unmusical, degraded)

    own = [_result(shipped.kind_of(classifier.card), kind, judged) for kind, judged in answers.items() if judged]
    table = (*own, *_of_the_recipe(classifier.card, results / "runs"))
    report.parent.mkdir(parents=True, exist_ok=True)
    report.write_text(_report(evaluation, table, classifier.card.labels))
    judged_card = msgspec.structs.replace(classifier.card, results=table)
    card.store(model, judged_card)
    card.set_out(model, judged_card)
    _show(evaluation, table)


def _from_log_mels(classifier: Classifier, tracks: dict[str, NDArray[np.uint8]]) -> Answers:
    model_card, answers = classifier.card, {}
    for name in Progress(tracks, LOG_MEL):
        crops = dataset.Crops([tracks[name]], model_card.spec, model_card.gain, model_card.window_frames)
        windows = crops.windows(0, HOP_FRAMES)  # [N, T, C]
        answers[name] = classifier.verdict(classifier.probabilities(windows).mean(axis=0))
    return answers


def _from_audio(classifier: Classifier, files: dict[str, Path]) -> Answers:
    answers = {}
    for name in Progress(files, AUDIO):
        try:
            answers[name] = listen_to(files[name], classifier, HOP_FRAMES).overall
        except SourceError as error:
            print(f"left out: {name} ({error})")
    return answers


def _result(split: str, kind: str, answers: Answers) -> Result:
    correct = sum(verdict.likeliest == gtzan.genre_of(name) for name, verdict in answers.items())
    return _of((split, kind), correct, len(answers))


def _of_the_recipe(model_card: ModelCard, runs: Path) -> list[Result]:
    """What the same recipe did on the filtered split, by a run of its own: a model of another split cannot be asked."""
    path = runs / f"{shipped.config_of(model_card)}-filtered-0.json"
    if shipped.kind_of(model_card) == "filtered" or not path.exists():
        return []
    genres = judge.load(path).readings["best"]
    correct = sum(gtzan.genre_of(name) == genre for name, genre in genres.items())
    return [_of(("filtered", OTHER_RUN), correct, len(genres))]


def _of(what: tuple[str, str], correct: int, tracks: int) -> Result:
    return Result(*what, tracks, correct, correct / tracks, *wilson(correct, tracks))


def touches_of(report: Path) -> int:
    """Return how often the held-out tracks had been judged when `report` was written."""
    if not report.exists():
        return 0
    try:
        return int(json.loads(report.read_text())["touches"])
    except (ValueError, KeyError, TypeError) as error:
        raise BadInputError(f"{report} is not a results file with its count of touches; restore it") from error


def _report(evaluation: Evaluation, table: tuple[Result, ...], labels: tuple[str, ...]) -> str:
    """JSON, one entry to a line."""
    head = {
        "model": evaluation.name,
        "split": evaluation.split,
        "touches": evaluation.touches,
        "labels": labels,
        "results": msgspec.to_builtins(table),
        "no music": [asdict(answered) for answered in evaluation.unmusical],
        "confusion": {kind: _confusion(answers, labels) for kind, answers in evaluation.answers.items()},
        **evaluation.costs,
    }
    tracks = {name: _entry(name, evaluation) for name in evaluation.answers[LOG_MEL]}
    return f'{{\n{_lines(head)},\n"tracks": {{\n{_lines(tracks)}\n}}\n}}\n'


def _lines(entries: dict[str, Any]) -> str:
    return ",\n".join(f"{json.dumps(key)}: {json.dumps(value)}" for key, value in entries.items())


def _entry(name: str, evaluation: Evaluation) -> dict[str, Any]:
    """Truth and answers of one track; a restricted input repeats another one's."""
    entry: dict[str, Any] = {"truth": gtzan.genre_of(name)}
    for kind in (LOG_MEL, AUDIO):
        if verdict := evaluation.answers.get(kind, {}).get(name):
            rounded = {label: round(p, 4) for label, p in (verdict.probabilities or {}).items()}
            entry[kind] = {"label": verdict.label, "probabilities": rounded}
    if degraded := robustness.labels(name, evaluation.degraded):
        entry["degraded"] = degraded
    return entry


def _confusion(answers: Answers, labels: tuple[str, ...]) -> list[list[int]]:
    """Counts [K, K]: truth down, answer across; a track without an answer is in no column."""
    counts = np.zeros((len(labels), len(labels)), int)
    for name, verdict in answers.items():
        if verdict.likeliest is not None:
            counts[labels.index(gtzan.genre_of(name)), labels.index(verdict.likeliest)] += 1
    table: list[list[int]] = counts.tolist()
    return table


def _show(evaluation: Evaluation, table: tuple[Result, ...]) -> None:
    print(f"{evaluation.name} on the split {evaluation.split}")
    for r in table:
        share = f"{100 * r.accuracy:5.1f} %  ({100 * r.low:.1f} to {100 * r.high:.1f} %)"
        print(f"  {r.input:28}{r.correct:5} of {r.tracks:4} tracks  {share}")
    for line in robustness.lines(evaluation.costs):
        print(f"  {line}")
    print(f"held-out tracks judged {evaluation.touches} time(s) with a model of this name")
