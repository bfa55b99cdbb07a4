"""Setups that are made at the start and at a reload."""

from __future__ import annotations

import os
from pathlib import Path

from genred.config import Config, StationConfig, Thresholds
from genred.setup import MANY_STATIONS, load_model
from test_rolling import NETS


def config(model: Path, stations: int = 1, **settings: int) -> Config:
    entries = tuple(StationConfig(name=f"s{number}", uri="demo:") for number in range(stations))
    return Config(station=entries, model=str(model), provider="cpu", **settings)  # type: ignore[arg-type]


def test_stations_take_turns_within_a_hop(tmp_path: Path) -> None:
    """Each begins its windows a step of the model later than the one before; after a hop it is the first's turn."""
    path = NETS["like the paper's"].write(tmp_path / "net.onnx", 96)
    for hop, phases in ((24, [0, 8, 16, 0]), (8, [0, 0, 0, 0])):
        model = load_model(config(path, hop=hop))
        made = [model.epochs(turn)(22050, None, Thresholds()).geometry.phase_frames for turn in range(4)]
        assert made == phases


def test_threads_that_pay(tmp_path: Path) -> None:
    """One for few stations, every core for many, or what is asked for; another number is another classifier."""
    path, cores = NETS["like the paper's"].write(tmp_path / "net.onnx", 96), len(os.sched_getaffinity(0))
    few = load_model(config(path))
    many, asked = load_model(config(path, MANY_STATIONS), few), load_model(config(path, threads=3), few)
    assert [model.classifier._threads for model in (few, many, asked)] == [1, cores, 3]
    assert load_model(config(path, MANY_STATIONS - 1), few) is few
    assert load_model(config(path, MANY_STATIONS, threads=3), asked) is asked
