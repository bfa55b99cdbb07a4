from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from chunks import cut, sizes
from conftest import music
from genred.features import (
    AutoGain,
    FrameStream,
    GainRule,
    GainStream,
    Mfcc,
    MfccSpec,
    Samples,
    amplitude,
    decibels,
    gain_of_log_mel,
    mean_square,
)
from genred.sources.file import decode

SPEC = MfccSpec()
MFCC = Mfcc(SPEC)
RULE = GainRule()
INTERVAL = RULE.interval_frames * SPEC.hop_length  # samples
FLOOR_DB = 10 * np.log10(SPEC.amin)
SPECS = (
    SPEC,
    MfccSpec(n_fft=1024, hop_length=256, n_mels=64, n_mfcc=13),
    MfccSpec(sample_rate=16000, n_fft=512, hop_length=160, n_mels=40, n_mfcc=40),
    MfccSpec(sample_rate=44100, n_fft=4096, hop_length=1000, n_mels=128, n_mfcc=20, fmin=50.0, fmax=16000.0),
    MfccSpec(n_fft=1000, hop_length=1000, n_mels=26, n_mfcc=1, fmin=300.0, fmax=3400.0, amin=1e-10),
    MfccSpec(n_fft=256, hop_length=64, n_mels=128, n_mfcc=20),  # bands so narrow that some hold no bin
)
by_spec = pytest.mark.parametrize("spec", SPECS, ids=lambda s: f"{s.sample_rate}-{s.n_fft}-{s.n_mels}-{s.n_mfcc}")
faint_by = pytest.mark.parametrize("faint_db", [-30, -40, -50])


def same_bits(one: NDArray[np.float32], other: NDArray[np.float32]) -> bool:
    return one.shape == other.shape and one.dtype == other.dtype == np.float32 and one.tobytes() == other.tobytes()


def at_level(samples: Samples, dbfs: float) -> Samples:
    """Scale to an RMS level."""
    return samples * np.float32(amplitude(dbfs - decibels(mean_square(samples))))


def track(gtzan: Path, name: str) -> Samples:
    path = gtzan / "audio" / name.partition(".")[0] / f"{name}.ogg"
    return np.concatenate([piece.block[:, 0] for piece in decode(path)])


def gained(samples: Samples, lengths: list[int] | None = None, fixed_db: float | None = None) -> Samples:
    stream = GainStream(AutoGain(RULE, fixed_db), SPEC.hop_length)
    return np.concatenate([stream.push(piece) for piece in cut(samples, lengths or [len(samples)])])


def gains_db(samples: Samples, rule: GainRule = RULE) -> list[float]:
    """The gain of each interval."""
    stream = GainStream(AutoGain(rule), SPEC.hop_length)
    gains = []
    for piece in cut(samples, [INTERVAL]):
        gains.append(stream.auto.gain_db)
        stream.push(piece)
    return gains


def on_the_floor(samples: Samples) -> float:
    """Share of the mel cells that say nothing."""
    return float(np.mean(MFCC.log_mel(samples) <= FLOOR_DB))


# Frames


def librosas_mfcc(samples: Samples, spec: MfccSpec) -> NDArray[np.float64]:
    import librosa

    mel = librosa.feature.melspectrogram(
        y=samples.astype(np.float64),
        sr=spec.sample_rate,
        n_fft=spec.n_fft,
        hop_length=spec.hop_length,
        center=False,
        n_mels=spec.n_mels,
        fmin=spec.fmin,
        fmax=spec.top_hz,
        dtype=np.float64,
    )
    log_mel = librosa.power_to_db(mel, amin=spec.amin, top_db=None)
    return np.asarray(librosa.feature.mfcc(S=log_mel, n_mfcc=spec.n_mfcc, dct_type=2, norm="ortho").T)


@by_spec
@pytest.mark.filterwarnings("ignore:Empty filters detected")
def test_agrees_with_librosa(spec: MfccSpec) -> None:
    """MFCC are librosa's (center=False, no top_db, float64) to 1e-4, for any setting."""
    samples = music(3.0, spec.sample_rate)
    np.testing.assert_allclose(Mfcc(spec)(samples), librosas_mfcc(samples, spec), rtol=0, atol=1e-4)


@by_spec
@pytest.mark.filterwarnings("ignore:Empty filters detected")
def test_rounded_once(spec: MfccSpec) -> None:
    """All is computed in float64; only the frame is rounded to float32: no number is further off than its last bit."""
    samples = music(3.0, spec.sample_rate)
    exact = librosas_mfcc(samples, spec)
    error = np.abs(Mfcc(spec)(samples) - exact)
    assert np.all(error <= np.spacing(np.abs(exact).astype(np.float32)) + 1e-9)


@pytest.mark.gtzan
@pytest.mark.parametrize("spec", [s for s in SPECS if s.sample_rate == SPEC.sample_rate], ids=lambda s: str(s.n_fft))
@pytest.mark.parametrize("name", ["blues.00000", "classical.00003", "metal.00001"])
@pytest.mark.filterwarnings("ignore:Empty filters detected")
def test_agrees_with_librosa_on_music(gtzan: Path, name: str, spec: MfccSpec) -> None:
    """The same on real recordings, whatever their spectra and levels."""
    samples = track(gtzan, name)
    np.testing.assert_allclose(Mfcc(spec)(samples), librosas_mfcc(samples, spec), rtol=0, atol=1e-4)


def test_more_frames_than_a_block_agree_too() -> None:
    """A file longer than the block in which frames are computed has no seam in it."""
    samples = music(14.0)
    np.testing.assert_allclose(MFCC(samples), librosas_mfcc(samples, SPEC), rtol=0, atol=1e-4)


@given(sizes)
def test_any_chunking_gives_the_same_frames(lengths: list[int]) -> None:
    """However a stream is cut, every frame is there once and is the same bits as in the whole file."""
    samples = music(3.0, seed=1)
    stream = FrameStream(MFCC)
    frames = np.concatenate([stream.push(piece) for piece in cut(samples, lengths)])
    assert same_bits(frames, MFCC(samples))


def test_a_sample_at_a_time_gives_the_same_frames() -> None:
    """The finest chunking there is changes no bit either."""
    samples = music(0.5)
    stream = FrameStream(MFCC)
    assert same_bits(np.concatenate([stream.push(piece) for piece in cut(samples, [1])]), MFCC(samples))


@by_spec
def test_a_frame_is_the_same_number_everywhere(spec: MfccSpec) -> None:
    """Alone, in a window and in a whole file, a frame is the same bits: it depends on its n_fft samples only."""
    samples, mfcc = music(2.0, spec.sample_rate), Mfcc(spec)
    whole = mfcc(samples)
    for t in (0, 1, len(whole) // 2, len(whole) - 1):
        start = t * spec.hop_length
        assert same_bits(mfcc(samples[start : start + spec.n_fft]), whole[t : t + 1])
        assert same_bits(mfcc(samples[start:])[:3], whole[t : t + 3])


@given(st.integers(0, 60_000), st.integers(0, 2**32 - 1))
def test_the_future_never_changes_the_past(known: int, seed: int) -> None:
    """Two streams that begin alike have the same frames up to where they part, and the same gain."""
    samples = music(3.0)
    other = np.random.default_rng(seed).uniform(-1, 1, len(samples)).astype(np.float32)
    other[:known] = samples[:known]
    frames = max((known - SPEC.n_fft) // SPEC.hop_length + 1, 0)
    assert same_bits(MFCC(other)[:frames], MFCC(samples)[:frames])
    assert same_bits(gained(other * np.float32(0.001))[:known], gained(samples * np.float32(0.001))[:known])


def test_louder_surroundings_change_nothing() -> None:
    """No top_db: a crash of cymbals elsewhere in the file leaves the frames of a quiet passage as they were."""
    quiet = music(2.0) * np.float32(0.01)
    assert same_bits(MFCC(np.concatenate([quiet, music(1.0, seed=2)]))[: len(MFCC(quiet))], MFCC(quiet))


def test_frames_without_padding() -> None:
    """center=False: n_fft samples make the first frame, each hop_length one more, and fewer make none."""
    for n, frames in ((0, 0), (2047, 0), (2048, 1), (2559, 1), (2560, 2), (SPEC.samples(1000), 1000)):
        assert MFCC(np.zeros(n, np.float32)).shape == (frames, SPEC.n_mfcc)


def test_the_papers_window() -> None:
    """1000 frames at 22050 Hz, n_fft 2048, hop_length 512 are 23.2 s, and no frames are no samples."""
    assert SPEC.seconds(1000) == pytest.approx(23.29, abs=0.01)
    assert SPEC.samples(1000) == 999 * 512 + 2048
    assert SPEC.samples(0) == 0


def test_floor() -> None:
    """Digital silence is the fixed floor, -30 dB in every band, so only the zeroth coefficient is not 0."""
    log_mel = MFCC.log_mel(np.zeros(SPEC.n_fft, np.float32))
    assert np.all(log_mel == pytest.approx(-30.0))
    frame = MFCC(np.zeros(SPEC.n_fft, np.float32))[0]
    assert frame[0] == pytest.approx(-30.0 * np.sqrt(SPEC.n_mels))
    assert np.abs(frame[1:]).max() < 1e-4


def test_a_tone_is_where_it_sounds() -> None:
    """A tone shows most in the band whose edges enclose it."""
    for hz in (440.0, 1000.0, 5000.0):
        tone = np.sin(2 * np.pi * hz * np.arange(SPEC.n_fft) / SPEC.sample_rate).astype(np.float32)
        band = int(MFCC.log_mel(tone)[0].argmax())
        mels = np.interp(hz, [0.0, 1000.0], [0.0, 15.0]) + 27 * max(np.log(hz / 1000), 0) / np.log(6.4)
        top = 15 + 27 * np.log(11.025) / np.log(6.4)
        assert band == pytest.approx(mels / top * (SPEC.n_mels + 1) - 1, abs=1.0)


def test_from_log_mel() -> None:
    """MFCC of stored log-mel frames are those of the audio they were made from."""
    samples = music(1.0)
    assert same_bits(MFCC.from_log_mel(MFCC.log_mel(samples)), MFCC(samples))


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("sample_rate", 0),
        ("n_fft", 0),
        ("n_fft", -1),
        ("hop_length", 0),
        ("hop_length", 4096),
        ("n_mels", 0),
        ("n_mfcc", 0),
        ("n_mfcc", 129),
        ("amin", 0.0),
        ("amin", float("nan")),
        ("fmin", -1.0),
        ("fmin", 11025.0),
        ("fmin", float("nan")),
        ("fmax", -1.0),
        ("fmax", 12000.0),
        ("fmax", float("inf")),
    ],
)
def test_settings_no_mfcc_can_have(setting: str, value: float) -> None:
    """Each is refused at once, in a sentence that names the setting."""
    with pytest.raises(ValueError, match=setting):
        replace(SPEC, **{setting: value})


@pytest.mark.parametrize("setting", ["interval_frames", "history", "step_db"])
def test_settings_no_gain_rule_can_have(setting: str) -> None:
    """An interval, a history or a step of nothing would never end, or divide by it."""
    with pytest.raises(ValueError, match=setting):
        replace(RULE, **{setting: 0})


# Gain


@given(sizes, st.sampled_from([None, 0.0, 12.5, -6.0]))
def test_any_chunking_gives_the_same_gain(lengths: list[int], fixed_db: float | None) -> None:
    """However a stream is cut, the scaled samples are the same bits."""
    samples = music(4.0) * np.float32(0.003)
    assert same_bits(gained(samples, lengths, fixed_db), gained(samples, None, fixed_db))


def test_gain_is_constant_within_an_interval() -> None:
    """The factor on the samples changes at the borders of intervals only."""
    samples = np.full(8 * INTERVAL, 0.001, np.float32)
    factors = (gained(samples) / samples).reshape(-1, INTERVAL)
    assert np.all(factors == factors[:, :1])
    assert len(set(factors[:, 0].tolist())) > 1


def test_gain_comes_from_the_past_only() -> None:
    """An interval is scaled by what those before it decided: the first by nothing, whatever its level."""
    faint = at_level(music(3.0), -60)
    assert gains_db(faint)[0] == 0.0
    assert gains_db(faint)[1] > 0.0
    assert same_bits(gained(faint)[:INTERVAL], faint[:INTERVAL])


@pytest.mark.parametrize("dbfs", [-39, -30, -20, -9])
def test_mastered_music_is_left_alone(dbfs: float) -> None:
    """Between -40 and -8 dBFS nothing is changed."""
    samples = at_level(music(10.0), dbfs)
    assert same_bits(gained(samples), samples)


@faint_by
def test_faint_music_is_brought_back(faint_db: float) -> None:
    """As a microphone hears it, 30 to 50 dB down, nearly all mel cells lie on the floor; with the gain none do."""
    faint = music(10.0) * np.float32(amplitude(faint_db))
    assert on_the_floor(faint) > 0.9
    assert on_the_floor(gained(faint)[round(2.0 * SPEC.sample_rate) :]) < 0.01


@pytest.mark.gtzan
@faint_by
@pytest.mark.parametrize("name", ["blues.00000", "classical.00003", "hiphop.00000", "metal.00001"])
def test_faint_recordings_are_brought_back(gtzan: Path, name: str, faint_db: float) -> None:
    """After 2 s of faint music at most 15 % more of the cells are on the floor than in the recording."""
    music_ = track(gtzan, name)
    faint, heard = music_ * np.float32(amplitude(faint_db)), round(2.0 * SPEC.sample_rate)
    assert on_the_floor(gained(faint)[heard:]) < on_the_floor(music_[heard:]) + 0.15


@pytest.mark.gtzan
@pytest.mark.parametrize("name", ["blues.00000", "metal.00001"])
def test_without_gain_a_microphone_is_deaf(gtzan: Path, name: str) -> None:
    """At -40 dB over 90 % of the mel cells of real music lie on the floor: the reason for the gain."""
    assert on_the_floor(track(gtzan, name) * np.float32(amplitude(-40))) > 0.9


def test_gain_moves_in_steps_and_ends() -> None:
    """Gains are whole steps of 6 dB, never negative and never over 60 dB."""
    for dbfs in (-74, -60, -50, -41, -3):
        for gain_db in gains_db(at_level(music(8.0), dbfs)):
            assert gain_db % RULE.step_db == 0
            assert 0 <= gain_db <= RULE.max_db


def test_a_quiet_passage_moves_nothing() -> None:
    """A step is decided from an interval and those before it: a second of near silence in a song is no microphone."""
    loud, quiet = at_level(music(10.0)[: 10 * INTERVAL], -25), at_level(music(1.0)[:INTERVAL], -60)
    assert set(gains_db(np.concatenate([loud, quiet, loud]))) == {0.0}


def test_a_quiet_station_is_found_in_the_end() -> None:
    """What came before is forgotten after the rule's history: then the gain is as if it had never been."""
    loud, quiet = at_level(music(10.0)[: 10 * INTERVAL], -25), at_level(music(20.0)[: 20 * INTERVAL], -60)
    assert gains_db(np.concatenate([loud, quiet]))[-1] == gains_db(quiet)[-1] > 30


def test_gain_goes_back_when_it_gets_loud() -> None:
    """When someone turns the music up, within some seconds nothing is amplified beyond mastered music any more."""
    quiet, loud = at_level(music(12.0), -60), at_level(music(20.0), -15)
    gains = gains_db(np.concatenate([quiet, loud]))
    assert max(gains) >= 36
    assert -15 + gains[-1] <= RULE.high_dbfs


def test_silence_decides_nothing() -> None:
    """Silence is not raised, and a pause in faint music leaves the gain as it was."""
    silence = np.zeros(5 * INTERVAL, np.float32)
    assert set(gains_db(silence)) == {0.0}
    faint = at_level(music(6.0)[: 5 * INTERVAL], -60)
    gains = gains_db(np.concatenate([faint, silence]))
    assert set(gains[5:]) == {gains[4]} != {0.0}


@given(st.floats(-120, 120), st.floats(1e-12, 1e3))
def test_fixed_gain_is_fixed(fixed_db: float, power: float) -> None:
    """What was asked for holds, whatever is heard."""
    auto = AutoGain(RULE, fixed_db)
    auto.update(power)
    assert auto.gain_db == fixed_db


def test_fixed_gain_scales() -> None:
    """+20 dB is a factor of 10 from the first sample on."""
    samples = music(1.0)
    np.testing.assert_allclose(gained(samples, None, 20.0), samples * 10, rtol=1e-6)


@settings(max_examples=10)
@given(st.integers(0, 1000), st.sampled_from([-36, -30, -22, -20, -15, -9]))
def test_gain_of_log_mel_is_the_streams(seed: int, dbfs: float) -> None:
    """Training, which has log-mels only, recovers the level that the daemon hears, to 0.5 dB an interval."""
    every_level = replace(RULE, low_dbfs=100.0, high_dbfs=100.0, target_dbfs=0.0, step_db=0.1, history=1)
    samples = at_level(music(5.0, seed=seed), dbfs)
    from_mel = gain_of_log_mel(MFCC.log_mel(samples), SPEC, every_level)
    from_audio = np.repeat(gains_db(samples, every_level), RULE.interval_frames)[: len(from_mel)]
    assert np.all(from_audio[RULE.interval_frames :] > 0)
    np.testing.assert_allclose(from_mel, from_audio, atol=0.5)


@pytest.mark.gtzan
@pytest.mark.parametrize("name", ["blues.00000", "classical.00003", "hiphop.00000", "jazz.00003", "metal.00001"])
def test_gain_of_log_mel_is_the_streams_on_music(gtzan: Path, name: str) -> None:
    """So it finds the same gain for each frame of a recording."""
    samples = track(gtzan, name)
    from_mel = gain_of_log_mel(MFCC.log_mel(samples), SPEC, RULE)
    np.testing.assert_array_equal(from_mel, np.repeat(gains_db(samples), RULE.interval_frames)[: len(from_mel)])


def test_levels() -> None:
    """Full scale is 0 dBFS, a full-scale sine -3, silence -120 instead of minus infinity."""
    sine = np.sin(np.arange(22050) * 0.2).astype(np.float32)
    assert decibels(mean_square(np.ones(10, np.float32))) == 0.0
    assert decibels(mean_square(sine)) == pytest.approx(-3.01, abs=0.01)
    assert decibels(mean_square(np.zeros(10, np.float32))) == decibels(mean_square(np.empty(0, np.float32))) == -120.0
    assert amplitude(20.0) == 10.0
