from __future__ import annotations

import json
from pathlib import Path

import pytest

from genred.errors import BadInputError
from genretrain import ladder, recipe


def write_runs(folder: Path, *, left_out: str = "") -> None:
    """Finished runs of all steps; validation accuracy climbs to 0.8 in the last ten epochs, early answers to 0.7."""
    for number, step in enumerate(ladder.STEPS):
        for split, seed in ladder.PARTS:
            name = f"{step}-{split}-{seed}"
            if name == left_out:
                continue
            rows = [{"valid_accuracy": 0.2}] * 5 + [{"valid_accuracy": 0.8}] * 10
            if number:
                rows = [{**row, "valid_accuracy_128": 0.6, "valid_accuracy_216": 0.7} for row in rows]
            (folder / name).mkdir(parents=True)
            (folder / name / "epochs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def test_a_step_is_told_by_its_last_epochs(tmp_path):
    """The mean over ten epochs, at the whole window and after 3 and 5 s where the run knows them."""
    write_runs(tmp_path)
    ladder.collect(tmp_path, tmp_path / "ladder.json")
    lines = [line for line in ladder.text(tmp_path / "ladder.json").splitlines() if ".toml" in line]
    assert len(lines) == len(ladder.STEPS)
    assert lines[0].endswith("| 15 | 80.0 | 80.0 | 80.0 | 80.0 |  |  |")
    assert lines[1].endswith("| 15 | 80.0 | 80.0 | 80.0 | 80.0 | 60.0 | 70.0 |")


def test_a_missing_run_is_named_with_its_command(tmp_path):
    """A ladder with a rung out is no ladder."""
    write_runs(tmp_path, left_out="ladder-4-masks-filtered-0")
    with pytest.raises(BadInputError, match=r"ladder-4-masks\.toml --split filtered --seed 0"):
        ladder.collect(tmp_path, tmp_path / "ladder.json")


def test_every_step_has_its_recipe():
    """What the ladder names can be trained again."""
    for step in ladder.STEPS:
        assert recipe.read(Path("train/configs") / f"{step}.toml").seed == 0
