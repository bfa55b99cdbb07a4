from __future__ import annotations

import numpy as np
import pytest

from genred.features import GainRule, MfccSpec, dct_basis, mel_edges
from genretrain import dataset
from genretrain.augment import Augmentation, Deck
from genretrain.dataset import FLOOR_DB, Crops

SPEC = MfccSpec(n_mfcc=128)  # all coefficients: the basis is orthonormal, and the log-mels come back
AS_IT_IS = GainRule(low_dbfs=-200, high_dbfs=200)
WINDOW = 40
NOTHING = Augmentation()


def level(frames: int, db: float) -> np.ndarray:
    """An archived track of one level."""
    return np.full((frames, 128), 2 * (db + 30), np.uint8)


def ramp(frames: int) -> np.ndarray:
    """A track whose frame i is i dB in every band: what is read off between frames says from where."""
    return dataset.encode(np.repeat(np.arange(frames, dtype=float)[:, None], 128, axis=1))


def tone(frames: int, band: int, db: float) -> np.ndarray:
    """A track with one loud band, the others at 0 dB."""
    track = level(frames, 0)
    track[:, band] = dataset.encode(np.array(db))
    return track


def drawn(track: np.ndarray, augment: Augmentation, n: int = 50, length: int = WINDOW) -> np.ndarray:
    """Log-mels [n, T, M] of `n` crops of `track`, drawn together."""
    deck = Deck(Crops([track], SPEC, AS_IT_IS, WINDOW), SPEC)
    crops = deck.draw(np.zeros(n, int), np.random.default_rng(0), augment, length)
    log_mels: np.ndarray = crops.numpy() @ dct_basis(SPEC)
    return log_mels


def test_crops_have_the_length_asked_for():
    """From longer tracks a part, from shorter ones all with the floor after it."""
    deck = Deck(Crops([level(100, 20), level(10, 20)], SPEC, AS_IT_IS, WINDOW), SPEC)
    rng = np.random.default_rng(0)
    assert deck.draw(np.array([0, 1]), rng, NOTHING, WINDOW).shape == (2, 40, 128)
    assert deck.draw(np.array([0]), rng, Augmentation(time_masks=1, mask_frames=40), 16).shape == (1, 16, 128)
    padded = deck.draw(np.array([1]), rng, NOTHING, WINDOW).numpy()[0] @ dct_basis(SPEC)
    np.testing.assert_allclose(padded[:10], 20, atol=1e-3)
    np.testing.assert_allclose(padded[10:], FLOOR_DB, atol=1e-3)


def test_crops_are_stretches_of_their_own_track():
    """Without augmentation a crop is frames of the track, one after the other, from anywhere in it."""
    deck = Deck(Crops([level(50, 60), ramp(60)], SPEC, AS_IT_IS, WINDOW), SPEC)
    crops = deck.draw(np.array([1] * 100), np.random.default_rng(0), NOTHING, WINDOW).numpy() @ dct_basis(SPEC)
    np.testing.assert_allclose(np.diff(crops, axis=1), 1, atol=1e-3)
    assert {round(float(crop[0, 0])) for crop in crops} == set(range(21))


def test_the_same_seed_draws_the_same_crops():
    """Noise too: a run that goes on ends in the same weights."""
    everything = Augmentation(12.0, 4.0, 0.1, 0.1, 1.0, 1.0, 1.0, 2, 10, 2, 10)
    np.testing.assert_array_equal(drawn(ramp(90), everything), drawn(ramp(90), everything))


@pytest.mark.parametrize(
    "augment",
    [
        Augmentation(gain_db=60),
        Augmentation(equaliser_db=30),
        Augmentation(line=1.0),
        Augmentation(time_masks=3, mask_frames=40),
        Augmentation(band_masks=3, mask_bands=40),
        Augmentation(gain_db=60, stretch=0.2, shift=0.1, room=0.5, noise=0.5, line=0.5),
    ],
)
def test_no_effect_goes_below_the_floor(augment):
    """No effect makes what is quieter than the features can say: max(L + change, -30)."""
    changed = drawn(level(60, -29), augment, n=20)
    assert np.isclose(changed, FLOOR_DB, atol=1e-3).any()
    assert changed.min() >= FLOOR_DB - 1e-3


def test_a_gain_is_the_same_for_every_band_and_frame():
    """As a volume control is: a crop is shifted by one number, within the range asked for."""
    changes = drawn(level(60, 20), Augmentation(gain_db=12)) - 20
    assert changes.std(axis=(1, 2)).max() < 1e-3
    means = changes.mean(axis=(1, 2))
    assert -12 <= means.min() < -6
    assert 6 < means.max() <= 12


def test_stretching_reads_a_track_faster_or_slower():
    """The slope of a crop is the tempo, one tempo a crop, within the range asked for."""
    steps = np.diff(drawn(ramp(90), Augmentation(stretch=0.2))[:, :, 5], axis=1)
    assert np.ptp(steps, axis=1).max() < 1e-2
    slopes = steps.mean(axis=1)
    assert 0.8 <= slopes.min() < 0.9
    assert 1.1 < slopes.max() <= 1.2


def test_shifting_moves_a_tone_by_its_pitch():
    """A tone at f is afterwards where the mel bands have f * (1 + change)."""
    centres, band = mel_edges(SPEC)[1:-1], 60
    crops = drawn(tone(60, band, 30), Augmentation(shift=0.1), n=100)
    found = centres[crops[:, 0].argmax(axis=1)] / centres[band]
    assert 0.88 < found.min() < 0.93
    assert 1.07 < found.max() < 1.12


def test_a_room_answers_after_the_sound():
    """After a click the level falls in a straight line, by 60 dB in 0.2 to 1 s; before it is only the floor's."""
    click = level(81, -30)
    click[40] = dataset.encode(np.array(60.0))
    crops = drawn(click, Augmentation(room=1.0), length=81)
    assert crops[:, :40].max() < FLOOR_DB + 10
    np.testing.assert_allclose(crops[:, 40], 60, atol=1e-3)
    falls = -np.diff(crops[:, 41:45, 0], axis=1)  # a frame is 23 ms
    assert np.ptp(falls, axis=1).max() < 0.05
    fall_db_per_s = falls[:, 0] * SPEC.sample_rate / SPEC.hop_length
    assert 60 / 1.0 - 0.1 <= fall_db_per_s.min() < 60 / 0.7
    assert 60 / 0.4 < fall_db_per_s.max() <= 60 / 0.2 + 0.1


def test_a_share_of_the_crops_is_in_a_room():
    """The others are left as they are."""
    click = level(60, -30)
    click[30] = dataset.encode(np.array(60.0))
    dry = drawn(click, NOTHING, n=400, length=60)
    wet = np.abs(drawn(click, Augmentation(room=0.25), n=400, length=60) - dry).max(axis=(1, 2)) > 1
    assert 0.15 < wet.mean() < 0.35


def test_noise_lies_under_the_music_by_its_distance():
    """In silence of a track the noise is heard; its power is 5 to 35 dB below the crop's, and it flutters."""
    half = level(WINDOW, -30)
    half[: WINDOW // 2] = dataset.encode(np.array(30.0))
    crops = drawn(half, Augmentation(noise=1.0), n=200)
    power = 10 ** (crops / 10)
    noise = 10 * np.log10(power[:, WINDOW // 2 :].mean(axis=(1, 2)))
    below = 30 - 10 * np.log10(2) - noise
    assert 4 < below.min() < 9
    assert 31 < below.max() < 36
    loudest = crops[below.argmin(), WINDOW // 2 :]
    flutter = loudest.std(axis=0)
    assert flutter[:20].mean() > 1.5 * flutter[-20:].mean()  # narrow bands hold few bins


def test_a_line_cuts_both_ends_and_leaves_the_middle():
    """From 400 to 2500 Hz nothing changes; beyond the cuts the level only falls, the further the more."""
    centres = mel_edges(SPEC)[1:-1]
    change = drawn(level(60, 60), Augmentation(line=1.0))[:, 0] - 60
    np.testing.assert_allclose(change[:, (centres > 400) & (centres < 2500)], 0, atol=1e-3)
    above = change[:, centres >= 2500]
    assert (np.diff(above, axis=1) < 1e-3).all()
    assert above[:, -1].min() < -40


@pytest.mark.parametrize(
    ("augment", "axis"),
    [(Augmentation(time_masks=1, mask_frames=15), 2), (Augmentation(band_masks=1, mask_bands=15), 1)],
)
def test_masks_hide_one_stretch(augment, axis):
    """At the floor across the other axis, up to the length asked for, anywhere."""
    hidden = np.isclose(drawn(level(60, 20), augment, n=300), FLOOR_DB, atol=1e-3)
    along = hidden.all(axis=axis)
    np.testing.assert_array_equal(hidden.any(axis=axis), along)
    widths = along.sum(axis=1)
    assert set(widths) == set(range(16))
    assert (np.diff(along.astype(int), axis=1) == 1).sum(axis=1).max() <= 1
    assert along.any(axis=0).all()
