"""Rolling: the network over a moving window, at the cost of what is new.

A network whose convolutions are local in time makes one *step* of every `pooling` frames, and then looks over the steps
of a window with its recurrent layers. Two windows a hop apart share almost all of their steps::

    frames     ...|<------------------ window ------------------>|
                    |<------------------ next window ------------------>|
    steps         [e][ i ][ i ][ i ] ... [ i ][ i ][ i ][ i ][ e ]
                       [e ][ i ][ i ] ... [ i ][ i ][ i ][ i ][ n ][ n ][ e ]
                        ^   ^^^^^^^^^^^^ kept ^^^^^^^^^^^^      ^^^^^^^^^^^^^
                  from the first frames                  from the last frames

``i`` interior: its convolutions see real frames only, so it is the same in every window that holds it, and is kept.
``e`` edge: its convolutions see the zeros that pad the window, so it is computed anew for each. ``n`` new: computed
from the last frames, together with the edge behind it. The recurrent layers start anew in each window; nothing of them
can be kept. The answer is that of the whole pass, to rounding. Windows that grow, as the first of an epoch do, are no
other case: they begin with the same step, and more is kept of each.

What is kept belongs to the epoch whose windows these are (`epoch.Past`): a reset makes a new epoch, and that starts
with nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from .card import ModelCard
from .epoch import Past, Window
from .features import Frames
from .runtime import Array, cut

Steps = NDArray[np.float32]  # [S, F]
Run = Callable[[Array], Array]  # a part of the network, over a batch

TOLERANCE = 1e-4  # of a step, between rolling and whole passes: float32 sums of thousands of products


class Convolution(msgspec.Struct, frozen=True):
    """One block of the local part: a convolution and the pooling after it, both over time.

    Attributes
    ----------
    kernel, pooling : int
        In frames of its own input; what is pooled does not overlap.
    padding : str
        ``same``: zeros before and after, so that the convolution keeps the length.
    """

    kernel: int
    pooling: int
    padding: str


class Local(msgspec.Struct, frozen=True):
    """What a card's geometry says of the local part; its other entries are for people.

    Attributes
    ----------
    steps : str
        Name of the tensor [B, S, F] between the local part and the recurrent one.
    convolutions : tuple of Convolution
        From the frames on.
    """

    steps: str
    convolutions: tuple[Convolution, ...]


@dataclass(frozen=True)
class Reach:
    """How far steps look.

    Attributes
    ----------
    pooling : int
        Frames that a step stands for.
    left, right : int
        Steps at the beginning and end of a window that see its padding.
    """

    pooling: int
    left: int
    right: int


def local_part(geometry: dict[str, Any]) -> Local:
    """Read the local part from a card's `geometry`.

    Raises
    ------
    ValueError
        With the reason why a network of this geometry cannot be rolled.
    """
    try:
        local = msgspec.convert(geometry, Local)
    except msgspec.ValidationError as error:
        raise ValueError("its card does not say how to roll") from error
    for block in local.convolutions:
        if block.padding != "same" or block.kernel < 1 or block.pooling < 1:
            raise ValueError(f"its card has a convolution of another kind: {block}")
    return local


def reach(convolutions: Sequence[Convolution]) -> Reach:
    """Follow one step back through the `convolutions` to the frames it depends on.

    A pooling over p makes [p * first, p * last + p - 1] of [first, last]; a padded convolution of kernel k widens that
    by (k - 1) // 2 before and k // 2 after (the side of even kernels is PyTorch's).
    """
    first = last = 0
    pooling = 1
    for block in reversed(convolutions):
        first, last = first * block.pooling, last * block.pooling + block.pooling - 1
        first, last = first - (block.kernel - 1) // 2, last + block.kernel // 2
        pooling *= block.pooling
    before, after = -first, last - (pooling - 1)
    return Reach(pooling, left=-(-before // pooling), right=-(-after // pooling))


def rolling_engine(card: ModelCard, open_part: Callable[[bytes], Run], content: bytes, most_frames: int) -> Rolling:
    """Make the engine of the model `content` if its `card` allows it; it convolves `most_frames` at once.

    Raises
    ------
    ValueError
        With the reason why it does not.
    """
    local = local_part(card.geometry)
    far = reach(local.convolutions)
    lengths = [horizon.frames for horizon in card.horizons]
    for frames in lengths:
        if frames % far.pooling:
            raise ValueError(f"{frames} frames are not a multiple of the {far.pooling} that a step stands for")
    first, second = (open_part(part) for part in cut(content, local.steps))
    rolling = Rolling(first, second, far, most_frames)
    rolling.check(lengths, card.spec.n_mfcc)
    return rolling


@dataclass(frozen=True)
class _Plan:
    """What of a window is to be computed.

    Attributes
    ----------
    begin, n : int
        First step, counted in the epoch, and number of steps of the window.
    kept : Steps
        Interior steps from ``begin + left`` on that are known already.
    chunk : Frames
        Last frames of the window, from which the rest is made; all of them if nothing is known.
    """

    begin: int
    n: int
    kept: Steps
    chunk: Frames


class Rolling:
    """See the module.

    Parameters
    ----------
    convolve : callable
        Local part: frames [B, T, C] -> steps [B, S, F].
    recur : callable
        The rest: steps [B, S, F] -> probabilities [B, K].
    reach : Reach
    most_frames : int
        The local part takes so many at once, and a window in any case: what it makes of them is large.
    """

    def __init__(self, convolve: Run, recur: Run, reach: Reach, most_frames: int = 4_000) -> None:
        self.reach, self._most_frames = reach, most_frames
        self._convolve, self._recur = convolve, recur

    def check(self, lengths: Sequence[int], n_mfcc: int) -> None:
        """Compare the steps of windows that grow to the last of `lengths`, and then move, with those of whole passes.

        They differ where a card is wrong.

        Raises
        ------
        ValueError
            If they differ by more than rounding does, or cannot be made.
        """
        hop, past = self.reach.pooling, Past()
        noise = np.random.default_rng(0).normal(scale=20.0, size=(lengths[-1] + hop, n_mfcc)).astype(np.float32)
        for number, (first, frames) in enumerate([*((0, frames) for frames in lengths), (hop, lengths[-1])]):
            mfcc = noise[first:][:frames]
            window = Window(number, first, 0, 0, mfcc, 0.0, 0.0, lost_ms=0.0, silent=False, past=past)
            try:
                (rolled,), whole = self._steps([window]), self._convolve(mfcc[None])[0]
                self._recur(rolled[None])
            except Exception as error:  # ONNX Runtime has a kind for each of its own faults
                raise ValueError(f"rolled to, a window cannot be answered: {type(error).__name__}") from error
            if rolled.shape != whole.shape or not np.allclose(rolled, whole, rtol=TOLERANCE, atol=TOLERANCE):
                raise ValueError("rolled to, a window has other steps than by a whole pass")

    def whole(self, windows: Array) -> Array:
        """Answer `windows` [B, T, C] by a whole pass; [B, K]."""
        return self._recur(self._convolve(windows))

    def roll(self, windows: Sequence[Window]) -> Array:
        """Answer `windows`, each with what its epoch has kept; [B, K], in their order."""
        return np.stack(in_batches(self._recur, self._steps(windows), most=len(windows)))

    def _steps(self, windows: Sequence[Window]) -> list[Steps]:
        """Steps of each window; its epoch keeps the interior ones."""
        plans = [self._plan(window) for window in windows]
        fresh = self._convolved([plan.chunk for plan in plans])
        edges = self._edges(windows, plans)
        rows = [
            np.concatenate([edges[i], plan.kept, tail[self.reach.left :]]) if len(plan.kept) else tail
            for i, (plan, tail) in enumerate(zip(plans, fresh, strict=True))
        ]
        for window, plan, row in zip(windows, plans, rows, strict=True):
            interior = row[self.reach.left : max(plan.n - self.reach.right, 0)]
            window.past.kept = plan.begin + self.reach.left, interior
        return rows

    def _convolved(self, pieces: Sequence[Frames]) -> list[Steps]:
        """Steps of each of `pieces`."""
        longest = max((len(piece) for piece in pieces), default=1)
        return in_batches(self._convolve, pieces, most=max(self._most_frames // longest, 1))

    def _plan(self, window: Window) -> _Plan:
        pooling = self.reach.pooling
        begin, n = window.first_frame // pooling, len(window.mfcc) // pooling
        fresh = max(self.reach.right, 1)  # steps at least: a batch without frames is none
        kept = self._kept(window.past, begin + self.reach.left, begin + n - fresh)
        start = len(kept) * pooling  # the chunk has `left` steps more than are missing: they stand in for its padding
        return _Plan(begin, n, kept, window.mfcc[start:])

    @staticmethod
    def _kept(past: Past, first: int, stop: int) -> Steps:
        """Steps from `first` on, before `stop`, that are known without a hole."""
        kept = past.kept  # once: another thread may replace it
        if kept is None or kept[0] > first:
            return np.empty((0, 0), np.float32)
        begin, steps = kept
        return steps[first - begin : max(stop - begin, 0)]

    def _edges(self, windows: Sequence[Window], plans: Sequence[_Plan]) -> dict[int, Steps]:
        """First `left` steps of the windows of which something is kept, made of their first frames."""
        rolled = [i for i, plan in enumerate(plans) if len(plan.kept)]
        if not self.reach.left:
            return {i: plans[i].kept[:0] for i in rolled}
        frames = (self.reach.left + self.reach.right) * self.reach.pooling
        made = self._convolved([windows[i].mfcc[:frames] for i in rolled])
        return {i: steps[: self.reach.left] for i, steps in zip(rolled, made, strict=True)}


def in_batches(run: Run, pieces: Sequence[Array], most: int) -> list[Array]:
    """Run over `pieces` [T, C], those of one length together, `most` at once; answers in the order of the pieces."""
    lengths = sorted({len(piece) for piece in pieces})
    answers: dict[int, Array] = {}
    for length in lengths:
        of_length = [i for i, piece in enumerate(pieces) if len(piece) == length]
        for start in range(0, len(of_length), most):
            batch = of_length[start : start + most]
            answers |= dict(zip(batch, run(np.stack([pieces[i] for i in batch])), strict=True))
    return [answers[i] for i in range(len(pieces))]
