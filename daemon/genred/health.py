"""Health of a signal: what is wrong with the sound itself, before the channels are mixed and before the gain.

::

    blocks [N, channels], native rate --cut--> pieces of PIECE_S --> what each shows --> Change: it begins, it is over

Silence is not found here: it is what windows are answered by, so `levels` finds it at the model's rate.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .config import THRESHOLDS, Thresholds
from .features import Samples, amplitude
from .levels import CLIP_LEVEL, MOST_CHANGES, Change
from .messages import Signal
from .ring import Block

PIECE_S = 0.1
CLIPPED_OVER = 10  # pieces: a second
UNCLIPPED_OVER = 30  # pieces without clipping that end it
DC_S = 5.0
SOUNDS_DB = 20.0  # above silence another channel must be, for a channel to be called dead

HOLDS, NEITHER = 1, -1  # of a piece; 0 for the contrary
Marks = NDArray[np.int8]  # [P]


@dataclass(frozen=True)
class Pieces:
    """What a fault can be seen in, of P pieces of C channels.

    Attributes
    ----------
    low, high, mean : NDArray
        [C, P], float32.
    clipped : NDArray
        [P], samples at full scale in the channel that has most of them.
    """

    low: Samples
    high: Samples
    mean: Samples
    clipped: NDArray[np.int64]


class Fault:
    """One thing that can be wrong, and since when it is.

    Parameters
    ----------
    signal : str
    begins_after, ends_after : int
        Pieces in a row that must show it, or its contrary.
    channel : int, optional
        Which, from 1.
    """

    def __init__(self, signal: Signal, begins_after: int, ends_after: int = 1, channel: int | None = None) -> None:
        self.signal, self.channel = signal, channel
        self.now = False
        self._after = {False: begins_after, True: ends_after}
        self._row = 0  # pieces in a row that speak against what is now
        self._row_at = 0.0  # where the first of them is
        self._begin_s = 0.0

    def push(self, marks: Marks, times_s: NDArray[np.float64]) -> Iterator[Change]:
        """Take pieces and the times at which they begin."""
        if not self.now and not (marks == HOLDS).any() and not (self._row and (marks == NEITHER).all()):
            self._row = 0
            return
        for mark, time_s in zip(marks.tolist(), times_s.tolist(), strict=True):
            if mark == NEITHER:
                continue
            if (mark == HOLDS) == self.now:
                self._row = 0
                continue
            self._row_at = time_s if self._row == 0 else self._row_at
            self._row += 1
            if self._row == self._after[self.now]:
                yield self._turn(self._row_at)

    def close(self, now_s: float) -> Iterator[Change]:
        """End it: the stream has ended."""
        if self.now:
            yield self._turn(now_s)
        self._row = 0

    def _turn(self, at_s: float) -> Change:
        self.now, self._row = not self.now, 0
        if self.now:
            self._begin_s = at_s
            return Change(self.signal, at_s, None, self.channel)
        return Change(self.signal, self._begin_s, at_s - self._begin_s, self.channel)


class Health:
    """See the module; of one epoch.

    Parameters
    ----------
    rate_hz, channels : int
        As delivered.
    thresholds : Thresholds

    Attributes
    ----------
    changes : deque of Change
        Until somebody takes them.
    """

    def __init__(self, rate_hz: int, channels: int, thresholds: Thresholds = THRESHOLDS) -> None:
        self.changes: deque[Change] = deque(maxlen=MOST_CHANGES)
        self._rate_hz, self._channels = rate_hz, channels
        self._length = max(round(PIECE_S * rate_hz), 1)
        self._at = 0  # where `_partial` begins, in samples
        self._partial: Block = np.empty((0, channels), np.float32)
        self._clipped = np.zeros(CLIPPED_OVER - 1, np.int64)  # of the last pieces
        self._offset = np.zeros(channels, np.float32)  # mean of the last piece
        self._watch(thresholds)

    def _watch(self, thresholds: Thresholds) -> None:
        self._thresholds = thresholds
        frozen, dead = (max(round(s / PIECE_S), 1) for s in (thresholds.frozen_s, thresholds.dead_channel_s))
        self._digital_silence = Fault("digital-silence", frozen)
        self._frozen = Fault("frozen", frozen)
        self._clipping = Fault("clipping", 1, UNCLIPPED_OVER)
        self._dc = Fault("dc", round(DC_S / PIECE_S), round(DC_S / PIECE_S))
        others = range(1, self._channels + 1) if self._channels > 1 else ()
        self._dead = [Fault("dead-channel", dead, channel=channel) for channel in others]

    def watch(self, thresholds: Thresholds) -> None:
        """Go by other thresholds from now on; what is wrong by the old ones is over first."""
        self.close()
        self._watch(thresholds)

    @property
    def now(self) -> list[Signal]:
        """What is wrong now, each once."""
        return list(dict.fromkeys(fault.signal for fault in self._faults() if fault.now))

    def push(self, block: Block) -> None:
        """Take `block` [N, C]."""
        block = np.concatenate([self._partial, block]) if len(self._partial) else block
        count = len(block) // self._length
        if count:
            with np.errstate(invalid="ignore", over="ignore"):  # what is no number shows no fault
                pieces = _measure(block[: count * self._length], count)
                self._judge(pieces, self._at + np.arange(count) * self._length)
        self._at += count * self._length
        self._partial = block[count * self._length :].copy("K")  # one channel after the other, as it came

    def skip(self, n: int) -> None:
        """Pass over `n` samples that never came."""
        self._at += len(self._partial) + n
        self._partial = self._partial[:0]

    def close(self) -> None:
        """End what is wrong: the stream has ended."""
        for fault in self._faults():
            self.changes.extend(fault.close((self._at + len(self._partial)) / self._rate_hz))

    def _faults(self) -> list[Fault]:
        return [self._digital_silence, self._frozen, self._clipping, self._dc, *self._dead]

    def _judge(self, pieces: Pieces, positions: NDArray[np.int64]) -> None:
        times_s = positions / self._rate_hz
        constant = (pieces.low == pieces.high).all(axis=0)
        zero = constant & (pieces.high == 0).all(axis=0)
        for fault, marks in (
            (self._digital_silence, zero),
            (self._frozen, constant & ~zero),
            (self._clipping, self._clips(pieces)),
            (self._dc, self._leans(pieces) & ~constant),
            *zip(self._dead, self._is_dead(pieces), strict=True),
        ):
            self.changes.extend(fault.push(marks.astype(np.int8), times_s))

    def _clips(self, pieces: Pieces) -> NDArray[np.bool_]:
        """Whether the second that ends with each piece has too many clipped samples."""
        counts = np.concatenate([self._clipped, pieces.clipped])
        self._clipped = counts[-(CLIPPED_OVER - 1) :]
        if not counts.any():  # as almost always
            return np.zeros(len(pieces.clipped), np.bool_)
        over = np.lib.stride_tricks.sliding_window_view(counts, CLIPPED_OVER).sum(axis=1)
        least = self._thresholds.clipped_percent / 100 * CLIPPED_OVER * self._length
        holds: NDArray[np.bool_] = over >= least
        return holds

    def _leans(self, pieces: Pieces) -> NDArray[np.bool_]:
        """Whether some channel's mean is off zero, to the same side as in the piece before."""
        means = np.concatenate([self._offset[:, None], pieces.mean], axis=1)
        self._offset = means[:, -1]
        least = self._thresholds.dc_percent / 100
        same_side = np.signbit(means[:, 1:]) == np.signbit(means[:, :-1])
        holds: NDArray[np.bool_] = ((np.abs(means[:, 1:]) >= least) & same_side).any(axis=0)
        return holds

    def _is_dead(self, pieces: Pieces) -> list[Marks]:
        """Of each channel, whether it alone is silent; where all are, neither that nor the contrary."""
        if not self._dead:
            return []
        swings = (pieces.high - pieces.low) / 2  # [C, P]
        silence = np.float32(amplitude(self._thresholds.silence_dbfs))
        sounding = swings.max(axis=0) >= silence * np.float32(amplitude(SOUNDS_DB))
        return [np.where(row >= silence, 0, np.where(sounding, HOLDS, NEITHER)).astype(np.int8) for row in swings]


def _measure(block: Block, count: int) -> Pieces:
    """Measure `count` pieces of `block`."""
    pieces = np.ascontiguousarray(block.T).reshape(block.shape[1], count, -1)  # [C, P, n]
    low, high, mean = pieces.min(axis=2), pieces.max(axis=2), pieces.mean(axis=2)
    clipped = np.zeros(count, np.int64)
    if not max(high.max(), -low.min()) < CLIP_LEVEL:  # so also for what is no number
        clipped = np.count_nonzero(np.abs(pieces) >= CLIP_LEVEL, axis=2).max(axis=0)
    return Pieces(low, high, mean, clipped)
