from __future__ import annotations

from pathlib import Path

import pytest

import tiny_gtzan
from conftest import music, write_wav
from genred.errors import BadInputError, GenredError
from genretrain import gtzan, judge, pace, reproduce, rows
from genretrain.cli import _parser
from genretrain.judge import Judged
from genretrain.rows import Job


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small GTZAN, in a folder of its own to work in."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "train").mkdir()
    return tiny_gtzan.write(tmp_path / "data")


class Trainer:
    """In place of the commands: leaves results at once, but for rows that it is to fail with."""

    def __init__(self, failing: str = "") -> None:
        self.failing, self.seen = failing, []

    def __call__(self, name: str, typed: list[list[str]]) -> str:
        self.seen.append(name)
        self.typed = typed
        if name == "ablation":
            return ""
        [job] = [job for job in rows.jobs() if job.name == name]
        if job.row == self.failing:
            return "no space left"
        reading = "best" if job.row in rows.BASELINES else "last"
        readings = {reading: {"jazz.00001": "jazz"}, "best": {"jazz.00001": "jazz"}}
        judge.save(Judged(job.row, job.split, job.seed, "", {}, readings), judge.RESULTS / f"{job.name}.json")
        return ""


def test_every_row_has_three_seeds_on_random_and_one_on_filtered():
    """The same splits for all, and no run twice."""
    jobs = rows.jobs()
    assert len({job.name for job in jobs}) == len(jobs) == 28
    for row in (*rows.NETWORKS, *rows.BASELINES):
        assert [(j.split, j.seed) for j in jobs if j.row == row] == [
            *(("random", seed) for seed in (0, 1, 2)),
            ("filtered", 0),
        ]


def test_every_command_is_one_that_genretrain_takes():
    """Parsed as typed; fit leaves its run where evaluate looks for it."""
    for job in rows.jobs():
        *first, last = (_parser().parse_args(arguments) for arguments in job.commands("GTZAN", "cuda"))
        for fit in first:
            assert (fit.split, fit.seed, fit.device) == (job.split, job.seed, "cuda")
            assert (Path(__file__).parents[1] / fit.recipe).exists()
            assert last.model == Path("runs") / f"{fit.recipe.stem}-{fit.split}-{fit.seed}"
        assert last.data == Path("GTZAN")


def test_what_has_results_is_not_run_again(data):
    """The same command does what is left, and then nothing."""
    judge.save(
        Judged("svm", "random", 0, "", {}, {"best": {"jazz.00001": "jazz"}}), judge.RESULTS / "svm-random-0.json"
    )
    first, second = Trainer(), Trainer()
    reproduce.reproduce(data, run=first)
    assert len(first.seen) == len(rows.jobs()) - 1
    reproduce.reproduce(data, run=second)
    assert second.seen == []


def test_one_failure_keeps_nothing_else_from_running(data):
    """The sentence names the runs that failed and why; the report has the others; again, only those are run."""
    with pytest.raises(GenredError, match=r"4 of 28 runs failed: dnn-random-0 \(no space left\); "):
        reproduce.reproduce(data, run=Trainer("dnn"))
    text = Path("train/RESULTS.md").read_text()
    assert "| cnn | last |" in text
    assert "| dnn | last |" not in text
    again = Trainer()
    reproduce.reproduce(data, run=again)
    assert set(again.seen) == {job.name for job in rows.jobs() if job.row == "dnn"}


def test_a_folder_without_gtzan_is_refused_before_anything_runs(data, tmp_path):
    """Not by 28 runs, one after the other."""
    trainer = Trainer()
    with pytest.raises(BadInputError, match="no GTZAN"):
        reproduce.reproduce(tmp_path / "empty", run=trainer)
    assert trainer.seen == []


def test_a_job_is_run_as_the_commands_that_one_would_type(data):
    """A baseline from the command line on; what it says is in its log, and its results are where the report looks."""
    job = Job("knn", "random", 1)
    Path("runs").mkdir()
    assert reproduce.commands(job.name, job.commands(str(data))) == ""
    assert judge.load(judge.RESULTS / "knn-random-1.json").row == "knn"
    assert "validation tracks" in Path("runs/knn-random-1.log").read_text()


def test_the_reason_of_a_failure_is_the_last_line_of_its_log(data, tmp_path):
    """Which is the sentence that genretrain ended with."""
    Path("runs").mkdir()
    reason = reproduce.commands("knn-random-0", Job("knn", "random", 0).commands(str(tmp_path / "empty")))
    assert reason.startswith("genretrain: no GTZAN in")


def test_the_ablation_is_run_where_there_is_audio_and_told_where_there_is_none(data, capsys):
    """Loudly: it is a row of the report, too."""
    without, with_audio, again = Trainer(), Trainer(), Trainer()
    reproduce.reproduce(data, run=without)
    assert "ablation" not in without.seen
    assert "NOT RUN: the ablation" in capsys.readouterr().err
    (data / "genres" / "jazz").mkdir(parents=True)
    write_wav(data / "genres" / "jazz" / "jazz.00001.wav", music(1.0))
    reproduce.reproduce(data, run=with_audio)
    assert with_audio.seen == ["ablation"]
    assert _parser().parse_args(with_audio.typed[0]).data == data
    reproduce.ABLATION.write_text("there")
    with pytest.raises(BadInputError, match="not a file of the ablation"):
        reproduce.reproduce(data, run=again)
    assert again.seen == []


def test_audio_alone_is_prepared_once(tmp_path, monkeypatch, capsys):
    """The rows are run on its log-mels, which a second start finds."""
    monkeypatch.chdir(tmp_path)
    for genre in gtzan.GENRES:
        (tmp_path / "GTZAN" / "genres" / genre).mkdir(parents=True)
        for i in range(10):
            write_wav(tmp_path / "GTZAN" / "genres" / genre / f"{genre}.{i:05}.wav", music(0.5, seed=i))
    first, second = Trainer("svm"), Trainer()
    with pytest.raises(GenredError):
        reproduce.reproduce(Path("GTZAN"), run=first)
    made = Path("data/gtzan/logmel/jazz.npz").stat().st_mtime_ns
    reproduce.reproduce(Path("GTZAN"), run=second)
    assert set(second.seen) == {*(job.name for job in rows.jobs() if job.row == "svm"), "ablation"}
    assert Path("data/gtzan/logmel/jazz.npz").stat().st_mtime_ns == made
    assert "data/gtzan" in capsys.readouterr().out


def test_time_left_is_that_of_the_epochs_left_at_the_pace_so_far(data):
    """Two runs of ten seconds an epoch, side by side; one has ended."""
    one, other = Job("cnn", "random", 0), Job("dnn", "random", 0)
    assert "0 of 2 runs, 0 of 140 epochs, time left unknown" in pace.line([one, other], {one.name, other.name}, 2)
    for job, epochs in ((one, 70), (other, 40)):
        (Path("runs") / job.name).mkdir(parents=True)
        noted = '{"tracks_per_second": 69.9}\n' * epochs + '{"tracks_per_sec'
        (Path("runs") / job.name / "epochs.jsonl").write_text(noted)
    assert "1 of 2 runs, 110 of 140 epochs, 5:00 left" in pace.line([one, other], {other.name}, 2)


def test_baselines_count_as_runs_and_have_no_epochs(data):
    """They take seconds."""
    assert "1 of 2 runs, 0 of 0 epochs" in pace.line(
        [Job("svm", "random", 0), Job("knn", "random", 0)], {"svm-random-0"}, 2
    )


def test_a_log_that_cannot_be_written_fails_one_run_only(data):
    """Its reason is a sentence among the others, not a traceback."""
    (Path("runs") / "knn-random-0.log").mkdir(parents=True)
    reason = reproduce.commands("knn-random-0", Job("knn", "random", 0).commands(str(data)))
    assert reason == "cannot write runs/knn-random-0.log: Is a directory"
