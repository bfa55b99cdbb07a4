from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from genred.errors import BadInputError
from genred.features import Doubles, Mfcc, MfccSpec
from genretrain import dataset, gtzan
from genretrain.audio import read

ALL = [f"{genre}.{i:05}" for genre in gtzan.GENRES for i in range(100)]


def test_a_track_is_in_one_part_and_every_track_is_in_one():
    """Nothing that a network learnt from, or was chosen by, is held out."""
    split = gtzan.random_split(ALL, seed=0)
    assert sorted(split.train + split.valid + split.test) == sorted(ALL)
    assert len({*split.train, *split.valid, *split.test}) == len(ALL)


def test_parts_are_70_to_10_to_20_in_every_genre():
    """20 % are held out as in the paper; no genre is favoured."""
    split = gtzan.random_split(ALL, seed=0)
    for part, n in ((split.train, 70), (split.valid, 10), (split.test, 20)):
        assert {genre: [gtzan.genre_of(t) for t in part].count(genre) for genre in gtzan.GENRES} == dict.fromkeys(
            gtzan.GENRES, n
        )


def test_the_split_follows_from_seed_and_names_alone():
    """The order in which files are found does not matter; another seed holds out other tracks."""
    split = gtzan.random_split(ALL, seed=3)
    assert gtzan.random_split(ALL[::-1], seed=3) == split
    assert set(gtzan.random_split(ALL, seed=4).test) != set(split.test)


def test_the_split_is_the_one_that_shipped_models_were_trained_on():
    """Should numpy's permutation ever change, held-out tracks would become training tracks: this would show it."""
    split = gtzan.random_split([t for t in ALL if t not in gtzan.DAMAGED], seed=0)
    assert split.held_out == "c7707e634f92647e"


def test_the_digest_of_a_split_changes_with_one_held_out_track():
    """Two data sets that differ by a held-out track are told apart."""
    split = gtzan.random_split(ALL, seed=0)
    without = gtzan.random_split([t for t in ALL if t != split.test[0]], seed=0)
    assert without.held_out != split.held_out


@pytest.mark.parametrize("kind", gtzan.SPLITS)
def test_no_split_has_a_track_on_two_sides(kind):
    """Neither drawn nor as published."""
    split = gtzan.split(kind, ALL, seed=1)
    parts = (split.train, split.valid, split.test)
    assert len(set().union(*parts)) == sum(len(part) for part in parts)
    assert set().union(*parts) <= set(ALL)


def test_the_filtered_split_is_the_published_one():
    """443, 197 and 290 tracks, the same ones whatever the seed; 442 without the damaged one; 70 are in no part."""
    split = gtzan.filtered_split(ALL)
    assert [len(part) for part in (split.train, split.valid, split.test)] == [443, 197, 290]
    assert gtzan.split("filtered", ALL[::-1], seed=5) == split
    undamaged = gtzan.filtered_split([t for t in ALL if t not in gtzan.DAMAGED])
    assert (len(undamaged.train), undamaged.test) == (442, split.test)
    assert undamaged.held_out == "54cd6cf4ad283da2"


def test_the_filtered_split_needs_the_tracks_of_its_lists():
    """A data set that has none of some part cannot be split so."""
    with pytest.raises(BadInputError, match="none are in some part of the filtered split"):
        gtzan.filtered_split(["blues.00012", "blues.00013"])


def test_eight_known_artists_are_on_both_sides_of_the_filtered_split():
    """The lists are artist-aware, not artist-free; tracks of unknown artists say nothing."""
    split = gtzan.filtered_split(ALL)
    shared = gtzan.shared_artists(split.train, split.test)
    assert [name.split(",")[0] for name in shared] == [
        "Anthrax",
        "Bob Marley",
        "Boney M.",
        "Burning Spear",
        "Danzig",
        "Earth",
        "Juilliard String Quartet",
        "KC and the Sunshine Band",
    ]


def test_a_random_split_shares_many_times_the_artists():
    """Which is a part of why its figures are higher."""
    split = gtzan.random_split(ALL, seed=0)
    assert len(gtzan.shared_artists(split.train, split.test)) > 50


def test_a_folder_with_nothing_in_it_is_refused(tmp_path):
    """The message says what a GTZAN folder looks like."""
    with pytest.raises(BadInputError, match=r"no GTZAN in .*genres/<genre>/"):
        gtzan.check_genres(set(), tmp_path)


def test_a_folder_with_some_genres_is_refused_by_name(tmp_path):
    """The message names the genres that are missing."""
    with pytest.raises(BadInputError, match="no tracks of metal, rock"):
        gtzan.check_genres(set(gtzan.GENRES) - {"metal", "rock"}, tmp_path)


@pytest.mark.parametrize("layout", ["genres/jazz/jazz.00001.au", "audio/jazz/jazz.00001.ogg", "jazz/jazz.00001.wav"])
def test_audio_is_found_in_every_layout_of_gtzan(tmp_path, layout):
    """The original's, this project's, and that of the genres' folders alone; other files are no tracks."""
    path = tmp_path / layout
    path.parent.mkdir(parents=True)
    path.touch()
    path.with_name("jazz.00001.txt").touch()
    assert gtzan.audio_files(tmp_path) == {"jazz.00001": path}


def _compared(folder: Path) -> Iterator[tuple[Doubles, Doubles]]:
    """Log-mels [T, n_mels] of one track of each genre: of its archive, and of its audio."""
    archived, files, mfcc = dataset.load(folder), gtzan.audio_files(folder), Mfcc(MfccSpec())
    chosen = {gtzan.genre_of(name): name for name in files if name in archived}
    assert set(chosen) == set(gtzan.GENRES)
    for name in chosen.values():
        yield dataset.decode(archived[name]).astype(float), mfcc.log_mel(read(files[name], 22050))


@pytest.mark.gtzan
def test_archives_hold_the_log_mels_that_genred_hears(gtzan):
    """Row i is frame i + 3, to a median of 0.7 dB with interpolation and Vorbis; one frame off fits half as well."""
    for archived, heard in _compared(gtzan):
        n = min(len(archived), len(heard) - 4)
        early, right, late = (np.median(np.abs(archived[:n] - heard[by : by + n])) for by in (2, 3, 4))
        assert right <= 0.7
        assert right < min(early, late) / 2


@pytest.mark.gtzan
def test_mfcc_of_archives_are_those_of_the_audio(gtzan):
    """What a network learns from is what the daemon computes, each coefficient to a quarter of its own spread."""
    mfcc = Mfcc(MfccSpec())
    for archived, heard in _compared(gtzan):
        n = min(len(archived), len(heard) - 4)
        learnt, frames = mfcc.from_log_mel(archived[:n]), mfcc.from_log_mel(heard)
        early, right, late = (np.median(np.abs(learnt - frames[by : by + n]), axis=0) for by in (2, 3, 4))
        assert (right <= 0.25 * frames.std(axis=0)).all()
        assert right.mean() < min(early.mean(), late.mean()) / 2
