from __future__ import annotations

import dataclasses
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from conftest import music, write_wav
from genred.errors import BadInputError
from genretrain import ablation, baselines, gtzan, kin, trials
from genretrain.cli import main
from genretrain.trials import Ablation, Trial

BLUES = [t for t in gtzan.TRACKS if t.startswith("blues")]
METAL = [t for t in gtzan.TRACKS if t.startswith("metal")]
JAZZ = [t for t in gtzan.TRACKS if t.startswith("jazz")]


def trial(features: str, classifier: str, right: int, names: list[str]) -> Trial:
    """The first `right` tracks of each genre right, the others answered with the other one."""
    other = {"blues": "metal", "metal": "blues"}
    answers = [g if int(n[-5:]) < right else other[g] for n in names for g in [gtzan.genre_of(n)]]
    return Trial(classifier, features, 0, [], answers)


@pytest.fixture
def whole() -> Ablation:
    """Ten tracks of two genres, each a group; chroma adds four of them to the support vector machine's six."""
    names = [*BLUES[:10], *METAL[:10]]
    every = [
        trial(features, classifier, 10 if (classifier, features) == ("svm", "mfcc + chroma") else 6, names)
        for classifier in trials.CLASSIFIERS
        for features in trials.SETS
    ]
    return Ablation(names, list(range(20)), {"reggae": "1 track"}, [1000.0] * 10 + [3000.0] * 10, every)


@pytest.fixture(scope="module")
def audio(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six blues tracks and six of metal, each by another artist or by nobody known, and two of jazz."""
    data = tmp_path_factory.mktemp("audio")
    for names, count, noise in ((BLUES, 6, 0.0), (METAL, 6, 0.3), (JAZZ, 2, 0.1)):
        chosen: list[str] = []
        for name in names:
            if len(chosen) < count and len(set(kin.groups_of([*chosen, name]))) == len(chosen) + 1:
                chosen.append(name)
        for i, name in enumerate(chosen):
            folder = data / "genres" / gtzan.genre_of(name)
            folder.mkdir(parents=True, exist_ok=True)
            hiss = np.random.default_rng(i).normal(scale=noise + 1e-3, size=22050).astype(np.float32)
            write_wav(folder / f"{name}.wav", music(1.0, seed=i) + hiss)
    (data / "genres" / "blues" / "blues.00099.wav").write_bytes(b"RIFF, and then nothing that makes sense")
    return data


def test_zcr_is_the_rate_of_a_tones_sign_changes():
    """A tone of 441 Hz changes sign 882 times a second."""
    tone = np.sin(2 * np.pi * 441 * np.arange(22050) / 22050 + 0.1).astype(np.float32)
    assert ablation.describe("blues.00000", tone)[1] == pytest.approx(882, rel=0.01)


def test_chroma_finds_the_tones_pitch_class():
    """An A, the tenth of twelve, whatever its octave; the mean over frames stands first in the summary."""
    for hz in (220.0, 880.0):
        tone = np.sin(2 * np.pi * hz * np.arange(22050 * 25) / 22050).astype(np.float32)
        [summary, *_] = ablation.describe("blues.00000", tone)[0]["chroma"]
        assert summary[:12].argmax() == 9


def test_mfcc_are_those_of_the_baselines():
    """Windows, gain and coefficients: 80 values, and as many windows as zero crossing rate and chroma have."""
    of, _ = ablation.describe("blues.00000", music(28.0))
    assert {name: (len(windows), len(windows[0])) for name, windows in of.items()} == {
        "mfcc": (6, 80),
        "zcr": (6, 4),
        "chroma": (6, 48),
    }


def test_kin_is_in_one_fold_and_genres_are_in_every_fold():
    """Of all of GTZAN's blues and metal."""
    names = [*BLUES, *METAL]
    groups = dict(zip(names, kin.groups_of(names), strict=True))
    tested: Counter[str] = Counter()
    for train, test in ablation.folds(names, groups, 5, seed=1):
        assert not {groups[name] for name in train} & {groups[name] for name in test}
        assert {gtzan.genre_of(name) for name in test} == {"blues", "metal"}
        assert sorted(train + test) == sorted(names)
        tested.update(test)
    assert set(tested.values()) == {1}


def test_settings_are_chosen_without_the_fold_that_is_answered(whole, monkeypatch):
    """No model, of a choice or of an answer, has seen a track that it answers, nor kin of it."""
    fitted, answers = baselines.fitted, baselines.answers
    seen: dict[int, set[str]] = {}

    def watched_fit(name, settings, train, seed, trees=baselines.TREES):
        model = fitted(name, settings, train, seed, 5)
        seen[id(model)] = set(train)
        kept.append(model)
        return model

    def watched_answers(model, tracks):
        assert not seen[id(model)] & set(tracks)
        return answers(model, tracks)

    kept: list[object] = []
    monkeypatch.setattr(baselines, "fitted", watched_fit)
    monkeypatch.setattr(baselines, "answers", watched_answers)
    place = {"blues": 0.0, "metal": 5.0}
    rng = np.random.default_rng(0)
    described = {n: {"mfcc": [rng.normal(place[gtzan.genre_of(n)], 1.0, 4)] * 2} for n in whole.tracks}
    of = ablation.cross_validated("forest", "mfcc", 0, described, whole)
    assert len(of.settings) == 5
    assert len(kept) == 5 * (3 * 4 + 1)
    assert of.answers == [gtzan.genre_of(name) for name in whole.tracks]


def test_what_features_add_is_a_difference_with_its_interval(whole):
    """Eight of twenty tracks more with chroma; nothing by the others."""
    said = trials.text(whole)
    lines = {tuple(c.strip() for c in li.split("|")[1:3]): li for li in said.splitlines() if li.startswith("| ")}
    assert "| 100.0 | +40.0 (+20.0 to +60.0) |" in lines["svm", "mfcc + chroma"]
    assert "| 60.0 | +0.0 (+0.0 to +0.0) |" in lines["forest", "mfcc + zcr"]
    assert lines["svm", "mfcc"].endswith("| 60.0 |  |")
    assert "Clear of 0: svm with mfcc + chroma (+40.0 (+20.0 to +60.0))." in said
    assert "20 tracks (blues 10, metal 10); reggae is left out (1 track)." in said
    assert "metal 3000, blues 1000" in said


def test_it_goes_on_and_says_what_it_left_out(audio, tmp_path, capsys):
    """Of a fold's genres none may be missing; what is unreadable is named; a second start does nothing again."""
    kept = tmp_path / "kept.json"
    ablation.ablation(audio, tmp_path, kept, 1, ("svm",))
    said = capsys.readouterr().out
    assert "left out: blues.00099 (" in said
    assert "4 cross-validations of 12 tracks" in said
    first = trials.load(tmp_path / "ablation.json")
    assert first.left_out["jazz"] == "2 tracks by 2 artists, too few for 5 folds"
    assert [t.features for t in first.trials] == list(trials.SETS)
    trials.save(dataclasses.replace(first, trials=[dataclasses.replace(t, answers=[]) for t in first.trials[:3]]), kept)
    ablation.ablation(audio, tmp_path, kept, 1, ("svm",))
    assert [t.answers for t in trials.load(tmp_path / "ablation.json").trials] == [[], [], [], first.trials[3].answers]


def test_kept_trials_of_other_tracks_are_refused(audio, whole, tmp_path):
    """They would be mixed with those of these."""
    trials.save(whole, tmp_path / "kept.json")
    with pytest.raises(BadInputError, match="begun on other tracks; remove it"):
        ablation.ablation(audio, tmp_path, tmp_path / "kept.json")
    assert trials.load(tmp_path / "kept.json") == whole


def test_a_damaged_file_is_refused(tmp_path):
    """One sentence, with what to do."""
    (tmp_path / "ablation.json").write_text('{"tracks": [], "trials": [{}]}')
    with pytest.raises(BadInputError, match="is not a file of the ablation; restore it"):
        trials.load(tmp_path / "ablation.json")


@pytest.mark.parametrize(("genres", "message"), [((), "no audio in"), (("jazz",), "not enough audio: ")])
def test_too_little_audio_is_refused(tmp_path, capsys, genres, message):
    """Exit code 2, one sentence."""
    for genre in genres:
        (tmp_path / "genres" / genre).mkdir(parents=True)
        write_wav(tmp_path / "genres" / genre / f"{genre}.00001.wav", music(1.0))
    with pytest.raises(SystemExit) as exit_:
        main(["ablation", "--data", str(tmp_path), "--results", str(tmp_path)])
    assert exit_.value.code == 2
    assert message in capsys.readouterr().err.splitlines()[-1]
