"""The sample configuration in systemd/ knows every key, and what it says of each is so."""

from __future__ import annotations

import re
import tomllib
from typing import Any

import msgspec
import pytest

from conftest import ROOT, genred
from genred.config import Config, StationConfig, Thresholds, load

SAMPLE = ROOT / "systemd" / "genred.toml"
WHOLE: dict[str, Any] = tomllib.loads(re.sub(r"^#(?=[a-z-]+ = |\[)", "", SAMPLE.read_text(), flags=re.MULTILINE))
EXAMPLES = ("require", "threads", "processes")  # have no default that TOML could say


def keys(record: type[msgspec.Struct]) -> list[str]:
    return [field.encode_name for field in msgspec.structs.fields(record)]


@pytest.mark.parametrize(
    ("record", "table"),
    [(Config, WHOLE), (StationConfig, WHOLE["station"][1]), (Thresholds, WHOLE["signal"])],
    ids=["settings", "station", "signal"],
)
def test_every_key_is_there(record: type[msgspec.Struct], table: dict[str, Any]) -> None:
    """The sample shows each key that the configuration knows, and no other."""
    assert sorted(table) == sorted(keys(record))


def test_defaults_are_the_codes() -> None:
    """What the sample shows commented out is what holds without it."""
    stated = {key: value for key, value in WHOLE.items() if key not in ("station", *EXAMPLES)}
    assert msgspec.convert(stated, Config) == Config()
    assert WHOLE["station"][1]["tags"] == []


def test_it_can_be_used() -> None:
    """As it is, and with all its keys, it is a configuration; as it is, genred check says so."""
    assert [station.name for station in load(SAMPLE, {}).station] == ["line-in"]
    assert len(msgspec.convert(WHOLE, Config).station) == 2
    result = genred("check", SAMPLE)
    assert (result.stdout, result.returncode) == (f"{SAMPLE} can be used: 1 station\n", 0)
