"""What the shipped model's card claims, on real music."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from conftest import genred
from genred.card import find_model
from genred.classifier import Classifier
from genretrain import dataset
from genretrain import gtzan as tracks_of
from genretrain.intervals import wilson

pytestmark = [pytest.mark.gtzan, pytest.mark.timeout(240)]


def test_classify_keeps_the_claim(gtzan: Path) -> None:
    """`genred classify` on 20 held-out tracks is right as often as the card claims, within the interval of 20."""
    classifier = Classifier(find_model(), "cpu")
    claim = classifier.claim()
    assert claim is not None, "the shipped card has no results"
    tracks = held_out_audio(gtzan, classifier.card.training["seed"])
    records = [json.loads(line) for line in genred("classify", "--json", *tracks, timeout_s=200).stdout.splitlines()]
    assert len(records) == 20
    correct = sum(r["overall"]["label"] == Path(r["path"]).stem.split(".")[0] for r in records)
    low, high = wilson(correct, len(records))
    assert low <= claim.accuracy <= high, f"{correct} of 20 right, but the card claims {claim.accuracy:.1%}"


def held_out_audio(folder: Path, seed: int) -> list[Path]:
    """Twenty held-out tracks that have audio, two of each genre if there are."""
    split = tracks_of.random_split(list(dataset.load(folder)), seed)
    files = {name: path for name, path in tracks_of.audio_files(folder).items() if name in split.test}
    by_genre = [
        [path for name, path in files.items() if tracks_of.genre_of(name) == genre] for genre in tracks_of.GENRES
    ]
    rounds = (paths[turn] for turn in range(max(map(len, by_genre))) for paths in by_genre if turn < len(paths))
    return [path for path, _ in zip(rounds, range(20), strict=False)]
