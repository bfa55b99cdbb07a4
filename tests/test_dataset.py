from __future__ import annotations

import wave
from pathlib import Path

import numpy as np
import pytest
import soxr

import tiny_gtzan
from conftest import music, write_wav
from genred.errors import BadInputError, SourceError
from genred.features import GainRule, Mfcc, MfccSpec, Samples, gain_of_log_mel
from genretrain import dataset, gtzan
from genretrain.audio import read
from genretrain.cli import main
from genretrain.dataset import Crops

SPEC = MfccSpec(n_mfcc=8)


def quiet(frames: int, db: float) -> np.ndarray:
    """An archived track of one level."""
    return np.full((frames, 128), 2 * (db + 30), np.uint8)


def log_mel_of(frames: np.ndarray) -> np.ndarray:
    """The log-mels behind all 128 coefficients: the basis is orthonormal."""
    return frames @ dataset.dct_basis(MfccSpec(n_mfcc=128))


@pytest.fixture(scope="module")
def audio(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """GTZAN of ten genres x two tracks, and one that is damaged."""
    data = tmp_path_factory.mktemp("music")
    for number, genre in enumerate(gtzan.GENRES):
        folder = data / "genres" / genre
        folder.mkdir(parents=True)
        for i in range(2):
            write_wav(folder / f"{genre}.{i:05}.wav", music(0.5, seed=10 * number + i))
    (data / "genres" / "jazz" / "jazz.00054.wav").write_bytes(b"RIFF, and then nothing that makes sense")
    return data


@pytest.fixture(scope="module")
def prepared(audio: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("prepared")
    dataset.prepare(audio, out)
    return out


def samples_in(path: Path) -> Samples:
    """16-bit samples, by the standard library."""
    with wave.open(str(path)) as file:
        return (np.frombuffer(file.readframes(file.getnframes()), "<i2") / 32768).astype(np.float32)


def test_an_archive_is_exact_to_a_quarter_of_a_decibel():
    """From the floor to 97.5 dB."""
    log_mel = np.random.default_rng(0).uniform(-30, 97.5, size=(50, 128))
    assert np.abs(dataset.decode(dataset.encode(log_mel)) - log_mel).max() <= 0.25 + 1e-5


def test_prepared_audio_is_what_genred_hears(audio, prepared):
    """An archive made from audio is Mfcc.log_mel of its samples, frame for frame."""
    tracks = dataset.load(prepared)
    assert len(tracks) == 20
    for name, path in gtzan.audio_files(audio).items():
        if name not in gtzan.DAMAGED:
            expected = Mfcc(MfccSpec()).log_mel(samples_in(path))  # [18, 128]
            assert tracks[name].shape == expected.shape == (18, 128)
            assert np.abs(dataset.decode(tracks[name]) - expected).max() <= 0.25 + 1e-3


def test_a_damaged_track_is_left_out_and_named(audio, tmp_path, capsys):
    """The rest is prepared; the line says which track, and why."""
    dataset.prepare(audio, tmp_path)
    assert "left out: jazz.00054 (unreadable in the public copies)" in capsys.readouterr().out
    assert "jazz.00054" not in dataset.load(tmp_path)


def test_archives_are_preferred_to_audio(audio, tmp_path):
    """The two are never mixed: with archives there, audio adds no track."""
    data = tiny_gtzan.write(tmp_path / "data")
    (data / "genres").symlink_to(audio / "genres")
    dataset.prepare(data, tmp_path / "out")
    before, after = dataset.load(data), dataset.load(tmp_path / "out")
    assert before.keys() == after.keys()
    assert all(np.array_equal(before[name], after[name]) for name in before)


def test_audio_of_another_rate_and_two_channels_is_read_as_mono(tmp_path):
    """The mean of the channels, resampled; a tone keeps its pitch and its level."""
    time_s = np.arange(44100) / 44100
    tone = np.sin(2 * np.pi * 441 * time_s)
    samples = read(write_wav(tmp_path / "tone.wav", np.stack([0.8 * tone, 0.4 * tone], axis=1), 44100), 22050)
    expected = soxr.resample((0.6 * tone).astype(np.float32), 44100, 22050)
    assert samples.dtype == np.float32
    np.testing.assert_allclose(samples, expected, atol=1e-3)


def test_a_file_without_sound_is_refused(tmp_path):
    """By name, as the daemon would."""
    path = tmp_path / "note.wav"
    path.write_text("no music here")
    with pytest.raises(SourceError, match=r"note\.wav"):
        read(path, 22050)


def test_a_genre_whose_tracks_are_all_damaged_is_missed(audio, tmp_path):
    """An archive without tracks would be a genre that nothing is ever learnt of."""
    for genre in gtzan.GENRES:
        folder = tmp_path / "genres" / genre
        folder.mkdir(parents=True)
        source = audio / "genres" / genre / f"{genre}.00000.wav"
        (folder / source.name).write_bytes(b"noise" if genre == "pop" else source.read_bytes())
    with pytest.raises(BadInputError, match="no tracks of pop"):
        dataset.prepare(tmp_path, tmp_path / "out")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"PK\x03\x04 and then rubbish", "cannot read .*blues.npz"),
        ({"blues.00000": np.zeros((60, 20), np.uint8)}, "blues.00000 .* is not a log-mel"),
        ({"blues.00000": np.zeros((60, 128))}, "blues.00000 .* is not a log-mel"),
        ({"polka.00000": np.zeros((60, 128), np.uint8)}, "no tracks of blues"),
    ],
)
def test_a_damaged_archive_is_refused(tmp_path, content, message):
    """Whether it is no archive, or one of something else."""
    path = tiny_gtzan.write(tmp_path / "data") / "logmel" / "blues.npz"
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        np.savez(path, **content)
    with pytest.raises(BadInputError, match=message):
        dataset.load(tmp_path / "data")


def test_training_on_audio_that_is_not_prepared_says_what_to_do(audio):
    """The answer is a command."""
    with pytest.raises(BadInputError, match="run genretrain prepare"):
        dataset.load(audio)


def test_prepare_without_gtzan_is_bad_input(tmp_path, capsys):
    """Exit code 2 and one sentence."""
    with pytest.raises(SystemExit) as exit_:
        main(["prepare", "--data", str(tmp_path), "--out", str(tmp_path / "out")])
    assert exit_.value.code == 2
    assert capsys.readouterr().err.startswith(f"genretrain: no GTZAN in {tmp_path}")


def test_windows_are_a_hop_apart():
    """Window n begins at frame n * hop, and the last one ends within the track."""
    archived = tiny_gtzan.tracks("jazz", 1)["jazz.00000"][:60]
    windows = Crops([archived], SPEC, GainRule(), 40).windows(0, 7)
    assert windows.shape == (3, 40, 8)
    np.testing.assert_array_equal(windows[1, :-7], windows[0, 7:])


def test_crops_are_the_mfcc_of_the_track():
    """What a network learns from is Mfcc.from_log_mel, as the daemon computes it."""
    archived = tiny_gtzan.tracks("jazz", 1)["jazz.00000"]
    window = Crops([archived], SPEC, GainRule(), len(archived)).windows(0, 1)[0]
    expected = Mfcc(SPEC).from_log_mel(dataset.decode(archived))
    np.testing.assert_allclose(window, expected, atol=1e-3)


def test_quiet_tracks_are_raised_by_the_rule_of_the_daemon():
    """A track far below mastered level is raised from the second interval on; a loud one is left alone."""
    rule, whole = GainRule(), 120
    faint, loud = quiet(whole, -25), quiet(whole, 30)
    crops = Crops([faint, loud], MfccSpec(n_mfcc=128), rule, whole)
    gains = log_mel_of(crops.windows(0, 1)[0]) - dataset.decode(faint)
    np.testing.assert_allclose(gains[: rule.interval_frames], 0, atol=1e-3)
    assert gains[rule.interval_frames :].min() >= rule.step_db - 1e-3
    np.testing.assert_allclose(gains[:, 0], gain_of_log_mel(dataset.decode(faint), MfccSpec(), rule), atol=1e-3)
    np.testing.assert_allclose(log_mel_of(crops.windows(1, 1)[0]), 30, atol=1e-3)


def test_statistics_are_those_of_all_frames():
    """Mean and deviation of each coefficient, over the frames of all tracks together."""
    tracks = list(tiny_gtzan.tracks("rock", 3).values())
    crops = Crops(tracks, SPEC, GainRule(), 40)
    frames = np.concatenate([Mfcc(SPEC).from_log_mel(dataset.decode(track)) for track in tracks])
    mean, deviation = crops.statistics()
    np.testing.assert_allclose(mean, frames.mean(axis=0), atol=1e-2)
    np.testing.assert_allclose(deviation, frames.std(axis=0), atol=1e-2)
