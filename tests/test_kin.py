from __future__ import annotations

import pytest

from genretrain import gtzan, kin, repeats


@pytest.mark.parametrize(
    ("credit", "names"),
    [
        ("Bob Marley & The Wailers", {"bob marley", "the wailers"}),
        ("Dr. Dre feat. Snoop Dogg", {"dr. dre", "snoop dogg"}),
        ("Anderson", {"anderson"}),
    ],
)
def test_a_credit_names_everybody_in_it(credit, names):
    """So that a singer alone and with a band are kin; a name with "and" in it stays whole."""
    assert kin.people(credit) == names


def test_tracks_of_one_artist_and_repeats_are_in_one_group():
    """Of all of GTZAN; tracks that nothing connects are apart."""
    groups = dict(zip(gtzan.TRACKS, kin.groups_of(gtzan.TRACKS), strict=True))
    by_artist: dict[str, set[int]] = {}
    for track, artist in gtzan.artists().items():
        if track in groups:
            by_artist.setdefault(artist, set()).add(groups[track])
    assert {len(of) for of in by_artist.values()} == {1}
    assert all(groups[pair.first] == groups[pair.second] for pair in repeats.read())
    assert len(set(groups.values())) > 200
