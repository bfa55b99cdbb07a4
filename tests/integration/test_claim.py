"""What the shipped models' cards claim, on real music."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from conftest import genred
from genred.card import SHIPPED, Result, find_model
from genred.classifier import Classifier
from genretrain import dataset
from genretrain import gtzan as tracks_of
from genretrain.intervals import wilson

pytestmark = [pytest.mark.gtzan, pytest.mark.timeout(240)]


def result_of(name: str) -> Result | None:
    """Of the tracks that this very model has not learned from."""
    card = Classifier(find_model(name), "cpu").card
    return next((one for one in card.results if one.split == card.training["recipe"]["split"]), None)


CLAIMS = {name: claim for name in SHIPPED if (claim := result_of(name))}


def test_a_model_claims_something() -> None:
    """Without a claim, the test below would show nothing."""
    assert CLAIMS


@pytest.mark.parametrize("name", CLAIMS)
def test_classify_keeps_the_claim(gtzan: Path, name: str) -> None:
    """`genred classify` on 20 held-out tracks is right as often as the card claims, within the interval of 20."""
    training, claim = Classifier(find_model(name), "cpu").card.training, CLAIMS[name]
    tracks = held_out_audio(gtzan, training["recipe"]["split"], training["seed"])
    said = genred("classify", "--json", "--model", name, *tracks, timeout_s=200).stdout
    records = [json.loads(line) for line in said.splitlines()]
    assert len(records) == 20
    correct = sum(likeliest(r["overall"]) == Path(r["path"]).stem.split(".")[0] for r in records)
    low, high = wilson(correct, len(records))
    assert low <= claim.accuracy <= high, f"{correct} of 20 right, but the card claims {claim.accuracy:.1%}"


def likeliest(overall: dict[str, Any]) -> str:
    """Genre of the greatest probability, also where that is too small for an answer: so the card counts."""
    probabilities: dict[str, float] = overall["probabilities"]
    return max(probabilities, key=probabilities.__getitem__)


def held_out_audio(folder: Path, kind: str, seed: int) -> list[Path]:
    """Twenty held-out tracks that have audio, two of each genre if there are."""
    split = tracks_of.split(kind, list(dataset.load(folder)), seed)
    files = {name: path for name, path in tracks_of.audio_files(folder).items() if name in split.test}
    by_genre = [
        [path for name, path in files.items() if tracks_of.genre_of(name) == genre] for genre in tracks_of.GENRES
    ]
    rounds = (paths[turn] for turn in range(max(map(len, by_genre))) for paths in by_genre if turn < len(paths))
    return [path for path, _ in zip(rounds, range(20), strict=False)]
