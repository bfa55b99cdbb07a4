"""classify: the daemon's own path over a file, without threads and as fast as it goes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from .classifier import Classifier, Verdict
from .epoch import Epoch, Geometry, Window
from .errors import BatchError, SourceError
from .features import Mfcc
from .segments import Heard, Segment, Tracker
from .sources.file import check, decode
from .sources.frames import Piece

HOP_FRAMES = 40
BATCH = 16  # windows judged together

Through = Callable[[Iterator[Piece]], Iterator[Piece]]  # what decoded sound passes before it is heard


@dataclass(frozen=True)
class Answer:
    """One window, without its frames, and the verdict on it; times count from the beginning of the file."""

    window: Window
    verdict: Verdict
    start_s: float
    end_s: float


@dataclass(frozen=True)
class Part:
    """A segment that has ended; times count from the beginning of the file."""

    segment: Segment
    start_s: float
    end_s: float


@dataclass(frozen=True)
class Timeline:
    """Everything there is to say about a file.

    Attributes
    ----------
    seconds : float
        Length of its audio.
    parts : list of Part
        Its segments, as the daemon would tell their ends.
    overall : Verdict
        Mean probability over the full windows that have one; if none has, that of the longest window that has; else
        the reason why there is none.
    narrow_band : bool
        Its sample rate cannot carry the band the model listens to.
    nonfinite, undecoded, failed : int
        Samples that were no numbers and became 0; damaged pieces left out; windows without a usable answer.
    """

    path: Path
    seconds: float
    answers: list[Answer]
    parts: list[Part]
    overall: Verdict
    narrow_band: bool
    nonfinite: int
    undecoded: int
    failed: int


def listen_to(
    path: Path,
    classifier: Classifier,
    hop_frames: int = HOP_FRAMES,
    progress: Callable[[float], None] = lambda _seconds: None,
    through: Through = iter,
) -> Timeline:
    """Judge the file `path`, as it sounds `through` something; `progress` is told the seconds heard so far.

    Raises
    ------
    SourceError
        If it cannot be judged.
    """
    check(path)
    return _Listening(path, classifier, hop_frames, progress, through).timeline()


class _Listening:
    """One file on its way through decoder, epochs and classifier."""

    def __init__(
        self,
        path: Path,
        classifier: Classifier,
        hop_frames: int,
        progress: Callable[[float], None],
        through: Through,
    ) -> None:
        self._path, self._classifier, self._progress, self._through = path, classifier, progress, through
        self._mfcc = Mfcc(classifier.card.spec)
        self._geometry = Geometry(classifier.card.window_frames, hop_frames, classifier.card.horizons[0].frames)
        self._undecoded = self._failed = 0
        self._epochs: list[Epoch] = []
        self._answers: list[Answer] = []
        self._tracker = Tracker()
        self._before_s = 0.0  # of the epoch that it follows
        self._parts: list[Part] = []

    def timeline(self) -> Timeline:
        pending: list[tuple[float, Window]] = []
        for before_s, window in self._windows():
            pending.append((before_s, window))
            if len(pending) == BATCH:
                self._judge(pending)
                pending = []
        self._judge(pending)
        self._note(self._tracker.end())
        return Timeline(
            path=self._path,
            seconds=_seconds(self._epochs),
            answers=self._answers,
            parts=self._parts,
            overall=self._overall(),
            narrow_band=any(epoch.narrow_band for epoch in self._epochs),
            nonfinite=sum(epoch.nonfinite for epoch in self._epochs),
            undecoded=self._undecoded,
            failed=self._failed,
        )

    def _windows(self) -> Iterator[tuple[float, Window]]:
        """Windows, and the seconds before the epoch they are in; a new rate begins a new epoch."""
        before_s = 0.0
        for piece in self._through(decode(self._path, self._count_undecoded)):
            if not self._epochs or self._epochs[-1].rate_hz != piece.rate_hz:
                if self._epochs:
                    yield from ((before_s, window) for window in self._epochs[-1].finish())
                before_s = _seconds(self._epochs)
                self._epochs.append(self._new_epoch(piece))
            yield from ((before_s, window) for window in self._epochs[-1].feed(piece.block[:, 0]))
            self._progress(_seconds(self._epochs))
        if not self._epochs:
            raise SourceError(f"{self._path} has no audio that can be decoded")
        yield from ((before_s, window) for window in self._epochs[-1].finish())

    def _new_epoch(self, piece: Piece) -> Epoch:
        return Epoch(self._mfcc, self._geometry, self._classifier.card.gain, piece.rate_hz)

    def _count_undecoded(self) -> None:
        self._undecoded += 1

    def _judge(self, pending: list[tuple[float, Window]]) -> None:
        rate = self._mfcc.spec.sample_rate
        verdicts = self._classifier.judge([window for _, window in pending])
        for (before_s, window), verdict in zip(pending, verdicts, strict=True):
            if isinstance(verdict, BatchError):
                self._failed += 1
                continue
            start_s, end_s = (before_s + at / rate for at in (window.first_sample, window.last_sample + 1))
            bare = replace(window, mfcc=window.mfcc[:0].copy())  # the frames of an hour would be 300 MB
            self._answers.append(Answer(bare, verdict, start_s, end_s))
            self._follow(before_s, verdict.heard(bare, rate))

    def _follow(self, before_s: float, heard: Heard) -> None:
        if before_s != self._before_s:
            self._note(self._tracker.end())
            self._before_s = before_s
        self._note(self._tracker.hear(heard)[1])

    def _note(self, told: list[Segment]) -> None:
        """Keep the segments that have ended."""
        rate = self._mfcc.spec.sample_rate
        for segment in told:
            if segment.phase == "end":
                start_s, end_s = (self._before_s + at / rate for at in (segment.first_sample, segment.last_sample + 1))
                self._parts.append(Part(segment, start_s, end_s))

    def _overall(self) -> Verdict:
        judged = [answer for answer in self._answers if answer.verdict.probabilities]
        full = self._mfcc.spec.samples(self._geometry.window_frames)
        tables = [list((a.verdict.probabilities or {}).values()) for a in judged if a.window.samples == full]
        if tables:
            return self._classifier.verdict(np.mean(tables, axis=0))
        if judged:
            return max(judged, key=lambda answer: answer.window.samples).verdict
        if self._failed:
            return Verdict(reason="unsure")
        if self._answers or all(epoch.levels.silent for epoch in self._epochs):
            return Verdict(reason="silence")
        return Verdict(reason="too-short")


def _seconds(epochs: list[Epoch]) -> float:
    return sum(epoch.pushed / epoch.rate_hz for epoch in epochs)
