"""Rows of the comparison: what is trained, on which splits and seeds, by which commands."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from pathlib import Path

NETWORKS = ("crnn", "crnn-plain", "cnn", "dnn")  # recipes in train/configs
BASELINES = ("svm", "knn", "forest")
ALL = (*NETWORKS, *BASELINES)
SEEDS = {"random": (0, 1, 2), "filtered": (0,)}  # the filtered split is one; a seed there is of the initialisation
RUNS = Path("runs")
# Runs that were trained and judged before those whose results are here, whose files were lost; and, of `crnn`, a curve.
LOST_LOOKS = {"crnn": 2, "svm": 1, "knn": 1, "forest": 1}


@dataclass(frozen=True)
class Job:
    """One training and its judgement."""

    row: str
    split: str
    seed: int | str  # or what a shell puts there

    @property
    def name(self) -> str:
        """Name of the run, its log and its results."""
        return f"{self.row}-{self.split}-{self.seed}"

    def commands(self, data: str = "GTZAN", device: str = "cpu") -> list[list[str]]:
        """Arguments of genretrain, of each command in its turn."""
        drawn = ["--data", data, "--split", self.split, "--seed", str(self.seed)]
        if self.row in BASELINES:
            return [["baseline", self.row, *drawn]]
        where = [] if device == "cpu" else ["--device", device]
        fit = ["fit", f"train/configs/{self.row}.toml", *drawn, *where]
        return [fit, ["evaluate", str(RUNS / self.name), "--data", data]]


def jobs() -> list[Job]:
    """All runs: the quick ones first, and a seed of every row before the next seed."""
    drawn = [(split, seed) for split, seeds in SEEDS.items() for seed in seeds]
    return [
        *(Job(row, *one) for one, row in product(drawn, BASELINES)),
        *(Job(row, *one) for one, row in product(drawn, NETWORKS)),
    ]
