from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from click.testing import CliRunner

from audio_files import FLOAT, encode, raw_wav, video
from conftest import EARLY, LABELS, SMALL_WINDOW, genred, make_model, music, write_wav
from genred.card import Horizon, find_model
from genred.classifier import Classifier
from genred.classify import HOP_FRAMES, listen_to
from genred.cli import main
from genred.epoch import Epoch, Geometry
from genred.errors import SourceError
from genred.features import Mfcc
from genred.sources.file import decode
from genred.sources.frames import Piece
from genred.timeline import as_record, as_text

RATE, HOP, N_FFT = 22050, 512, 2048
WINDOW_S = ((SMALL_WINDOW - 1) * HOP + N_FFT) / RATE
STEP_S = HOP_FRAMES * HOP / RATE


@pytest.fixture(scope="session")
def judge(small_model: Path) -> Classifier:
    return Classifier(small_model, "cpu")


# listen_to


def test_windows_of_a_file(judge: Classifier, wav: Path) -> None:
    """A file is judged as the daemon would hear it: a window each hop, with its time in the file."""
    timeline = listen_to(wav, judge)
    assert timeline.seconds == 10.0
    assert len(timeline.answers) == int((10.0 - WINDOW_S) / STEP_S) + 1
    for number, answer in enumerate(timeline.answers):
        assert answer.start_s == pytest.approx(number * STEP_S)
        assert answer.end_s == pytest.approx(number * STEP_S + WINDOW_S)
        assert answer.verdict.label in LABELS
    assert (timeline.nonfinite, timeline.undecoded, timeline.failed, timeline.narrow_band) == (0, 0, 0, False)


@pytest.mark.parametrize(("rate", "volume"), [(8000, 1.0), (22050, 1.0), (22050, 0.004), (44100, 1.0), (48000, 0.004)])
def test_the_same_answers_as_a_stream(judge: Classifier, tmp_path: Path, rate: int, volume: float) -> None:
    """A file and a stream of the same samples have the same windows, gains and answers bit for bit; also faint."""
    samples = music(6.0, rate) * np.float32(volume)
    timeline = listen_to(write_wav(tmp_path / "x.wav", samples, rate), judge)
    epoch = Epoch(Mfcc(judge.card.spec), Geometry(SMALL_WINDOW, HOP_FRAMES), judge.card.gain, rate)
    decoded = (samples * 32767).astype("<i2").astype(np.float32) / 32768
    windows = [window for start in range(0, len(decoded), 1000) for window in epoch.feed(decoded[start : start + 1000])]
    windows += epoch.finish()
    assert judge.judge(windows) == [answer.verdict for answer in timeline.answers]
    assert [(w.first_sample, w.level_dbfs, w.gain_db) for w in windows] == [
        (a.window.first_sample, a.window.level_dbfs, a.window.gain_db) for a in timeline.answers
    ]
    assert (windows[-1].gain_db > 20) == (volume < 1)


def test_damage_is_counted_and_told(judge: Classifier, tmp_path: Path) -> None:
    """What could not be decoded is left out of a file, counted in its JSON and told in its line."""
    path = encode(tmp_path / "x.m4a", music(5.0, 48000), 48000, "aac")
    content = bytearray(path.read_bytes())
    content[20_000:23_000] = np.random.default_rng(0).bytes(3000)
    path.write_bytes(content)
    timeline = listen_to(path, judge)
    pieces = as_record(timeline)["undecoded"]
    assert pieces > 0
    assert timeline.answers
    assert f"{pieces} damaged piece" in as_text(timeline).splitlines()[-1]


def test_overall_is_the_mean(judge: Classifier, wav: Path) -> None:
    """The genre of a file is that of its mean probabilities."""
    timeline = listen_to(wav, judge)
    tables = [list((answer.verdict.probabilities or {}).values()) for answer in timeline.answers]
    mean = np.mean(tables, axis=0)
    assert list((timeline.overall.probabilities or {}).values()) == pytest.approx(mean.tolist())
    assert timeline.overall.label == LABELS[mean.argmax()]


@pytest.mark.parametrize("hop", [1, 7, 80, 1000])
def test_hops(judge: Classifier, wav: Path, hop: int) -> None:
    """--hop sets how many frames lie between two answers, and changes no answer."""
    timeline = listen_to(wav, judge, hop)
    assert len(timeline.answers) == int((10.0 - WINDOW_S) / (hop * HOP / RATE)) + 1
    assert timeline.answers[0].verdict.label == listen_to(wav, judge).answers[0].verdict.label


def test_many_windows_keep_no_frames(judge: Classifier, wav: Path) -> None:
    """An answer does not hold the frames it was made from: hours of audio fit into memory."""
    timeline = listen_to(wav, judge, hop_frames=1)
    assert len(timeline.answers) > 300
    assert sum(answer.window.mfcc.nbytes for answer in timeline.answers) == 0


def test_progress_is_told(judge: Classifier, wav: Path) -> None:
    """Whoever waits is told how much has been heard, up to the end."""
    heard: list[float] = []
    listen_to(wav, judge, progress=heard.append)
    assert heard == sorted(heard)
    assert heard[-1] == 10.0


def test_what_is_heard_through_something_is_judged_as_it_sounds_then(
    judge: Classifier, wav: Path, tmp_path: Path
) -> None:
    """Every piece passes it, on the way from the decoder to the daemon's own path: as a file of the changed sound."""

    def halved(pieces: Iterator[Piece]) -> Iterator[Piece]:
        return (Piece(piece.rate_hz, piece.kept[::2]) for piece in pieces)

    changed = np.concatenate([piece.block[::2, 0] for piece in decode(wav)])
    through = listen_to(wav, judge, through=halved)
    itself = listen_to(raw_wav(tmp_path / "changed.wav", changed, RATE, FLOAT), judge)
    heard, read = ([(a.start_s, a.end_s, a.verdict) for a in one.answers] for one in (through, itself))
    assert heard == read
    assert (through.path, through.seconds) == (wav, itself.seconds)
    assert through.answers[0].verdict != listen_to(wav, judge).answers[0].verdict


@pytest.mark.parametrize(
    ("seconds", "reason"), [(0.001, "too-short"), (1.0, "too-short"), (WINDOW_S - 0.001, "too-short")]
)
def test_too_short(judge: Classifier, tmp_path: Path, seconds: float, reason: str) -> None:
    """A file shorter than the window is told so, and how long it is; that is an answer, not an error."""
    timeline = listen_to(write_wav(tmp_path / "x.wav", music(seconds)), judge)
    assert (timeline.answers, timeline.overall.reason) == ([], reason)
    assert timeline.seconds == pytest.approx(seconds, abs=1e-4)


def test_as_long_as_the_window(judge: Classifier, tmp_path: Path) -> None:
    """A file of exactly one window has exactly one answer."""
    samples = music(3.0)[: (SMALL_WINDOW - 1) * HOP + N_FFT]
    assert len(listen_to(write_wav(tmp_path / "x.wav", samples), judge).answers) == 1


@pytest.mark.parametrize("level", [0.0, 1e-4])
def test_silence(judge: Classifier, tmp_path: Path, level: float) -> None:
    """Silence, digital or not, is an answer for every window and for all of them."""
    samples = level * np.random.default_rng(0).normal(size=6 * RATE).astype(np.float32)
    timeline = listen_to(write_wav(tmp_path / "x.wav", samples), judge)
    assert {answer.verdict.reason for answer in timeline.answers} == {"silence"}
    assert timeline.overall.reason == "silence"
    assert timeline.overall.label is None


def test_silence_and_music(judge: Classifier, tmp_path: Path) -> None:
    """A pause has no part in the genre of a file."""
    samples = np.concatenate([music(4.0), np.zeros(6 * RATE, np.float32)])
    timeline = listen_to(write_wav(tmp_path / "x.wav", samples), judge)
    reasons = [answer.verdict.reason for answer in timeline.answers]
    assert reasons[0] is None
    assert reasons[-1] == "silence"
    tables = [list(a.verdict.probabilities.values()) for a in timeline.answers if a.verdict.probabilities]
    assert list((timeline.overall.probabilities or {}).values()) == pytest.approx(np.mean(tables, axis=0).tolist())


def test_a_model_without_answers(tmp_path: Path, wav: Path) -> None:
    """A model without a usable answer to any window is unsure: the file is called neither short nor silent."""
    timeline = listen_to(wav, Classifier(make_model(tmp_path / "m.onnx", softmax=False), "cpu"))
    assert (timeline.overall.reason, timeline.answers) == ("unsure", [])
    assert timeline.failed == int((10.0 - WINDOW_S) / STEP_S) + 1


def test_a_rate_that_changes(judge: Classifier, tmp_path: Path) -> None:
    """Two songs of different rates in one file are two epochs; times go on."""
    parts = [encode(tmp_path / f"{rate}.mp3", music(4.0, rate), rate, "libmp3lame") for rate in (48000, 32000)]
    path = tmp_path / "both.mp3"
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    timeline = listen_to(path, judge)
    starts = [answer.start_s for answer in timeline.answers]
    assert starts == sorted(starts)
    assert timeline.seconds == pytest.approx(8.0, abs=0.2)
    assert [a.window.number for a in timeline.answers] == [0, 1, 2, 0, 1, 2]
    assert starts[3] == pytest.approx(4.0, abs=0.1)


@pytest.mark.gtzan
def test_real_music(gtzan: Path) -> None:
    """The model that comes with genred hears a real recording: an answer each hop, with probabilities that sum to 1."""
    default = Classifier(find_model(), "cpu")
    timeline = listen_to(gtzan / "audio" / "metal" / "metal.00001.ogg", default)
    assert len(timeline.answers) >= 5
    for verdict in (timeline.overall, *(answer.verdict for answer in timeline.answers)):
        assert sum((verdict.probabilities or {}).values()) == pytest.approx(1.0)


def shy_model(path: Path) -> Path:
    """A model that is never sure enough."""
    return make_model(path, horizons=(Horizon(SMALL_WINDOW, unsure_below=1.0),))


def test_unsure(tmp_path: Path, wav: Path) -> None:
    """Where no label is probable enough the answer is unsure, in text and JSON with what it hesitates between."""
    timeline = listen_to(wav, Classifier(shy_model(tmp_path / "shy.onnx"), "cpu"))
    assert {answer.verdict.reason for answer in timeline.answers} == {"unsure"}
    assert timeline.overall.reason == "unsure"
    record = as_record(timeline)["overall"]
    assert set(record) == {"probabilities", "reason"}
    best, share = max(record["probabilities"].items(), key=lambda item: item[1])
    assert f": unsure: {best} {share:.0%}  " in as_text(timeline).splitlines()[-1]


# Before there is a full window


@pytest.fixture(scope="session")
def early(early_model: Path) -> Classifier:
    return Classifier(early_model, "cpu")


def seconds(frames: int) -> float:
    return ((frames - 1) * HOP + N_FFT) / RATE


def test_the_timeline_begins_at_the_first_horizon(early: Classifier, wav: Path) -> None:
    """Windows grow from the file's beginning, a hop at a time, and then move; the full ones are those of any model."""
    timeline = listen_to(wav, early, 16)
    places = [(a.window.first_sample // HOP, round((a.end_s * RATE - N_FFT) / HOP) + 1) for a in timeline.answers]
    assert places[:7] == [(0, EARLY), (0, 32), (0, 48), (0, 64), (0, 80), (16, 96), (32, 112)]
    assert [end - begin for begin, end in places[4:]] == [SMALL_WINDOW] * (len(places) - 4)
    assert timeline.answers[0].end_s == pytest.approx(seconds(EARLY))
    assert timeline.answers[0].verdict.label in LABELS


@pytest.mark.parametrize(
    ("frames", "windows", "reason"), [(EARLY, 0, "too-short"), (EARLY, 1, None), (SMALL_WINDOW, 3, None)]
)
def test_a_file_as_long_as_a_horizon(
    early: Classifier, tmp_path: Path, frames: int, windows: int, reason: str | None
) -> None:
    """What is a sample shorter than the first horizon is too short; what is as long has an answer."""
    length = (frames - 1) * HOP + N_FFT - (1 if reason else 0)
    timeline = listen_to(write_wav(tmp_path / "x.wav", music(4.0)[:length]), early)
    assert (len(timeline.answers), timeline.overall.reason) == (windows, reason)


def test_overall_is_the_mean_of_full_windows(early: Classifier, wav: Path) -> None:
    """Windows that still grow have no part in the genre of a file that has full ones."""
    timeline = listen_to(wav, early, 8)
    full = [a.verdict.probabilities for a in timeline.answers if a.end_s - a.start_s == pytest.approx(WINDOW_S)]
    assert 1 < len(full) < len(timeline.answers) - 3
    mean = np.mean([list((table or {}).values()) for table in full], axis=0)
    assert list((timeline.overall.probabilities or {}).values()) == pytest.approx(mean.tolist())
    assert timeline.overall.reason == ("unsure" if mean.max() < 0.6 else None)


def test_overall_without_a_full_window_is_the_longest(early: Classifier, tmp_path: Path) -> None:
    """A file that has no full window has the answer of its longest one, as that one's horizon judges it."""
    timeline = listen_to(write_wav(tmp_path / "x.wav", music(seconds(70))), early, 16)
    assert [round(a.end_s, 3) for a in timeline.answers] == [round(seconds(n), 3) for n in (EARLY, 32, 48, 64)]
    assert timeline.overall == timeline.answers[-1].verdict
    assert timeline.overall.label is not None


def test_overall_of_music_that_ends_before_a_window_is_full(early: Classifier, tmp_path: Path) -> None:
    """If all full windows are silent, and some that were growing were not, the longest of these tells the genre."""
    samples = np.concatenate([music(1.0), np.zeros(5 * RATE, np.float32)])
    timeline = listen_to(write_wav(tmp_path / "x.wav", samples), early, 8)
    sounding = [a for a in timeline.answers if a.verdict.reason != "silence"]
    assert 0 < len(sounding) < len(timeline.answers)
    assert sounding[-1].end_s < WINDOW_S
    assert timeline.overall == sounding[-1].verdict


def test_horizons_in_a_new_epoch(early: Classifier, tmp_path: Path) -> None:
    """After a change of rate the windows grow again; the genre is that of the full windows of both parts."""
    parts = [encode(tmp_path / f"{rate}.mp3", music(4.0, rate), rate, "libmp3lame") for rate in (48000, 32000)]
    path = tmp_path / "both.mp3"
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    timeline = listen_to(path, early)
    lengths = [round((a.end_s - a.start_s) * RATE - N_FFT) // HOP + 1 for a in timeline.answers]
    assert lengths == [EARLY, 40, 80, 80, 80] * 2
    full = [a.verdict.probabilities for a, n in zip(timeline.answers, lengths, strict=True) if n == 80]
    mean = np.mean([list((table or {}).values()) for table in full], axis=0)
    assert list((timeline.overall.probabilities or {}).values()) == pytest.approx(mean.tolist())


# The command


@dataclass(frozen=True)
class Run:
    """How ``genred classify`` went."""

    code: int
    out: list[str]
    err: list[str]


@pytest.fixture
def classify(small_model: Path) -> Callable[..., Run]:
    def run(*arguments: str | Path, model: Path = small_model, **options: Any) -> Run:
        done = genred("classify", "--model", model, *arguments, **options)
        assert "Traceback" not in done.stdout + done.stderr
        return Run(done.returncode, done.stdout.splitlines(), done.stderr.splitlines())

    return run


@pytest.fixture
def classify_here(small_model: Path) -> Callable[..., Run]:
    """The same within this process: quicker."""

    def run(*arguments: str | Path, model: str | Path = small_model) -> Run:
        words = ["classify", "--model", model, *arguments]
        done = CliRunner().invoke(main, [str(word) for word in words], catch_exceptions=False)
        return Run(done.exit_code, done.stdout.splitlines(), done.stderr.splitlines())

    return run


def test_a_song(classify: Callable[..., Run], wav: Path) -> None:
    """A line for each answer, a line for the file, and how fast it went on what, which goes to stderr."""
    run = classify(wav)
    assert run.code == 0
    assert len(run.out) == int((10.0 - WINDOW_S) / STEP_S) + 2
    assert run.out[0].startswith("00:00.0-00:01.9  ")
    assert run.out[-1].startswith(f"{wav}: ")
    assert run.out[-1].endswith("(10.0 s)")
    (speed,) = run.err
    assert speed.startswith("10 s of audio in ")
    assert " times real time on cpu" in speed


def bad_files(folder: Path) -> dict[str, Path]:
    """Files that cannot be judged."""
    good = write_wav(folder / "good.wav", music(3.0)).read_bytes()
    contents = {
        "empty.mp3": b"",
        "header.wav": good[:44],
        "half-header.wav": good[:20],
        "text.mp3": b"# Not music\n" * 500,
        "zeros.wav": bytes(5000),
        "noise.mp3": np.random.default_rng(0).bytes(50_000),
    }
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    os.mkfifo(folder / "fifo.wav")
    video(folder / "video.mp4")
    names = [*contents, "fifo.wav", "video.mp4", "missing.wav", "good.wav/beyond.wav", "a" * 300, "*.flac", "**x"]
    return {name[:20]: folder / name for name in names}


BAD = ["missing.wav", "empty.mp3", "header.wav", "text.mp3", "video.mp4"]
BAD_TOO = ["half-header.wav", "zeros.wav", "noise.mp3", "fifo.wav", "good.wav/beyond.wav", 20 * "a", "*.flac", "**x"]


@pytest.mark.parametrize("name", BAD)
def test_a_file_that_cannot_be_judged(classify: Callable[..., Run], tmp_path: Path, name: str) -> None:
    """Exit code 2 and one line that names the file."""
    path = bad_files(tmp_path)[name]
    refused(classify(path), path)


@pytest.mark.parametrize("name", BAD_TOO)
def test_other_files_that_cannot_be_judged(classify_here: Callable[..., Run], tmp_path: Path, name: str) -> None:
    """So for stranger ones."""
    path = bad_files(tmp_path)[name]
    refused(classify_here(path), path)


def refused(run: Run, path: Path) -> None:
    assert (run.code, run.out) == (2, [])
    (line,) = run.err
    assert line.startswith("genred: ")
    assert str(path) in line


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read(classify: Callable[..., Run], wav: Path) -> None:
    """So for a file without permission."""
    wav.chmod(0)
    run = classify(wav)
    assert run.code == 2
    assert run.err == [f"genred: cannot read {wav}: Permission denied"]


def test_an_empty_folder(classify_here: Callable[..., Run], tmp_path: Path) -> None:
    """A folder without audio is told so."""
    run = classify_here(tmp_path)
    assert run.code == 2
    assert run.err == [f"genred: no audio files in {tmp_path}"]


def test_bad_files_among_good_ones(classify: Callable[..., Run], tmp_path: Path, wav: Path) -> None:
    """The good ones are judged, each bad one is a line, and at the end comes how many; exit code 1."""
    files = bad_files(tmp_path)
    run = classify(wav, files["empty.mp3"], tmp_path / "good.wav", files["text.mp3"])
    assert run.code == 1
    assert [line.partition(": ")[0] for line in run.out if line.endswith(" s)")] == [str(wav), f"{tmp_path}/good.wav"]
    told = [line for line in run.err if line.startswith("genred: ")]
    assert len(told) == 3
    assert "empty.mp3" in told[0]
    assert "text.mp3" in told[1]
    assert told[2] == "genred: 2 of 4 files could not be judged"


def _missing(path: Path) -> Path:
    return path


def _truncated(path: Path) -> Path:
    path.write_bytes(make_model(path).read_bytes()[:400])
    return path


def _cardless(path: Path) -> Path:
    return make_model(path, card=False)


def _of_another_shape(path: Path) -> Path:
    return make_model(path, outputs=7)


def _external(path: Path) -> Path:
    onnx.save(onnx.load(make_model(path)), path, save_as_external_data=True, location="weights.bin", size_threshold=0)
    return path


@pytest.mark.parametrize("make", [_missing, _truncated, _cardless, _of_another_shape, _external])
def test_a_model_that_cannot_be_used(
    classify: Callable[..., Run], tmp_path: Path, wav: Path, make: Callable[[Path], Path]
) -> None:
    """Exit code 2 and one line that names the model, before anything is judged."""
    path = make(tmp_path / "model.onnx")
    run = classify(wav, model=path)
    assert (run.code, run.out) == (2, [])
    (line,) = run.err
    assert line.startswith("genred: ")
    assert str(path) in line


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--colour"], "--colour"),
        (["--hop", "0"], "--hop"),
        (["--hop", "many"], "--hop"),
        (["--provider", "tpu"], "--provider"),
        ([], "FILE"),
    ],
)
def test_options_that_make_no_sense(classify: Callable[..., Run], wav: Path, words: list[str], says: str) -> None:
    """Exit code 2, and what is wrong; the usage with it."""
    run = classify(*([wav] if words else []), *words)
    assert run.code == 2
    assert says in run.err[-1]


def test_short_and_silent_files(classify_here: Callable[..., Run], tmp_path: Path) -> None:
    """Neither is an error: the answer says why there is no genre."""
    short = write_wav(tmp_path / "short.wav", music(1.0))
    silent = write_wav(tmp_path / "silent.wav", np.zeros(6 * RATE, np.float32))
    run = classify_here(short, silent)
    assert run.code == 0
    assert run.out[0] == f"{short}: too-short  (1.0 s)"
    assert run.out[-1] == f"{silent}: silence  (6.0 s)"


def test_what_is_odd_is_remarked(classify_here: Callable[..., Run], tmp_path: Path) -> None:
    """Samples that are no numbers are counted, and a rate too low for the model is told; both files are judged."""
    samples = music(5.0)
    samples[[3, 1000, 50_000]] = [np.nan, np.inf, -np.inf]
    odd = raw_wav(tmp_path / "odd.wav", samples.astype("<f4"), RATE, FLOAT)
    narrow = write_wav(tmp_path / "phone.wav", music(5.0, 8000), 8000)
    run = classify_here(odd, narrow)
    assert run.code == 0
    told = [line for line in run.out if line.startswith(str(tmp_path))]
    assert told[0].endswith("(5.0 s, 3 samples were not numbers)")
    assert told[1].endswith("(5.0 s, narrow-band)")
    assert len(run.out) == 2 * (int((5.0 - WINDOW_S) / STEP_S) + 2)


def test_eight_channels_at_192_khz(classify_here: Callable[..., Run], tmp_path: Path) -> None:
    """A studio's file is judged like any other."""
    table = np.repeat(music(2.2, 192_000)[:, None], 8, axis=1)
    run = classify_here(write_wav(tmp_path / "studio.wav", table, 192_000))
    assert run.code == 0
    assert run.out[-1].endswith("(2.2 s)")
    assert len(run.out) == 2


def test_folders_and_patterns(classify_here: Callable[..., Run], tmp_path: Path) -> None:
    """A folder is all audio in it, however deep, and a pattern what it matches; both in order."""
    for name in ("b.wav", "a.WAV", "deep/er/c.flac", "notes.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        if name.endswith(".flac"):
            encode(tmp_path / name, music(1.0), RATE, "flac")
        else:
            write_wav(tmp_path / name, music(1.0))
    run = classify_here(tmp_path)
    assert run.code == 0
    assert [Path(line.partition(":")[0]).name for line in run.out] == ["a.WAV", "b.wav", "c.flac"]
    run = classify_here(tmp_path / "?.[wW]*", tmp_path / "**" / "*.flac")
    assert [Path(line.partition(":")[0]).name for line in run.out] == ["a.WAV", "b.wav", "c.flac"]


@pytest.mark.parametrize(
    ("suffix", "codec"), [("wv", "wavpack"), ("tta", "tta"), ("caf", "pcm_s16be"), ("mp2", "mp2"), ("ac3", "ac3")]
)
def test_less_common_files_in_a_folder(
    classify_here: Callable[..., Run], tmp_path: Path, suffix: str, codec: str
) -> None:
    """A folder's audio is not only what everybody has: none of it is passed over in silence."""
    encode(tmp_path / f"x.{suffix}", music(1.0, 48000), 48000, codec)
    run = classify_here(tmp_path)
    assert run.code == 0
    assert f"x.{suffix}: too-short" in run.out[-1]


NAMES = [
    "a b.wav",
    "Füße 日本.wav",
    "a=b.wav",
    "what?.wav",
    "[x].wav",
    "100%25.wav",
    "a:b.wav",
    "file:x.wav",
    "#&;'.wav",
]


def test_paths_are_taken_literally(classify: Callable[..., Run], tmp_path: Path) -> None:
    """No character in a path means anything while there is a file of that name."""
    for name in NAMES:
        write_wav(tmp_path / name, music(0.5))
    run = classify(*NAMES, cwd=tmp_path)
    assert run.code == 0
    assert run.out == [f"{name}: too-short  (0.5 s)" for name in NAMES]


def test_names_cannot_deface_a_terminal(classify: Callable[..., Run], tmp_path: Path) -> None:
    """Escape sequences, line ends and bytes that are no text in a name are shown as what they are not."""
    folder = os.fsencode(tmp_path)
    names = [os.fsdecode(folder + b"/" + name) for name in (b"red\x1b[31m.wav", b"two\nlines.wav", b"caf\xe9.wav")]
    for name in names:
        write_wav(Path(name), music(0.5))
    run = classify(*names)
    assert run.code == 0
    assert [line.rpartition("/")[2] for line in run.out] == [
        f"{name}.wav: too-short  (0.5 s)" for name in ("red\ufffd[31m", "two\ufffdlines", "caf\ufffd")
    ]
    for name in names:
        Path(name).write_bytes(b"")
    run = classify(*names)
    assert len(run.err) == 4


def test_json(classify_here: Callable[..., Run], tmp_path: Path, wav: Path) -> None:
    """--json is one object a file, and nothing else on stdout; what does not apply is left out."""
    narrow = write_wav(tmp_path / "short.wav", music(0.5, 8000), 8000)
    run = classify_here("--json", wav, narrow)
    song, short = map(json.loads, run.out)
    assert song["path"] == str(wav)
    assert song["seconds"] == 10.0
    assert song["overall"]["label"] in LABELS
    assert sum(song["overall"]["probabilities"].values()) == pytest.approx(1.0)
    assert len(song["timeline"]) == int((10.0 - WINDOW_S) / STEP_S) + 1
    assert song["timeline"][1]["start_s"] == pytest.approx(STEP_S, abs=1e-3)
    assert song["timeline"][1]["first_sample"] == HOP_FRAMES * HOP
    assert "narrow_band" not in song
    assert (short["overall"], short["timeline"], short["narrow_band"]) == ({"reason": "too-short"}, [], True)
    assert "null" not in "".join(run.out)


def test_plot(classify: Callable[..., Run], tmp_path: Path) -> None:
    """--plot writes a picture, whatever the file is called, and says nothing of letters that the font lacks."""
    song = write_wav(tmp_path / "$x^$ 日本.wav", music(4.0))
    run = classify("--plot", tmp_path / "out.png", song)
    assert run.code == 0
    assert len(run.err) == 1
    assert (tmp_path / "out.png").read_bytes().startswith(b"\x89PNG\r\n\x1a\n")


def test_a_plot_of_what_is_unsure(classify_here: Callable[..., Run], tmp_path: Path, wav: Path) -> None:
    """An unsure answer has its probabilities: they are drawn."""
    run = classify_here("--plot", tmp_path / "out.png", wav, model=shy_model(tmp_path / "shy.onnx"))
    assert run.code == 0
    assert ": unsure: " in run.out[-1]
    assert (tmp_path / "out.png").read_bytes().startswith(b"\x89PNG")


def test_a_model_by_name(classify_here: Callable[..., Run], tmp_path: Path) -> None:
    """--model takes the name of a model that comes with genred: its own answers 10 s of sound, the paper's does not."""
    path = write_wav(tmp_path / "x.wav", music(10.0))
    own, papers = (classify_here(path, model=name) for name in ("genred", "crnn"))
    assert (own.code, papers.code) == (0, 0)
    assert own.out[0].startswith("00:00.0-00:03.0  ")
    assert papers.out == [f"{path}: too-short  (10.0 s)"]


def test_plots_that_cannot_be(classify_here: Callable[..., Run], tmp_path: Path, wav: Path) -> None:
    """A plot of two files, or in a folder that is not there, is refused before anything is judged."""
    for words, says in (([wav, wav], "2 are named"), ([wav], "no folder")):
        folder = tmp_path if len(words) == 2 else tmp_path / "nowhere"
        run = classify_here("--plot", folder / "out.png", *words)
        assert (run.code, run.out) == (2, [])
        (line,) = run.err
        assert says in line


def test_a_plot_of_silence(classify_here: Callable[..., Run], tmp_path: Path) -> None:
    """Of a file without a single genre nothing is drawn, and one line says so."""
    run = classify_here("--plot", tmp_path / "out.png", write_wav(tmp_path / "x.wav", music(0.5)))
    assert run.code == 0
    assert run.err[0] == f"genred: no plot, because no window of {tmp_path / 'x.wav'} has a genre"
    assert not (tmp_path / "out.png").exists()


@pytest.mark.parametrize(
    ("plot", "says"), [("out.xyz", ".png"), ("out", ".png"), (".", "is a folder"), ("/dev/full", "device")]
)
def test_plots_that_have_no_format(classify_here: Callable[..., Run], wav: Path, plot: str, says: str) -> None:
    """A plot whose name says no format that can be drawn, or that is no file, is refused at once."""
    run = classify_here("--plot", plot, wav)
    assert (run.code, run.out) == (2, [])
    assert says in run.err[0]


def test_nothing_among_files(classify_here: Callable[..., Run], tmp_path: Path, wav: Path) -> None:
    """An empty folder, pattern or name among others is counted, the rest is judged; an empty name alone is refused."""
    (tmp_path / "void").mkdir()
    run = classify_here(wav, tmp_path / "void", tmp_path / "*.flac", "")
    assert run.code == 1
    assert run.out[-1].startswith(f"{wav}: ")
    assert run.err[-1] == "genred: 3 of 4 files could not be judged"
    run = classify_here("")
    assert (run.code, run.err) == (2, ["genred: the name of a file is empty"])


def test_json_is_unicode(classify_here: Callable[..., Run], tmp_path: Path) -> None:
    """Bytes in a name that are no text are replaced in JSON: lone surrogates would be no valid string."""
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.wav"))
    run = classify_here("--json", write_wav(path, music(0.5)))
    assert json.loads(run.out[0])["path"] == f"{tmp_path}/caf?.wav"


def test_no_usable_answer_is_a_failure(tmp_path: Path, wav: Path) -> None:
    """A file to which the model has no usable answer at all ends with 1."""
    model = make_model(tmp_path / "m.onnx", softmax=False)
    assert CliRunner().invoke(main, ["classify", "--model", str(model), str(wav)]).exit_code == 1


def test_records_and_texts_say_the_same(judge: Classifier, wav: Path) -> None:
    """Text and JSON are two forms of the same timeline."""
    timeline = listen_to(wav, judge)
    record, text = as_record(timeline), as_text(timeline)
    assert len(record["timeline"]) == len(text.splitlines()) - 1
    assert f"{record['overall']['label']} {record['overall']['confidence']:.0%}" in text.splitlines()[-1]


def test_a_file_that_vanishes(judge: Classifier, tmp_path: Path) -> None:
    """A file that is not there is an error of the source."""
    with pytest.raises(SourceError, match="no file"):
        listen_to(tmp_path / "x.wav", judge)


# Segments


def test_segments_of_a_file(judge: Classifier, wav: Path) -> None:
    """They tile what was judged, have their times in the file, and are in the record with mean probabilities."""
    timeline = listen_to(wav, judge)
    parts = timeline.parts
    assert parts[0].start_s == 0.0
    assert parts[-1].end_s == pytest.approx(timeline.answers[-1].end_s)
    assert all(one.end_s == pytest.approx(other.start_s) for one, other in pairwise(parts))
    assert sum(part.segment.windows for part in parts) == len(timeline.answers)
    (record, *_) = as_record(timeline)["segments"]
    assert (record["start_s"], record["label"]) == (0.0, parts[0].segment.label)
    assert sum(record["probabilities"].values()) == pytest.approx(1.0)
    assert record["confidence"] == record["probabilities"][record["label"]]
    assert "reason" not in record


def test_segments_do_not_reach_over_epochs(judge: Classifier, tmp_path: Path) -> None:
    """Where the rate changes one ends, and the next begins where that epoch does."""
    files = [encode(tmp_path / f"{rate}.mp3", music(4.0, rate), rate, "libmp3lame") for rate in (48000, 32000)]
    path = tmp_path / "both.mp3"
    path.write_bytes(b"".join(file.read_bytes() for file in files))
    parts = listen_to(path, judge).parts
    assert len(parts) == 2
    assert [part.segment.first_sample for part in parts] == [0, 0]
    assert parts[0].end_s <= parts[1].start_s == pytest.approx(4.0, abs=0.2)


def test_an_unsure_segment_has_no_label(tmp_path: Path, wav: Path) -> None:
    """It is in the record with its reason, as an answer is."""
    sure = Classifier(shy_model(tmp_path / "shy.onnx"), "cpu")
    records = as_record(listen_to(wav, sure))["segments"]
    assert [(record.get("label"), record["reason"]) for record in records] == [(None, "unsure")]
