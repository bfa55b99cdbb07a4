from __future__ import annotations

from pathlib import Path

import pytest

import tiny_gtzan
from genred.errors import BadInputError, GenredError
from genretrain import judge, reproduce, rows
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

    def __call__(self, job: Job, _data: Path, _device: str) -> str:
        self.seen.append(job)
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
    assert {job.row for job in again.seen} == {"dnn"}


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
    assert reproduce.commands(job, data, "cpu") == ""
    assert judge.load(judge.RESULTS / "knn-random-1.json").row == "knn"
    assert "validation tracks" in Path("runs/knn-random-1.log").read_text()


def test_the_reason_of_a_failure_is_the_last_line_of_its_log(data, tmp_path):
    """Which is the sentence that genretrain ended with."""
    Path("runs").mkdir()
    reason = reproduce.commands(Job("knn", "random", 0), tmp_path / "empty", "cpu")
    assert reason.startswith("genretrain: no GTZAN in")
