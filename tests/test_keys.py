"""Key pairs and their files."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import zmq
from click.testing import CliRunner
from zmq.auth import load_certificate

from genred.cli import main
from genred.errors import ConfigError
from genred.keys import MOST_BYTES, KeyPair, generate, is_open, read_pair, read_public


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Path, Path]:
    """Secret and public file of a new pair."""
    return generate(tmp_path / "studio")


@contextmanager
def refused(*words: str) -> Iterator[None]:
    """One sentence with these words, and exit code 2."""
    with pytest.raises(ConfigError) as caught:
        yield
    assert "\n" not in str(caught.value)
    for word in words:
        assert word in str(caught.value)


def test_a_pair_is_written_and_read(pair: tuple[Path, Path]) -> None:
    """The two files belong together, and each holds what it is named after; ZeroMQ's other tools can read them."""
    secret, public = pair
    own = read_pair(secret)
    assert read_public(public) == own.public == zmq.curve_public(own.secret)
    assert load_certificate(secret) == (own.public, own.secret)
    assert load_certificate(public) == (own.public, None)
    assert own.secret not in public.read_bytes()


def test_others_tools_keys_can_be_used(tmp_path: Path) -> None:
    """Key files that pyzmq writes are read, too."""
    public, secret = zmq.auth.create_certificates(tmp_path, "laptop", {"name": "laptop"})
    Path(secret).chmod(0o600)
    Path(public).chmod(0o644)
    assert read_pair(Path(secret)).public == read_public(Path(public))


def test_no_two_pairs_are_the_same(tmp_path: Path) -> None:
    """Each is drawn."""
    assert len({read_pair(generate(tmp_path / name)[0]).secret for name in "abc"}) == 3


@pytest.mark.parametrize("umask", [0, 0o077])
def test_only_the_owner_reads_the_secret(tmp_path: Path, umask: int) -> None:
    """Whatever the umask, the secret file is written for its owner alone, and nobody else can write the public one."""
    before = os.umask(umask)
    try:
        secret, public = generate(tmp_path / "studio")
    finally:
        os.umask(before)
    assert stat.S_IMODE(secret.stat().st_mode) == 0o600
    assert stat.S_IMODE(public.stat().st_mode) == 0o644 & ~umask
    read_public(public)


@pytest.mark.parametrize("there", ["studio.secret", "studio.public"])
def test_no_key_is_replaced(tmp_path: Path, there: str) -> None:
    """A file that is there stays as it is, and nothing half-made is left beside it."""
    (tmp_path / there).write_text("mine")
    with refused(there, "File exists"):
        generate(tmp_path / "studio")
    assert [path.name for path in tmp_path.iterdir()] == [there]
    assert (tmp_path / there).read_text() == "mine"


def test_a_full_disk_leaves_nothing(tmp_path: Path) -> None:
    """What cannot be written is told, and no file that only seems to hold a key is left."""
    (tmp_path / "studio.public").symlink_to("/dev/full")
    with refused("studio.public"):
        generate(tmp_path / "studio")
    with refused("nowhere/studio.secret", "No such file"):
        generate(tmp_path / "nowhere" / "studio")
    with refused("No file can have that name"):
        generate(tmp_path / "a\0b")
    assert [path.name for path in tmp_path.iterdir()] == ["studio.public"]


@pytest.mark.parametrize("mode", [0o644, 0o604, 0o602, 0o620, 0o666, 0o610])
def test_a_secret_that_is_none_is_refused(pair: tuple[Path, Path], mode: int) -> None:
    """A secret file that others can read, write or run is refused; the sentence says what to do."""
    secret, _ = pair
    secret.chmod(mode)
    with refused(str(secret), f"{mode:04o}", f"chmod 600 {secret}"):
        read_pair(secret)


@pytest.mark.parametrize(
    ("mode", "owner", "is_it"),
    [
        (0o600, 1000, False),
        (0o400, 1000, False),
        (0o700, 1000, False),
        (0o640, 1000, True),
        (0o440, 0, False),
        (0o640, 0, False),
        (0o660, 0, True),
        (0o444, 0, True),
        (0o604, 0, True),
    ],
)
def test_roots_group_may_read(mode: int, owner: int, is_it: bool) -> None:
    """A file of root that a group may read, as systemd hands credentials over, is no open one; any other is."""
    assert is_open(mode, owner) is is_it


@pytest.mark.parametrize("mode", [0o664, 0o646])
def test_a_public_key_that_others_can_change_is_refused(pair: tuple[Path, Path], mode: int) -> None:
    """Who could write it could put a key of his own there."""
    _, public = pair
    public.chmod(mode)
    with refused(str(public), "written by others", "chmod go-w"):
        read_public(public)


def test_files_are_not_mixed_up(pair: tuple[Path, Path]) -> None:
    """Either file in the place of the other is refused, and the sentence names the right one."""
    secret, public = pair
    public.chmod(0o600)
    with refused("no secret key", ".secret"):
        read_pair(public)
    with refused("holds a secret key", ".public"):
        read_public(secret)


DAMAGED = ["", "x" * 39, "x" * 41, "~" * 40, '"' * 40, "é" * 20, "#" * 40]


@pytest.mark.parametrize("key", DAMAGED)
def test_damaged_keys(tmp_path: Path, key: str) -> None:
    """What is not 40 characters of Z85 is refused, and the key is not shown."""
    path = tmp_path / "key"
    path.write_text(f'curve\n    secret-key = "{key}"\n')
    path.chmod(0o600)
    with pytest.raises(ConfigError, match="damaged") as caught:
        read_pair(path)
    assert not key or key not in str(caught.value)
    path.write_text(f'curve\n    public-key = "{key}"\n')
    with refused("damaged"):
        read_public(path)


@pytest.mark.parametrize("content", [b"", b"\xff" * 100, b"curve\n", b"public-key" * 10_000, bytes(MOST_BYTES + 1)])
def test_what_is_no_key_file(tmp_path: Path, content: bytes) -> None:
    """Any other file is refused as such."""
    path = tmp_path / "key"
    path.write_bytes(content)
    path.chmod(0o600)
    with refused(str(path), "no secret key"):
        read_pair(path)
    with refused(str(path), "no public key"):
        read_public(path)


def test_names_that_are_no_files(tmp_path: Path) -> None:
    """A missing file, a folder, a named pipe and a device are named with the reason; nothing is waited for."""
    os.mkfifo(tmp_path / "fifo")
    for path, why in (
        (tmp_path / "missing", "No such file"),
        (tmp_path, "Is a directory"),
        (tmp_path / "fifo", "Not a regular file"),
        (Path("/dev/zero"), "Not a regular file"),
        (Path("a\0b"), "No file can have that name"),
    ):
        with refused(str(path), why):
            read_pair(path)
        with refused(str(path), why):
            read_public(path)


def test_a_pair_does_not_show_its_secret() -> None:
    """Where a key pair is printed, its secret is not."""
    assert "secret" not in repr(KeyPair(b"public", b"a secret")).replace("KeyPair", "")


def test_keygen(tmp_path: Path) -> None:
    """`genred keygen NAME` says for either side which file to give away and what to run next, and shows no key."""
    result = CliRunner().invoke(main, ["keygen", str(tmp_path / "laptop")])
    own = read_pair(tmp_path / "laptop.secret")
    assert result.exit_code == 0
    stem = tmp_path / "laptop"
    for words in (
        f"{stem}.secret stays here",
        f"{stem}.public goes to the other side",
        f"genred run --key {stem}.secret --allow FOLDER",
        f"genred listen tcp://HOST:PORT --key {stem}.secret --server-key DAEMON.public",
    ):
        assert words in result.output
    assert own.secret.decode() not in result.output


def test_keygen_replaces_nothing(tmp_path: Path) -> None:
    """A second `genred keygen NAME` ends with 2 and one sentence, and the first key stays."""
    secret, _ = generate(tmp_path / "laptop")
    before = read_pair(secret)
    result = CliRunner().invoke(main, ["keygen", str(tmp_path / "laptop")])
    assert result.exit_code == 2
    assert result.stderr.count("\n") == 1
    assert "a key is not replaced" in result.stderr
    assert read_pair(secret) == before
