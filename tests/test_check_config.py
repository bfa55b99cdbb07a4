"""``genred check``."""

from __future__ import annotations

from pathlib import Path

from conftest import genred


def test_a_good_one(tmp_path: Path, wav: Path, small_model: Path) -> None:
    """One line on stdout, and 0."""
    path = tmp_path / "genred.toml"
    path.write_text(f"model = '{small_model}'\n[[station]]\nname = 'a'\nuri = 'file:{wav}'\n")
    result = genred("check", path)
    assert (result.stdout, result.stderr, result.returncode) == (f"{path} can be used: 1 station\n", "", 0)


def test_without_a_station(tmp_path: Path, small_model: Path) -> None:
    """A file that names no station can be used, and it is said what is listened to then."""
    path = tmp_path / "genred.toml"
    path.write_text(f"model = '{small_model}'\n")
    result = genred("check", path)
    assert (result.stdout, result.returncode) == (f"{path} can be used: no station, so the default input\n", 0)


def test_all_that_is_wrong_is_told(tmp_path: Path) -> None:
    """Each bad station and the model have a sentence of their own, with the station's name; the exit code is 2."""
    path, model = tmp_path / "genred.toml", tmp_path / "model.onnx"
    model.write_bytes(b"garbage")
    stations = "".join(
        f"[[station]]\nname = '{n}'\nuri = '{u}'\n" for n, u in (("a", "fax:"), ("b", "demo:"), ("c", "c.wav"))
    )
    path.write_text(f"model = '{model}'\n{stations}")
    result = genred("check", path)
    one, two, three = result.stderr.splitlines()
    assert one.startswith(f"genred: {path}: station a: fax:: unknown scheme 'fax'")
    assert two == f"genred: {path}: station c: no file c.wav"
    assert "is not an ONNX model" in three
    assert (result.stdout, result.returncode) == ("", 2)


def test_a_file_that_is_none(tmp_path: Path) -> None:
    """What cannot be read as a configuration is refused as ``run`` refuses it."""
    path = tmp_path / "genred.toml"
    path.write_text("hopp = 3")
    result = genred("check", path)
    assert result.stderr == f"genred: {path}: Object contains unknown field `hopp`\n"
    assert result.returncode == 2


def test_a_hop_that_the_model_does_not_take(tmp_path: Path) -> None:
    """What is wrong only with this model is found, too."""
    path = tmp_path / "genred.toml"
    path.write_text("hop = 41\n[[station]]\nname = 'a'\nuri = 'demo:'\n")
    result = genred("check", path)
    assert "41" in result.stderr
    assert result.returncode == 2
