from __future__ import annotations

import numpy as np
import pytest

import tiny_gtzan
from genretrain import gtzan, repeats
from genretrain.cli import main
from genretrain.repeats import Repeat


def music(seed: int, frames: int = 1286) -> np.ndarray:
    """A log-mel of noise that is alike over some frames and bands, as music is."""
    noise = np.random.default_rng(seed).normal(size=(frames + 3, 128 // 4))
    smooth = sum(noise[i : i + frames] for i in range(4)) / 2
    return np.clip(60 + 12 * np.repeat(smooth, 4, axis=1), 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def recording() -> np.ndarray:
    """Longer than a track: two excerpts of it overlap."""
    return music(1, 2000)


@pytest.mark.parametrize("offset", [0, 7, -36, 500, -700])
def test_two_excerpts_of_a_recording_are_a_repeat_at_their_offset(recording, offset):
    """Frame t of the first is frame t + offset of the second, to the frame; the others are no repeats."""
    at = 710
    tracks = {
        "jazz.00001": recording[at : at + 1286],
        "jazz.00002": recording[at - offset :][:1286],
        "rock.00001": music(2),
        "rock.00002": music(3, 1313),
    }
    [found] = repeats.find(tracks)
    assert (found.first, found.second, found.offset) == ("jazz.00001", "jazz.00002", offset)
    assert found.correlation > 0.99


def test_a_repeat_is_found_through_other_processing(recording):
    """Louder, with other treble, and noisy: still the same recording, a little less alike."""
    rng = np.random.default_rng(0)
    changed = recording[5:1291] + 20 + np.linspace(0, 30, 128) + rng.normal(0, 5, size=(1286, 128))
    tracks = {"pop.00001": recording[:1286], "pop.00002": np.clip(changed, 0, 255).astype(np.uint8)}
    [found] = repeats.find(tracks)
    assert (found.first, found.second, found.offset) == ("pop.00001", "pop.00002", -5)
    assert repeats.THRESHOLD < found.correlation < 0.99


def test_excerpts_that_overlap_for_less_than_ten_seconds_are_not_judged(recording):
    """Over short stretches, music of one tempo is alike by chance."""
    tracks = {"pop.00001": recording[:1286], "pop.00002": recording[900:2000]}
    assert repeats.find(tracks) == []


def test_the_list_is_read_as_it_was_written(tmp_path, capsys):
    """And its header says how it was made."""
    data = tiny_gtzan.write(tmp_path / "data")
    again = music(1)
    np.savez(data / "logmel" / "blues.npz", **{"blues.00000": music(0), "blues.00001": again, "blues.00002": again})
    out = tmp_path / "repeats.txt"
    main(["repeats", "--data", str(data), "--out", str(out)])
    assert repeats.read(out) == [Repeat("blues.00001", "blues.00002", 0, 1.0)]
    text = out.read_text()
    assert "genretrain repeats --data GTZAN" in text
    assert "1 pairs of 93 tracks: 1 of the same excerpt" in text
    assert "1 pairs" in capsys.readouterr().out


def test_a_repeat_is_shared_when_its_tracks_are_on_either_side():
    """In either order; both on one side is no matter."""
    pairs = [Repeat("a", "b", 0, 1.0), Repeat("c", "d", 0, 1.0), Repeat("e", "f", 0, 1.0)]
    assert repeats.shared(pairs, ("a", "d", "e", "f"), ("b", "c")) == pairs[:2]


def test_the_list_in_the_checkout_has_no_pair_across_the_filtered_split():
    """The published lists leave Sturm's repeats out; a random split has some on both sides."""
    every = [f"{genre}.{i:05}" for genre in gtzan.GENRES for i in range(100)]
    pairs, filtered, drawn = repeats.read(), gtzan.filtered_split(every), gtzan.random_split(every, 0)
    assert len(pairs) > 50
    assert repeats.shared(pairs, filtered.train + filtered.valid, filtered.test) == []
    assert len(repeats.shared(pairs, drawn.train + drawn.valid, drawn.test)) > 5
