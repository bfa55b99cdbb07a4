"""Segments: steady answers out of windows that overlap. Pure and causal: no clock, no thread, nothing from the future.

::

    probabilities of each window --+--> mean that forgets --> label with hysteresis    --> Smooth, of each window
                                   +--> test for a change of the label, with its place --> Segment: start, update, end

**Smoothing** (Brown 1956, "Exponential smoothing for predicting demand"), for steps of any length dt::

    mean <- mean + a (p - mean),  a = 1 - exp(-dt / smoothing_s);      delay <- (1 - a) (delay + dt)

The delay is how old the windows in the mean are, weighed as they are there. It comes on top of the windows' own: what
is in the middle of a window sounded half its length ago.

**Hysteresis** (Schmitt 1938, "A thermionic trigger"): the label stays until another one's mean is more by `margin`.

**Segments** (Page 1954, "Continuous inspection schemes"): of each other label j a cumulative sum against the label k
of the segment, which never falls below 0 and means a change when it reaches `evidence`::

    sum_j <- max(0, sum_j + w log(p_j / p_k))

With equal priors p_j / p_k is the likelihood ratio that Page's test wants. w is the share of the window that no window
before had: neighbours share the rest, and a window's length of new sound counts once, whatever the hop is. Ratios are
bounded by FLOOR (Huber 1965, "A robust version of the probability ratio test"). The change is where the sum was last 0
(Page's own estimate): there both labels were as probable, so half the window was of each, and the boundary is in its
middle. A segment of no more than half a window, of which no window is mostly its own, was an error: it is labelled
anew, not ended.

**Unsure** is one more label. With q for the greatest probability of a window, and u for what that has to reach, its own
is (1 - q) u / (1 - u): that of everything else, so weighed that both are the same where q = u.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

FLOOR = 0.01  # of probabilities in ratios: one window says at most 100 to 1
MOST_UNSURE = 0.999  # what a window has to reach, to keep its odds finite

Doubles = NDArray[np.float64]
Phase = Literal["start", "update", "end"]


@dataclass(frozen=True)
class Settings:
    """How steady it shall be. The defaults were chosen by ``genretrain joined``, on validation tracks.

    Attributes
    ----------
    smoothing_s : float
        Time constant of the mean; 0 for no smoothing.
    margin : float
        By how much another label's mean must exceed that of the present one, 0 to 1.
    evidence : float
        Logarithm of the likelihood ratio that is a change.
    update_s : float
        A segment is told again after so much more of it.
    """

    smoothing_s: float = 6.0
    margin: float = 0.2
    evidence: float = 1.3
    update_s: float = 10.0


@dataclass(frozen=True)
class Heard:
    """What a window was answered with.

    Attributes
    ----------
    first_sample, last_sample : int
        Of the window, both included, counted from the epoch's beginning.
    sample_rate : int
        Hz, at which these are counted.
    probabilities : mapping or None
        Of every label, in the same order always; none where there was silence.
    unsure_below : float
        What the greatest of them had to reach.
    """

    first_sample: int
    last_sample: int
    sample_rate: int
    probabilities: Mapping[str, float] | None
    unsure_below: float = 0.0

    @property
    def samples(self) -> int:
        """Length of the window."""
        return self.last_sample + 1 - self.first_sample

    @property
    def middle(self) -> int:
        """Sample in the middle of the window."""
        return (self.first_sample + self.last_sample + 1) // 2


@dataclass(frozen=True)
class Smooth:
    """A smoothed answer.

    Attributes
    ----------
    label : str or None
        The one that is held; None while it is unsure.
    probabilities : dict
        The means; they sum to 1.
    delay_s : float
        Mean age of what they are made of, from the newest window's.
    """

    label: str | None
    probabilities: dict[str, float]
    delay_s: float

    @property
    def confidence(self) -> float | None:
        """Mean probability of the label."""
        return None if self.label is None else self.probabilities[self.label]


@dataclass(frozen=True)
class Segment:
    """A stretch of one label: that it has begun, goes on, or has ended.

    Attributes
    ----------
    number : int
        Counts from 0; the same in all phases.
    label : str or None
        None of one that is unsure; an update may bring another one.
    probabilities : dict
        Means over its windows so far.
    windows : int
        How many these are.
    first_sample, last_sample : int
        Both included. Before the end, the last one is that of the newest window.
    delay_s : float
        From its last sample, of a start from its first, to the end of the window by which that was found.
    """

    phase: Phase
    number: int
    label: str | None
    probabilities: dict[str, float]
    windows: int
    first_sample: int
    last_sample: int
    delay_s: float

    @property
    def confidence(self) -> float | None:
        """Mean probability of the label."""
        return None if self.label is None else self.probabilities[self.label]


class Tracker:
    """Follows the windows of one station."""

    def __init__(self, settings: Settings = Settings()) -> None:
        self._smoother = Smoother(settings)
        self._segmenter = Segmenter(settings)

    def hear(self, heard: Heard) -> tuple[Smooth | None, list[Segment]]:
        """Take the next window of the epoch; silence has no smoothed answer, and ends what was before it."""
        if not heard.probabilities:
            self._smoother.reset()
            return None, self._segmenter.pause(heard.last_sample)
        return self._smoother.hear(heard), self._segmenter.hear(heard)

    def cut(self) -> list[Segment]:
        """End the segment, if there is one, though the epoch goes on: other labels may be asked for from now on."""
        self._smoother.reset()
        return self._segmenter.cut()

    def end(self) -> list[Segment]:
        """End the segment, if there is one: the epoch is over. What comes next knows nothing of it."""
        self._smoother.reset()
        return self._segmenter.end()


class Smoother:
    """Smoothing and hysteresis; see the module."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.reset()

    def reset(self) -> None:
        """Forget everything."""
        self._means: Doubles | None = None
        self._delay_s = 0.0
        self._last = self._held = 0

    def hear(self, heard: Heard) -> Smooth:
        """Take the next window."""
        shares = _shares(heard)
        if self._means is None:
            self._means, self._held = shares, int(shares.argmax())
        else:
            step_s = (heard.last_sample - self._last) / heard.sample_rate
            kept = math.exp(-step_s / self._settings.smoothing_s) if self._settings.smoothing_s else 0.0
            self._means = shares + kept * (self._means - shares)
            self._delay_s = kept * (self._delay_s + step_s)
        self._last = heard.last_sample
        best = int(self._means.argmax())
        if self._means[best] > self._means[self._held] + self._settings.margin:
            self._held = best
        return Smooth(_name(heard, self._held), _table(heard, self._means[:-1]), self._delay_s)


@dataclass
class _Run:
    """The segment that is going on, and what speaks for another label.

    Attributes
    ----------
    held : int
        Its label's number.
    sums : Doubles
        [K], of the probabilities of its windows.
    evidence, since, later_sums, later_windows : NDArray
        [K + 1], and [K + 1, K] the third: for each other label the cumulative sum, the sample at which it was last 0,
        and sums and windows from there on.
    told : int
        Last sample of the window with which it was last told.
    """

    number: int
    held: int
    first: int
    sums: Doubles
    windows: int
    told: int
    newest: Heard
    evidence: Doubles = field(init=False)
    since: NDArray[np.int64] = field(init=False)
    later_sums: Doubles = field(init=False)
    later_windows: NDArray[np.int64] = field(init=False)

    def __post_init__(self) -> None:
        self.trust(self.held)

    def trust(self, held: int) -> None:
        """Take `held` for the label; nothing speaks for another one."""
        n = len(self.sums) + 1
        self.held, self.evidence = held, np.zeros(n)
        self.since = np.full(n, self.newest.middle)
        self.later_sums, self.later_windows = np.zeros((n, n - 1)), np.zeros(n, np.int64)

    def hear(self, heard: Heard) -> None:
        """Take the next window."""
        shares = _shares(heard)
        new = min(max(heard.last_sample - self.newest.last_sample, 0) / heard.samples, 1.0)
        logs = np.log(np.maximum(shares, FLOOR))
        evidence = self.evidence + new * (logs - logs[self.held])
        grows = evidence > 0
        self.evidence = np.where(grows, evidence, 0.0)
        self.since = np.where(grows, self.since, heard.middle)
        self.later_sums = np.where(grows[:, None], self.later_sums + shares[:-1], 0.0)
        self.later_windows = np.where(grows, self.later_windows + 1, 0)
        self.sums = self.sums + shares[:-1]
        self.windows += 1
        self.newest = heard

    def split(self, label: int) -> tuple[_Run, _Run]:
        """Return this run up to the change to `label`, and the one from there on."""
        sums, windows, since = self.later_sums[label], int(self.later_windows[label]), int(self.since[label])
        before = replace(self, sums=self.sums - sums, windows=self.windows - windows)
        return before, _Run(self.number + 1, label, since, sums, windows, self.newest.last_sample, self.newest)


class Segmenter:
    """Change-point detection; see the module."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._run: _Run | None = None
        self._number = 0  # of the next segment, if none goes on
        self._free = 0  # the first sample of the epoch that it may have: those before are others', or silence

    def hear(self, heard: Heard) -> list[Segment]:
        """Take the next window; return what there is to tell."""
        run = self._run
        if run is None:
            shares = _shares(heard)
            held, first = int(shares.argmax()), max(heard.first_sample, self._free)
            self._run = _Run(self._number, held, first, shares[:-1], 1, heard.last_sample, heard)
            return [self._tell(self._run, "start")]
        run.hear(heard)
        label = int(run.evidence.argmax())
        if run.evidence[label] >= self._settings.evidence:
            return self._change(run, label)
        if (heard.last_sample - run.told) >= self._settings.update_s * heard.sample_rate:
            return [self._tell(run, "update")]
        return []

    def pause(self, last_sample: int) -> list[Segment]:
        """Take a window of silence, which ends at `last_sample`; windows after it still reach back before it."""
        told, self._free = self.cut(), last_sample + 1
        return told

    def cut(self) -> list[Segment]:
        """End the segment, if there is one; the next one of the epoch begins after it."""
        run, self._run = self._run, None
        if run is None:
            return []
        self._number, self._free = run.number + 1, run.newest.last_sample + 1
        return [self._tell(run, "end")]

    def end(self) -> list[Segment]:
        """End the segment, if there is one, with its epoch."""
        told, self._free = self.cut(), 0
        return told

    def _change(self, run: _Run, label: int) -> list[Segment]:
        if run.since[label] - run.first <= run.newest.samples / 2:
            run.trust(label)
            return [self._tell(run, "update")]
        before, self._run = run.split(label)
        return [self._tell(before, "end", self._run.first - 1), self._tell(self._run, "start")]

    def _tell(self, run: _Run, phase: Phase, last_sample: int | None = None) -> Segment:
        run.told = run.newest.last_sample
        last = run.told if last_sample is None else last_sample
        return Segment(
            phase=phase,
            number=run.number,
            label=_name(run.newest, run.held),
            probabilities=_table(run.newest, run.sums / run.windows),
            windows=run.windows,
            first_sample=run.first,
            last_sample=last,
            delay_s=(run.told - (run.first if phase == "start" else last)) / run.newest.sample_rate,
        )


def _shares(heard: Heard) -> Doubles:
    """Probabilities [K + 1]; that of unsure is the last."""
    shares = np.array([*(heard.probabilities or {}).values(), 0.0], np.float64)
    least = min(heard.unsure_below, MOST_UNSURE)
    shares[-1] = (1 - shares.max()) * least / (1 - least)
    return shares


def _name(heard: Heard, number: int) -> str | None:
    labels = list(heard.probabilities or {})
    return labels[number] if number < len(labels) else None


def _table(heard: Heard, values: Doubles) -> dict[str, float]:
    return dict(zip(heard.probabilities or {}, values.tolist(), strict=True))
