"""A short soak of the real daemon: every kind of fault, and the report that a long one would write."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from conftest import genred
from genred.soak.plan import DECK
from genred.soak.report import Report


@pytest.mark.xdist_group("soak")
def test_a_soak_of_half_a_minute(tmp_path: Path, small_model: Path) -> None:
    """Nothing breaks, every kind of fault has happened, and every identity was checked."""
    path = tmp_path / "SOAK.md"
    arguments = ("--minutes", "0.4", "--stations", "6", "--seed", "1", "--model", small_model, "--report", path)
    run = genred("soak", *arguments, timeout_s=240)
    assert run.returncode == 0, run.stderr
    report = msgspec.json.decode(path.with_suffix(".json").read_bytes(), type=Report)
    assert report.state == "finished"
    assert (report.exit_code, report.failures, report.wrong_reloads) == (0, [], 0)
    assert {one.kind for one in report.faults} == set(DECK)
    assert report.audio_h > 0.05
    assert report.windows > 100
    for identity in ("expected = captured + lost", "due = published + skipped", "no hole in seq"):
        assert report.checked[identity] > 20
    assert len(report.samples) > 20
    assert "**Nothing has failed.**" in path.read_text()


@pytest.mark.parametrize("content", [None, b"no model"])
def test_a_soak_of_a_model_that_is_none(tmp_path: Path, content: bytes | None) -> None:
    """Said at once, and there is no report."""
    model = tmp_path / "none.onnx"
    if content is not None:
        model.write_bytes(content)
    run = genred("soak", "--minutes", "0.1", "--model", model, "--report", tmp_path / "SOAK.md", timeout_s=5 * 10)
    assert run.returncode == (2 if content is None else 1)
    assert "none.onnx" in run.stderr or "not an ONNX" in run.stderr
    assert "Traceback" not in run.stderr
    assert not (tmp_path / "SOAK.md").exists()
