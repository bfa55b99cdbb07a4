from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from genretrain import claims, figures, gtzan, judge, report, rows
from genretrain.cli import main
from genretrain.judge import Judged

HELD_OUT = [f"{genre}.{i:05}" for genre in gtzan.GENRES for i in range(20)]


def answered(right: int) -> dict[str, str]:
    """Of each genre's 20 tracks the first `right` right, the others with the genre that follows in the list."""
    after = dict(zip(gtzan.GENRES, gtzan.GENRES[1:] + gtzan.GENRES[:1], strict=True))
    return {name: gtzan.genre_of(name) if int(name[-5:]) < right else after[gtzan.genre_of(name)] for name in HELD_OUT}


def judged(row: str, seed: int = 0, split: str = "random", right: int = 14) -> Judged:
    if row in rows.BASELINES:
        return Judged(row, split, seed, "", {}, {"best": answered(right)})
    curve = [
        {"epoch": e, "train_accuracy": 0.9, "valid_accuracy": 0.6, "valid_loss": 1 + abs(e - 30) / 10}
        | {"test_accuracy": 0.5 if e <= 50 else 0.7}
        for e in range(1, 71)
    ]
    return Judged(row, split, seed, "", {}, {"last": answered(right), "best": answered(right + 1)}, curve)


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """Three seeds of one network, one of another, and one baseline, which has both splits."""
    every = [judged("crnn-plain", seed, right=13 + seed) for seed in (0, 1, 2)]
    every += [judged("cnn", right=10), judged("svm"), judged("svm", split="filtered", right=8)]
    for one in every:
        judge.save(one, tmp_path / "runs" / f"{one.row}-{one.split}-{one.seed}.json")
    return tmp_path


def row(text: str, *cells: str) -> list[str]:
    """Cells of the table's line that begins with `cells`."""
    [line] = [line for line in text.splitlines() if line.startswith(f"| {' | '.join(cells)} |")]
    return [cell.strip() for cell in line.strip("|").split("|")]


def written(results: Path) -> str:
    report.write(results / "runs", results / "RESULTS.md", results / "figures")
    return (results / "RESULTS.md").read_text()


def test_a_line_has_the_papers_figure_ours_and_the_difference(results):
    """The mean over seeds, its interval, the spread of the seeds, and the commands that repeat it."""
    line = row(written(results), "crnn-plain", "last")
    assert line[2:4] == ["about 72", "70.0"]
    assert line[5:9] == ["65.0 to 75.0", "-2.0", "0, 1, 2", "random"]
    low, high = map(float, line[4].split(" to "))
    assert 60 < low < 66
    assert 74 < high < 80
    assert "genretrain fit train/configs/crnn-plain.toml --data GTZAN --split random --seed 0" in line[9]
    assert row(written(results), "crnn-plain", "best")[3] == "75.0"


def test_what_the_paper_has_no_figure_for_is_not_compared(results):
    """A baseline, and any row on the filtered split."""
    lines = [line for line in written(results).splitlines() if line.startswith("| svm | best |")]
    assert [(cells[3], cells[7], cells[9]) for cells in ([c.strip() for c in li.split("|")] for li in lines)] == [
        ("", "", "random"),
        ("", "", "filtered"),
    ]


def test_random_stands_beside_filtered(results):
    """With what the two sides of each share, which is why they differ."""
    text = written(results)
    assert row(text, "svm", "70.0")[2] == "40.0"
    assert row(text, "filtered")[1:3] == ["442, 197, 290", "0 of 59"]
    assert row(text, "filtered")[3].startswith("8 (Anthrax; Bob Marley; ")


def test_every_figure_is_a_picture_that_the_report_shows(results):
    """Curves of what has epochs, a confusion matrix of every row and split."""
    text = written(results)
    drawn = sorted(path.name for path in (results / "figures").iterdir())
    assert drawn == [
        "cnn-random-confusion.png",
        "cnn-random-curves.png",
        "crnn-plain-random-confusion.png",
        "crnn-plain-random-curves.png",
        "svm-filtered-confusion.png",
        "svm-random-confusion.png",
    ]
    assert all(f"](figures/{name})" in text for name in drawn)
    assert all((results / "figures" / name).read_bytes().startswith(b"\x89PNG") for name in drawn)


def test_the_papers_claims_stand_beside_our_numbers(results):
    """Ordering, confusions, stability, overfitting: each number is one of the results."""
    text = written(results)
    assert "Ours, last epoch: crnn-plain 70.0 %, cnn 50.0 %." in text
    assert "Test accuracy over the last 20 epochs is 70.0 % in the mean, and 50.0 % over the 20 before" in text
    assert "Ours ends at 90.0 % of the training crops and 50.0 % of the test tracks;" in text
    assert "the validation loss ends at 5.00, its lowest was 1.00" in text


def test_mistakes_are_counted_in_both_directions():
    """Metal and rock are not neighbours in the list: none of these runs mixes them up."""
    said = claims.text({("cnn", "random"): [judged("cnn", right=10)]})
    assert "Of 20 rock tracks 0 were answered with metal, of 20 metal tracks 0 with rock" in said
    assert "The pair mixed up most is blues and classical: 10." in said


def test_the_confusion_matrix_counts_every_track_of_every_run():
    """Truth down, answer across."""
    counts = figures.confusion([judged("cnn", seed, right=15) for seed in (0, 1)], "last")
    assert counts.sum() == 400
    assert counts.diagonal().tolist() == [30] * 10
    assert counts[gtzan.GENRES.index("blues"), gtzan.GENRES.index("classical")] == 10


def test_an_interval_of_one_run_is_that_of_its_tracks():
    """sqrt(p (1 - p) / n) is 3.2 points for 70 % of 200: 1.96 of them to either side."""
    low, high = report.interval([0.7], [200])
    assert (low, high) == pytest.approx((0.7 - 0.0635, 0.7 + 0.0635), abs=0.006)


def test_seeds_that_agree_narrow_the_interval_and_seeds_that_differ_widen_it():
    """Tracks average out over seeds; what differs between seeds does not."""
    one, agreeing, differing = (
        np.diff(report.interval(shares, [200] * len(shares)))[0] for shares in ([0.7], [0.7, 0.7, 0.7], [0.5, 0.7, 0.9])
    )
    assert agreeing < one < differing


def test_a_report_of_nothing_says_so(tmp_path, monkeypatch, capsys):
    """The command writes it all the same, with every setting of the recipes."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "train").mkdir()
    main(["reproduce", "--report-only"])
    text = (tmp_path / "train" / "RESULTS.md").read_text()
    assert "No run has results yet." in text
    assert row(text, "weight_decay")[1:] == ["0.02", "0.0", "0.0", "0.0"]
    assert f"0 of {len(rows.jobs())} runs" in capsys.readouterr().out
