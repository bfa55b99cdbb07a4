from __future__ import annotations

import pytest

from genred.errors import BadInputError
from genretrain import atomic


def test_what_was_there_stays_where_nothing_can_be_written(tmp_path):
    """The sentence says so, and no half of a file is left."""
    path = tmp_path / "x.json"
    (path / "before").mkdir(parents=True)  # a folder cannot be replaced by a file
    with pytest.raises(BadInputError, match=r"cannot write .*x\.json: .*; nothing that was there is lost"):
        atomic.write(path, "after")
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_where_a_folder_should_be_is_one_sentence(tmp_path):
    """Nor is it a traceback of the clearing up."""
    (tmp_path / "file").write_text("a file, no folder")
    with pytest.raises(BadInputError, match="cannot write"):
        atomic.write(tmp_path / "file" / "x", "after")


def test_a_folder_that_is_missing_is_made(tmp_path):
    """Bytes and text alike."""
    atomic.write(tmp_path / "a" / "b", b"1")
    assert (tmp_path / "a" / "b").read_bytes() == b"1"
