from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from audio_files import FLOAT, raw_wav
from conftest import LABELS, music, write_wav
from genred.classifier import Classifier, Verdict
from genretrain import robustness
from genretrain.degradations import DEGRADATIONS
from genretrain.intervals import newcombe
from genretrain.robustness import Answers

TRACKS = [f"{genre}.{i:05}" for genre in LABELS for i in range(5)]


def answers(right: int, *, unanswered: int = 0, sure: float = 0.82) -> Answers:
    """The first `right` of TRACKS right, the last `unanswered` silent, and the others wrong."""
    every: Answers = {}
    for number, track in enumerate(TRACKS):
        truth = LABELS.index(track.split(".")[0])
        table = np.full(10, (1 - sure) / 9)
        table[truth if number < right else truth - 1] = sure
        label = LABELS[int(table.argmax())]
        silent = number >= len(TRACKS) - unanswered
        known = dict(zip(LABELS, table.tolist(), strict=True))
        every[track] = Verdict(reason="silence") if silent else Verdict(label, sure, known)
    return every


def test_a_cost_is_what_is_right_before_less_what_is_right_after():
    """Of fifty tracks 40 and 30, ten of them without an answer; the interval is the paired one."""
    cost = robustness.cost("x", answers(40), answers(30, unanswered=10))
    assert (cost.tracks, cost.before, cost.after, cost.unanswered) == (50, 0.8, 0.6, 10)
    assert (cost.low, cost.high) == newcombe(np.arange(50) < 40, np.arange(50) < 30)


def test_only_tracks_with_both_answers_are_compared():
    """What could not be degraded is not counted as lost."""
    after = answers(50)
    for track in TRACKS[40:]:
        del after[track]
    cost = robustness.cost("x", answers(50), after)
    assert (cost.tracks, cost.before, cost.after) == (40, 1.0, 1.0)


def test_agreement_is_how_much_of_the_probability_is_elsewhere():
    """From 0.82 for one genre to 0.64: 0.18 has moved, from the truth where it was right, to it where it was not."""
    alike = robustness.agreement(answers(50), answers(50, sure=0.64))
    assert alike is not None
    assert (alike.tracks, alike.moved, alike.to_truth) == (50, pytest.approx(0.18), pytest.approx(-0.18))
    wrong = robustness.agreement(answers(0), answers(0, sure=0.64))
    assert wrong is not None
    assert (wrong.moved, wrong.to_truth) == (pytest.approx(0.18), pytest.approx(0.02))


def test_without_probabilities_there_is_no_agreement():
    """Where every file is silent, there is nothing to compare."""
    assert robustness.agreement(answers(50), answers(0, unanswered=50)) is None


def test_a_track_that_cannot_be_degraded_is_left_out_and_said(small_model, tmp_path, capsys):
    """There is no MP3 of 12345 Hz; all else is heard."""
    path = raw_wav(tmp_path / "x.wav", music(3.0, 12345), 12345, FLOAT)
    degraded = robustness.listen(Classifier(small_model, "cpu"), {"jazz.00001": path})
    without = [name for name, of in degraded.items() if not of]
    assert without == ["MP3, 64 kb/s", "MP3, 32 kb/s"]
    assert "left out: jazz.00001, MP3, 64 kb/s (MP3 has no sample rate of 12345 Hz" in capsys.readouterr().out
    found = robustness.report(answers(50), {"jazz.00001": Verdict("jazz", 1.0)}, degraded)
    assert [cost["change"] for cost in found["robustness"]] == [name for name in DEGRADATIONS if name not in without]


def test_a_track_has_its_own_room_and_always_the_same(small_model, tmp_path):
    """Judged again it has the same probabilities; the same sound under another name has others."""
    path = write_wav(tmp_path / "x.wav", music(3.0))
    judge, change = Classifier(small_model, "cpu"), DEGRADATIONS["room, 10 dB"].change
    first, again = (robustness.degraded("room", change, judge, {"a": path, "b": path}) for _ in range(2))
    assert first == again
    assert first["a"].probabilities != first["b"].probabilities


def written(path: Path) -> Path:
    entries = robustness.report(
        answers(40), answers(38), {"telephone": answers(30, unanswered=4), "clipping": answers(38)}
    )
    path.write_text(json.dumps({"split": "random, seed 7", **entries}))
    return path


def test_the_section_has_a_line_for_every_cost(tmp_path):
    """The figures of the results file; what is done, with its constants, is said of every degradation."""
    text = robustness.text({"one": written(tmp_path / "one.json"), "other": tmp_path / "other.json"})
    low, high = newcombe(np.arange(50) < 38, np.arange(50) < 30)
    cost = f"+16.0 ({100 * low:+.1f} to {100 * high:+.1f})"
    assert f"| telephone | 50 | 76.0 % | 60.0 % | 4 | {cost} |" in text
    assert "random, seed 7. From audio instead of log-mels, 50 tracks: 80.0 % before, 76.0 % after, cost +4.0 (" in text
    assert "other: not measured yet. `genretrain evaluate models/other.onnx --data GTZAN`" in text
    assert "| telephone | 300-3400 Hz (ITU-T G.712), Butterworth of order 10 |" in text
    assert all(f"| {name} | {one.what} |" in text for name, one in DEGRADATIONS.items())


def test_the_terminal_has_the_same(tmp_path):
    """A line each, and how far the probabilities moved."""
    audio, telephone, clipping, moved = robustness.lines(json.loads(written(tmp_path / "x.json").read_text()))
    assert audio.startswith("audio          50 tracks  costs +4.0 (")
    assert telephone.endswith("4 without an answer")
    assert "costs +0.0 (" in clipping
    assert moved.startswith("From log-mels to audio 3.2 % of the probability moves to other genres")


def test_without_audio_there_is_nothing_to_say():
    """Neither in the file nor on the terminal."""
    assert robustness.report(answers(50), {}, {}) == {}
    assert robustness.lines({}) == []
