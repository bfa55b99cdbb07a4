from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from genretrain import bootstrap, claims, draws, figures, gtzan, judge, report, rows
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
    return Judged(row, split, seed, "", {}, {"last": answered(right), "best": answered(right + 1)}, curve, touches=2)


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
    assert line[5:10] == ["65.0 to 75.0", "-2.0", "0, 1, 2", "2, 2, 2", "random"]
    low, high = map(float, line[4].split(" to "))
    assert 60 < low < 66
    assert 74 < high < 80
    assert line[10].startswith(
        "`for seed in 0 1 2; do genretrain fit train/configs/crnn-plain.toml --data GTZAN --split random"
    )
    assert row(written(results), "crnn-plain", "best")[3] == "75.0"


def test_what_the_paper_has_no_figure_for_is_not_compared(results):
    """A baseline, and any row on the filtered split."""
    lines = [line for line in written(results).splitlines() if line.startswith("| svm | best |")]
    assert [(cells[3], cells[7], cells[10]) for cells in ([c.strip() for c in li.split("|")] for li in lines)] == [
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
    """Ordering, stability, overfitting: each number is one of the results."""
    text = written(results)
    assert "Ours, last epoch: crnn-plain 70.0 %, cnn 50.0 %." in text
    assert row(text, "cnn", "test")[2:] == ["50.0", "70.0", "+20.0", "0.0"]
    assert row(text, "cnn", "90.0")[2:] == ["70.0", "+20.0", "1.00 (epoch 30)", "5.00"]
    assert "crnn-plain, cnn overfit" in text


def test_one_row_is_before_another_where_the_interval_says_so(results):
    """Seed 0, which both have: 65 % against 50 % of the same 200 tracks, each of the 30 for the one."""
    line = row(written(results), "crnn-plain before cnn")
    assert line[1].startswith("+15.0 (+10.")
    assert line[2] == "yes"


def test_mistakes_are_counted_in_both_directions():
    """Metal and rock are not neighbours in the list: none of these runs mixes them up; pop and reggae are."""
    said = claims.text({("cnn", "random"): [judged("cnn", right=10)]})
    assert row(said, "cnn", "0 of 20")[1:] == ["0 of 20", "0 of 20", "0 of 40"]
    assert row(said, "cnn", "0 of 40")[1:] == ["0 of 40", "0 of 40"]
    assert row(said, "cnn", "blues and classical 10; blues and rock 10; classical and country 10")


def test_pairs_that_the_paper_says_the_crnn_excels_at_are_compared(results):
    """Jazz answered with classical by the CNN alone."""
    cnn = judged("cnn", right=20)
    wrong = {name: "classical" for name in HELD_OUT if name in ("jazz.00000", "jazz.00001", "jazz.00002")}
    cnn.readings["last"].update(wrong)
    said = claims.text({("cnn", "random"): [cnn], ("crnn-plain", "random"): [judged("crnn-plain", right=20)]})
    assert row(said, "cnn", "3 of 40")[2] == "0 of 40"
    assert "Fewest are mixed up of classical and jazz by crnn-plain, of pop and rock by crnn-plain and cnn." in said


def test_looks_are_counted_with_those_whose_files_were_lost(results):
    """A baseline was judged once before; a network's curve is a look of its own."""
    text = written(results)
    assert all(li.split("|")[9].strip() == "2" for li in text.splitlines() if li.startswith("| svm | best |"))
    assert row(text, "cnn", "last")[8] == "2"
    assert "`crnn`, `svm`, `knn`, `forest` had been judged once before, and the files were lost" in text


def test_luck_is_the_same_for_all_rows_on_one_test_part():
    """Seeds of 65, 70 and 75 %: five points to either side, and validation parts of 60 % against 70 in the curve."""
    said = draws.luck({("cnn", "random"): [judged("cnn", seed, right=13 + seed) for seed in (0, 1, 2)]})
    assert "between 65.0 and 75.0 %, 10.0 points apart" in said
    assert "Seed 2 is the easiest for 1 of 1 rows." in said
    assert "validation parts of these seeds are harder than the test parts" in said
    assert "promises 60.0 % in the mean and keeps 75.0 % on test tracks" in said
    assert row(said, "2", "60.0")[2:] == ["70.0", "-10.0"]


def test_test_tracks_are_told_apart_by_what_training_has_of_them():
    """A repeat, an artist, nothing; of GTZAN's own first split."""
    split = gtzan.random_split(gtzan.TRACKS, 0)
    known = draws.known_from_training(split)
    artists = gtzan.artists()
    assert set(known) == set(split.test)
    assert set(known.values()) == set(draws.KNOWN)
    singing = {artists.get(track) for track in split.train}
    assert {artists[t] in singing for t, kind in known.items() if kind == "artist not in training"} == {False}
    right = {track: gtzan.genre_of(track) if kind == draws.KNOWN[0] else "" for track, kind in known.items()}
    said = draws.beside({("svm", "random"): [Judged("svm", "random", 0, split.held_out, {}, {"best": right})]})
    assert row(said, "svm")[1:] == ["100.0", "0.0", "0.0", "0.0"]


def test_the_confusion_matrix_counts_every_track_of_every_run():
    """Truth down, answer across."""
    counts = figures.confusion([judged("cnn", seed, right=15) for seed in (0, 1)], "last")
    assert counts.sum() == 400
    assert counts.diagonal().tolist() == [30] * 10
    assert counts[gtzan.GENRES.index("blues"), gtzan.GENRES.index("classical")] == 10


def test_an_interval_of_one_run_is_that_of_its_tracks():
    """sqrt(p (1 - p) / n) is 3.2 points for 70 % of 200: 1.96 of them to either side."""
    low, high = bootstrap.interval([0.7], [200])
    assert (low, high) == pytest.approx((0.7 - 0.0635, 0.7 + 0.0635), abs=0.006)


def test_seeds_that_agree_narrow_the_interval_and_seeds_that_differ_widen_it():
    """Tracks average out over seeds; what differs between seeds does not."""
    one, agreeing, differing = (
        np.diff(bootstrap.interval(shares, [200] * len(shares)))[0]
        for shares in ([0.7], [0.7, 0.7, 0.7], [0.5, 0.7, 0.9])
    )
    assert agreeing < one < differing


def test_a_report_of_nothing_says_so(tmp_path, monkeypatch, capsys):
    """The command writes it all the same, with every setting of the recipes."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "train").mkdir()
    main(["reproduce", "--report-only"])
    text = (tmp_path / "train" / "RESULTS.md").read_text()
    assert "No run has results yet." in text
    assert row(text, "epochs")[1:] == ["70", "70"]
    assert row(text, "network")[1:5] == ["crnn", "crnn", "cnn", "dnn"]
    assert row(text, "dnn", "the window as one vector, dense 512, 256 and 64 with dropout 0.5, 10")[2] == "10,388,938"
    assert "Not run: no audio yet." in text
    assert f"0 of {len(rows.jobs())} runs" in capsys.readouterr().out
