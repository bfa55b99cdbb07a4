"""Files: everything FFmpeg decodes, any rate and channel count, mixed to mono."""

from __future__ import annotations

import errno
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import av
from av.container import InputContainer

from ..errors import SourceError
from . import Clock, Output
from .frames import Piece, as_piece, in_blocks
from .uri import Options, choice, flag

PATIENCE_S = 20.0  # to open a file, and between two packets: libav searches many GB of zeros without Ctrl-C
PLAYLISTS = (b"#EXTM3U", b"ffconcat")
SHORTAGES = (errno.EMFILE, errno.ENFILE, errno.ENOMEM)  # of this process or machine, no damage of the file


def check(path: Path) -> None:
    """Find out whether `path` can be judged.

    Raises
    ------
    SourceError
        If it is missing, unreadable, empty, or has no audio that can be decoded.
    """
    try:
        if path.is_dir():
            raise SourceError(f"{path} is a folder, not an audio file")
        if path.exists() and not path.is_file():  # opening a pipe waits for a writer, and looking takes from it
            raise SourceError(f"{path} is a pipe or a device, not a file; give genred raw PCM on stdin (-) instead")
        with path.open("rb") as file:
            if not file.read(1):
                raise SourceError(f"{path} is empty")
    except FileNotFoundError as error:
        raise SourceError(f"no file {path}") from error
    except OSError as error:
        raise SourceError(f"cannot read {path}: {error.strerror}") from error
    except ValueError as error:
        raise SourceError(f"cannot read {path}: No file can have that name") from error
    if next(decode(path), None) is None:
        raise SourceError(f"{path} has no audio that can be decoded: it is damaged, or ends before the first sample")


def duration_s(path: Path) -> float | None:
    """Length of `path` as it says itself, if it does; seconds."""
    try:
        if not path.is_file():  # check says what it is
            return None
        with _open(path) as container:
            return container.duration / av.time_base if container.duration else None
    except (SourceError, OSError, ValueError):
        return None


def decode(path: Path, on_error: Callable[[], None] = lambda: None) -> Iterator[Piece]:
    """Pieces of the best audio stream of `path`, in order; `on_error` is called for each packet that is damaged.

    Raises
    ------
    SourceError
        If there is nothing to decode.
    """
    with _open(path) as container:
        if not container.streams.audio:
            raise SourceError(f"{path} has no sound in it")
        stream = container.streams.audio[0]
        packets = container.demux(stream)
        packet = None
        while True:
            try:
                packet = next(packets, None)
                if packet is None:
                    return
                for frame in packet.decode():
                    yield as_piece(frame)
            except av.error.EOFError:
                return
            except av.error.ExitError:  # nothing found for PATIENCE_S
                on_error()
                return
            except av.FFmpegError:
                on_error()
                if packet is None or packet.size == 0:
                    return
            except (ArithmeticError, LookupError, NotImplementedError, OSError, ValueError) as error:
                raise SourceError(f"{path} cannot be decoded: {error}") from error


def _open(path: Path) -> InputContainer:
    """Open `path` with libav; a playlist is refused, because it would open the files it names."""
    try:
        with path.open("rb") as file:
            head = file.read(16)
    except (OSError, ValueError) as error:
        raise SourceError(f"cannot read {path}: {getattr(error, 'strerror', error)}") from error
    if head.startswith(PLAYLISTS):
        raise SourceError(f"{path} is a playlist, not audio; name the files in it instead")
    try:
        options = {"protocol_whitelist": "file"}
        return av.open(_url(path), metadata_errors="replace", timeout=PATIENCE_S, options=options)
    except (av.FFmpegError, OSError, ValueError) as error:
        if getattr(error, "errno", None) in SHORTAGES:
            raise SourceError(f"cannot read {path}: {getattr(error, 'strerror', error)}") from error
        raise SourceError(f"{path} is not audio that can be decoded") from error


def _url(path: Path) -> str:
    """Name `path` so that FFmpeg takes it for a file whatever it looks like: a:b.wav is not of a protocol a."""
    return f"file:{path}"


class AudioFile:
    """``file:PATH?pace=realtime|max&loop=1``: a file as a station.

    Parameters
    ----------
    path : Path
    realtime : bool
        Deliver at the speed of sound being played, as a live station would; else as fast as it is taken.
    loop : bool
        Begin again at the end, for ever.
    """

    clock: Clock = "none"

    def __init__(self, path: Path, *, realtime: bool = False, loop: bool = False) -> None:
        check(path)
        self.path, self.live, self._loop = path, realtime, loop
        self.finite = not loop

    @classmethod
    def from_options(cls, target: str, options: Options) -> AudioFile:
        """Make the source that a URI names."""
        if not target:
            raise SourceError("a source without a name; give a path, or mic:, demo: or - for stdin")
        pace = options.take("pace", choice("realtime", "max"), "max")
        return cls(Path(target), realtime=pace == "realtime", loop=options.take("loop", flag, False))

    def run(self, output: Output) -> None:
        """Deliver the file, once or again and again; a new sample rate begins a new intake."""
        intake, due_s = None, time.monotonic()
        for piece in in_blocks(self._pieces(output)):
            if intake is None or piece.rate_hz != intake.rate_hz:
                intake = output.begin(piece.rate_hz, piece.width)
            if self.live:
                due_s += len(piece.kept) / piece.rate_hz
                output.stop.wait(max(due_s - time.monotonic(), 0.0))
            intake.write(piece.of_width(intake.ring.channels))
            if output.stop.is_set():
                return

    def _pieces(self, output: Output) -> Iterator[Piece]:
        while True:
            piece = None
            for piece in decode(self.path, output.count_error):
                yield piece
            if piece is None:
                raise SourceError(f"{self.path} has no audio any more")
            if not self._loop:
                return
