"""Files that are written whole or not at all: a kill or a full disk leaves what was there before."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from genred.errors import BadInputError


def write(path: Path, content: str | bytes | memoryview) -> None:
    """Write `content` to `path`, whose folder is made if there is none.

    Raises
    ------
    BadInputError
        If that cannot be done.
    """
    partial = path.with_name(f"{path.name}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.write_bytes(content.encode() if isinstance(content, str) else content)
        partial.rename(path)
    except OSError as error:
        with suppress(OSError):
            partial.unlink()
        raise BadInputError(
            f"cannot write {path}: {error.strerror}; nothing that was there is lost, the same command goes on from it"
        ) from error
