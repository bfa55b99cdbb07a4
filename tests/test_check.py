from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import tiny_gtzan
from conftest import music, write_wav
from genretrain import gtzan
from genretrain.cli import main


@pytest.fixture(scope="module")
def audio(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One good track of each genre, and of blues one of each fault that a file can have."""
    data = tmp_path_factory.mktemp("audio")
    long = music(24.0, seed=0)
    for genre in gtzan.GENRES:
        (data / "genres" / genre).mkdir(parents=True)
        write_wav(data / "genres" / genre / f"{genre}.00012.wav", long)
    blues = data / "genres" / "blues"
    write_wav(blues / "blues.00001.wav", long[: 22050 * 20])
    write_wav(blues / "blues.00002.wav", np.repeat(np.stack([long, long], axis=1), 2, axis=0), 44100)
    (data / "genres" / "jazz" / "jazz.00054.wav").write_bytes(b"RIFF, and then nothing that makes sense")
    return data


def checked(capsys: pytest.CaptureFixture[str], data: Path) -> tuple[str, str, int]:
    """What ``genretrain check`` says, on stdout and stderr, and its exit code."""
    try:
        main(["check", "--data", str(data)])
        code = 0
    except SystemExit as exit_:
        code = int(exit_.code)
    said = capsys.readouterr()
    return said.out, said.err.splitlines()[-1] if said.err else "", code


def row(table: str, genre: str) -> list[str]:
    """Cells of a genre: tracks, missing, unreadable, damaged, other rate, not mono, too short."""
    return next(line.split()[1:] for line in table.splitlines() if line.startswith(genre))


def test_each_fault_of_audio_is_counted_and_named(audio, capsys):
    """Too short for a window; stereo at 44.1 kHz; a file without sound, which is known of the public copies."""
    out, _, _ = checked(capsys, audio)
    assert row(out, "blues") == ["3", "97", "-", "-", "1", "1", "1"]
    assert row(out, "jazz") == ["2", "98", "1", "-", "-", "-", "-"]
    assert row(out, "rock") == ["1", "99", "-", "-", "-", "-", "-"]
    assert "too short: blues.00001\n" in out
    assert "other rate: blues.00002\n" in out
    assert "unreadable: jazz.00054 (unreadable in the public copies)\n" in out


def test_archives_are_checked_for_what_is_in_them(tmp_path, capsys):
    """All tracks of the small GTZAN are too short for a window; one is no log-mel, which is then refused."""
    data = tiny_gtzan.write(tmp_path)
    tracks = tiny_gtzan.tracks("pop") | {"pop.00010": np.zeros((1286, 20), np.uint8)}
    np.savez(data / "logmel" / "pop.npz", **tracks)
    out, error, code = checked(capsys, data)
    assert row(out, "blues") == ["10", "90", "-", "-", "-", "-", "10"]
    assert row(out, "pop") == ["11", "89", "-", "1", "-", "-", "10"]
    assert "damaged: pop.00010\n" in out
    assert code == 2
    assert "pop.00010" in error


def test_an_archive_that_cannot_be_read_is_counted_and_refused(tmp_path, capsys):
    """The other genres are told all the same."""
    data = tiny_gtzan.write(tmp_path)
    (data / "logmel" / "rock.npz").write_bytes(b"PK, and rubbish")
    out, error, code = checked(capsys, data)
    assert row(out, "rock") == ["0", "100", "1", "-", "-", "-", "-"]
    assert row(out, "metal")[0] == "10"
    assert (code, "rock.npz" in error) == (2, True)


def test_three_genres_are_no_gtzan(tmp_path, capsys):
    """The table comes first, then one sentence with what is missing."""
    out, error, code = checked(capsys, tiny_gtzan.write(tmp_path, ("blues", "jazz", "rock")))
    assert row(out, "jazz")[0] == "10"
    assert row(out, "pop")[:2] == ["0", "100"]
    assert code == 2
    assert "no tracks of classical, country, disco, hiphop, metal, pop, reggae" in error


def test_a_folder_without_gtzan_is_refused(tmp_path, capsys):
    """One sentence, and no empty table."""
    assert checked(capsys, tmp_path)[::2] == ("", 2)


@pytest.mark.gtzan
def test_the_sides_of_the_splits_are_compared(gtzan, capsys):
    """Artists and repeats that both sides share, by name where there are few."""
    out, _, code = checked(capsys, gtzan)
    assert code == 0
    assert row(out, "jazz")[:2] == ["99", "1"]
    assert "missing: jazz.00054 (unreadable in the public copies)" in out
    assert "split filtered: 442 train, 197 valid, 290 test tracks" in out
    assert "train and test share 0 repeats, 8 artists: Anthrax; Bob Marley" in out
