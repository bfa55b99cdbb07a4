from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import tiny_gtzan
from audio_files import FLOAT, raw_wav
from conftest import make_model, music, write_wav
from genred.card import Result
from genred.classifier import Classifier
from genred.classify import listen_to
from genred.errors import BadInputError
from genred.features import Mfcc
from genretrain import dataset, gtzan
from genretrain.audio import read
from genretrain.cli import main
from genretrain.degradations import DEGRADATIONS
from genretrain.evaluate import evaluate
from genretrain.export import export

HELD_OUT = gtzan.random_split(
    [f"{genre}.{i:05}" for genre in gtzan.GENRES for i in range(tiny_gtzan.PER_GENRE)], 0
).test
DAMAGED, *HEARD = HELD_OUT[::3]


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Folder of the data, with audio for a third of the held-out tracks and for one other; exported model."""
    data, run = tiny_gtzan.fitted(tmp_path_factory.mktemp("fitted"))
    learnt = next(name for name in dataset.load(data) if name not in HELD_OUT)
    for i, name in enumerate([*HEARD, learnt, DAMAGED]):
        path = data / "audio" / gtzan.genre_of(name) / f"{name}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_wav(path, music(2.0, seed=i))
    path.write_bytes(b"RIFF, and no more")
    model = run.parent / "models" / "tiny.onnx"
    export(run, model, data)
    return data, model


@pytest.fixture
def evaluated(exported: tuple[Path, Path], tmp_path: Path) -> tuple[Path, Path, Path]:
    """Data, a copy of the model that was evaluated, and the results file."""
    data, model = exported
    copy = tmp_path / "tiny.onnx"
    copy.write_bytes(model.read_bytes())
    evaluate(copy, data, tmp_path / "results")
    return data, copy, tmp_path / "results" / "tiny.json"


def correct(report: dict, kind: str, names: list[str]) -> int:
    tracks = report["tracks"]
    return sum(tracks[name][kind]["label"] == tracks[name]["truth"] for name in names)


def test_the_card_gets_a_result_for_each_input(evaluated):
    """All held-out log-mels first; then the audio, and the log-mels of the very tracks that have audio."""
    _, model, report = evaluated
    results = Classifier(model, "cpu").card.results
    judged = json.loads(report.read_text())
    assert [(r.split, r.input, r.tracks) for r in results] == [
        ("random", "log-mel", 20),
        ("random", "audio", len(HEARD)),
        ("random", "log-mel, tracks with audio", len(HEARD)),
    ]
    assert [r.correct for r in results] == [
        correct(judged, "log-mel", HELD_OUT),
        correct(judged, "audio", HEARD),
        correct(judged, "log-mel", HEARD),
    ]
    assert all(r.accuracy == r.correct / r.tracks and r.low <= r.accuracy <= r.high for r in results)


def test_the_claim_of_a_model_is_all_of_its_held_out_log_mels(evaluated):
    """The result that genred shows is the one over the most tracks."""
    claim = Classifier(evaluated[1], "cpu").claim()
    assert isinstance(claim, Result)
    assert (claim.input, claim.tracks) == ("log-mel", 20)


def test_only_held_out_tracks_are_judged(evaluated):
    """None that the network learnt from or was chosen by, though there is audio of one."""
    assert list(json.loads(evaluated[2].read_text())["tracks"]) == list(HELD_OUT)


def test_a_tracks_answer_is_the_mean_of_its_windows(evaluated):
    """From log-mels: the windows 40 frames apart of the track's MFCC, judged and averaged."""
    data, model, report = evaluated
    classifier, name = Classifier(model, "cpu"), HELD_OUT[0]
    mfcc = Mfcc(classifier.card.spec).from_log_mel(dataset.decode(dataset.load(data)[name]))
    expected = classifier.probabilities(np.stack([mfcc[s : s + 40] for s in range(0, len(mfcc) - 39, 40)]))
    entry = json.loads(report.read_text())["tracks"][name]["log-mel"]
    assert list(entry["probabilities"]) == list(gtzan.GENRES)
    np.testing.assert_allclose(list(entry["probabilities"].values()), expected.mean(axis=0), atol=1e-3)


def test_audio_is_judged_on_the_daemons_own_path(evaluated):
    """The answer to a file is what ``genred classify`` says of it."""
    data, model, report = evaluated
    path = gtzan.audio_files(data)[HEARD[0]]
    overall = listen_to(path, Classifier(model, "cpu")).overall
    entry = json.loads(report.read_text())["tracks"][HEARD[0]]["audio"]
    assert entry["label"] == overall.label
    assert entry["probabilities"] == {label: round(p, 4) for label, p in overall.probabilities.items()}


def test_a_damaged_file_is_left_out_of_both_sides(exported, tmp_path, capsys):
    """Audio and log-mel are compared on the same tracks; the line names the one that is missing."""
    data, model = exported
    copy = tmp_path / "tiny.onnx"
    copy.write_bytes(model.read_bytes())
    evaluate(copy, data, tmp_path)
    assert f"left out: {DAMAGED} (" in capsys.readouterr().out
    assert "audio" not in json.loads((tmp_path / "tiny.json").read_text())["tracks"][DAMAGED]


def test_every_heard_track_is_judged_through_every_degradation(evaluated):
    """As the daemon would judge a file of the degraded sound; what has no audio, or only a damaged file, has none."""
    data, model, report = evaluated
    tracks = json.loads(report.read_text())["tracks"]
    assert {name for name, entry in tracks.items() if "degraded" in entry} == set(HEARD)
    assert all(list(tracks[name]["degraded"]) == list(DEGRADATIONS) for name in HEARD)
    samples = read(gtzan.audio_files(data)[HEARD[0]], 22050)
    clipped = DEGRADATIONS["clipping"].change(samples, 22050, np.random.default_rng(0))
    file = raw_wav(report.with_name("clipped.wav"), clipped, 22050, FLOAT)
    overall = listen_to(file, Classifier(model, "cpu")).overall
    assert tracks[HEARD[0]]["degraded"]["clipping"] == overall.label


def test_costs_are_of_the_same_tracks(evaluated):
    """Right before less right after, counted again from the answers, for audio and for each degradation of it."""
    judged = json.loads(evaluated[2].read_text())
    before = correct(judged, "audio", HEARD) / len(HEARD)
    assert judged["audio_cost"]["before"] == correct(judged, "log-mel", HEARD) / len(HEARD)
    assert judged["audio_cost"]["after"] == before
    assert [cost["change"] for cost in judged["robustness"]] == list(DEGRADATIONS)
    for cost in judged["robustness"]:
        labels = {name: judged["tracks"][name]["degraded"][cost["change"]] for name in HEARD}
        assert (cost["tracks"], cost["before"]) == (len(HEARD), before)
        assert cost["after"] == np.mean([gtzan.genre_of(name) == label for name, label in labels.items()])
        assert cost["unanswered"] == list(labels.values()).count(None)
        assert cost["low"] <= cost["before"] - cost["after"] <= cost["high"]


def test_the_confusion_matrix_counts_every_track_once(evaluated):
    """Truth down, answer across: two tracks in each row, the right ones on the diagonal."""
    report = json.loads(evaluated[2].read_text())
    confusion = np.array(report["confusion"]["log-mel"])
    assert confusion.sum(axis=1).tolist() == [2] * 10
    assert confusion.trace() == correct(report, "log-mel", HELD_OUT)
    assert np.sum(report["confusion"]["audio"]) == len(HEARD)


def test_every_look_at_the_held_out_tracks_is_counted(evaluated, capsys):
    """Held-out tracks wear out: the file counts how often they were judged, and it is said."""
    data, model, report = evaluated
    first = json.loads(report.read_text())
    evaluate(model, data, report.parent)
    second = json.loads(report.read_text())
    assert "judged 2 time(s)" in capsys.readouterr().out
    assert (first.pop("touches"), second.pop("touches")) == (1, 2)
    assert first == second


def test_the_readable_card_has_the_results(evaluated):
    """Per cent and interval of each, as in the card."""
    text = evaluated[1].with_suffix(".md").read_text()
    for r in Classifier(evaluated[1], "cpu").card.results:
        row = f"| {r.tracks} | {r.correct} | {100 * r.accuracy:.1f} % | {100 * r.low:.1f} % to {100 * r.high:.1f} % |"
        assert f"| random | {r.input} {row}" in text


def test_without_audio_there_is_one_result(exported, tmp_path):
    """Log-mels alone are an evaluation too."""
    copy = tmp_path / "tiny.onnx"
    copy.write_bytes(exported[1].read_bytes())
    evaluate(copy, tiny_gtzan.write(tmp_path / "silent"), tmp_path)
    assert not {"robustness", "audio_cost"} & json.loads((tmp_path / "tiny.json").read_text()).keys()
    assert [r.input for r in Classifier(copy, "cpu").card.results] == ["log-mel"]


def test_data_that_would_hold_out_other_tracks_are_refused(exported, tmp_path, capsys):
    """With a track more or less the same seed draws otherwise: tracks that were learnt from would be judged."""
    data = tiny_gtzan.write(tmp_path / "data")
    np.savez_compressed(data / "logmel" / "blues.npz", **tiny_gtzan.tracks("blues", tiny_gtzan.PER_GENRE + 3))
    before = exported[1].read_bytes()
    with pytest.raises(SystemExit) as exit_:
        main(["evaluate", str(exported[1]), "--data", str(data), "--results", str(tmp_path)])
    assert exit_.value.code == 2
    assert "does not hold out the tracks that the model was not trained on" in capsys.readouterr().err
    assert exported[1].read_bytes() == before


def test_a_model_of_unknown_split_is_refused(tmp_path):
    """Without its split nobody knows what it was trained on."""
    with pytest.raises(BadInputError, match="does not say how its data were split"):
        evaluate(make_model(tmp_path / "small.onnx"), tiny_gtzan.write(tmp_path / "data"), tmp_path)


def test_a_results_file_that_lost_its_count_is_refused(exported, tmp_path):
    """Rather than begin to count again from nothing."""
    (tmp_path / "tiny.json").write_text("{}")
    with pytest.raises(BadInputError, match="count of touches"):
        evaluate(exported[1], exported[0], tmp_path)
