"""Boundaries: where one genre follows another, as it was and as it was told; and how well these agree. Pure.

Boundaries are compared as in the segmentation tasks of MIREX: one to one, each true one with the nearest that was told
within TOLERANCE_S (Turnbull et al. 2007, "A supervised approach for detecting boundaries in music").
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from genred.segments import Heard, Settings, Tracker

TOLERANCE_S = 15.0  # half of GTZAN's tracks: nothing that was told is near two boundaries


@dataclass(frozen=True)
class Told:
    """From `told_s` on it is said that there is `label` since `since_s`; seconds of the sound."""

    told_s: float
    since_s: float
    label: str | None


@dataclass(frozen=True)
class Hearing:
    """Joined sound, and what its windows were answered with.

    Attributes
    ----------
    truth : tuple of (float, str)
        For each passage, the second at which it ends, and its genre.
    """

    truth: tuple[tuple[float, str], ...]
    heard: tuple[Heard, ...]

    def end_s(self, heard: Heard) -> float:
        """When the window ends, seconds."""
        return (heard.last_sample + 1) / heard.sample_rate

    def middle_s(self, heard: Heard) -> float:
        """When its middle sounds, seconds."""
        return heard.middle / heard.sample_rate


Method = Callable[[Hearing], list[Told]]


def arg_max(hearing: Hearing) -> list[Told]:
    """The most probable label of each window by itself."""
    return [
        Told(
            hearing.end_s(heard), hearing.middle_s(heard), max(heard.probabilities, key=heard.probabilities.__getitem__)
        )
        for heard in hearing.heard
        if heard.probabilities
    ]


def smoothed(settings: Settings) -> Method:
    """The smoothed label with hysteresis."""

    def told(hearing: Hearing) -> list[Told]:
        tracker, labels = Tracker(settings), []
        for heard in hearing.heard:
            smooth, _ = tracker.hear(heard)
            if smooth is not None:
                labels.append(Told(hearing.end_s(heard), hearing.middle_s(heard) - smooth.delay_s, smooth.label))
        return labels

    return told


def segmented(settings: Settings) -> Method:
    """The segments."""

    def told(hearing: Hearing) -> list[Told]:
        tracker, labels = Tracker(settings), []
        for heard in hearing.heard:
            _, segments = tracker.hear(heard)
            labels += [
                Told(hearing.end_s(heard), segment.first_sample / heard.sample_rate, segment.label)
                for segment in segments
                if segment.phase != "end"
            ]
        return labels

    return told


@dataclass(frozen=True)
class Score:
    """How well what was told agrees with the truth.

    Attributes
    ----------
    boundaries, missed : int
        True ones; those of them that nothing is near to.
    spurious, taken_back : int
        Told ones that are near to no true one, and labels that were told and then taken back; the latter alone.
    spurious_a_minute : float
    f : float
        Harmonic mean of the share of the true ones that were told, and of the told ones that are true.
    error_s, error_90_s : float
        Median and 90th percentile of the distance in time, of those that are near to each other.
    delay_s, delay_90_s : float
        Of how long after the true boundary it was told.
    right : float
        Share of windows at whose end the genre was told that sounded then.
    right_afterwards : float
        Share of windows at whose end the genre sounded that is told of that moment in the end.
    """

    boundaries: int
    missed: int
    spurious: int
    taken_back: int
    spurious_a_minute: float
    f: float
    error_s: float
    error_90_s: float
    delay_s: float
    delay_90_s: float
    right: float
    right_afterwards: float


def score(hearings: Sequence[Hearing], method: Method) -> Score:
    """Score of `method` over all `hearings`."""
    boundaries = spurious = taken_back = 0
    errors: list[float] = []
    delays: list[float] = []
    right: list[bool] = []
    afterwards: list[bool] = []
    for hearing in hearings:
        told = method(hearing)
        changes, again = settled(told)
        truth = [end_s for end_s, _ in hearing.truth[:-1]]
        pairs = matched(truth, [change.since_s for change in changes[1:]])
        boundaries, taken_back = boundaries + len(truth), taken_back + again
        spurious += len(changes) - 1 - len(pairs) + again
        errors += [abs(changes[1 + j].since_s - truth[i]) for i, j in pairs]
        delays += [changes[1 + j].told_s - truth[i] for i, j in pairs]
        times = [hearing.end_s(heard) for heard in hearing.heard if hearing.end_s(heard) <= hearing.truth[-1][0]]
        right += [_label_at(told, at_s, told_by=True) == _genre_at(hearing, at_s) for at_s in times]
        afterwards += [_label_at(changes, at_s, told_by=False) == _genre_at(hearing, at_s) for at_s in times]
    minutes = sum(hearing.truth[-1][0] for hearing in hearings) / 60
    return Score(
        boundaries=boundaries,
        missed=boundaries - len(errors),
        spurious=spurious,
        taken_back=taken_back,
        spurious_a_minute=spurious / minutes,
        f=2 * len(errors) / max(boundaries + len(errors) + spurious, 1),
        error_s=_quantile(errors, 0.5),
        error_90_s=_quantile(errors, 0.9),
        delay_s=_quantile(delays, 0.5),
        delay_90_s=_quantile(delays, 0.9),
        right=float(np.mean(right)),
        right_afterwards=float(np.mean(afterwards)),
    )


def settled(told: Sequence[Told]) -> tuple[list[Told], int]:
    """Changes of the label as they stand in the end, the first label before them; and how many labels were taken back.

    What is told of the same moment again is the same change, under its newest label.
    """
    changes: list[Told] = []
    taken_back = 0
    for one in told:
        if changes and one.since_s == changes[-1].since_s:
            taken_back += one.label != changes[-1].label
            changes[-1] = replace(changes[-1], label=one.label)
        elif not changes or one.label != changes[-1].label:
            changes.append(one)
    return [one for at, one in enumerate(changes) if not at or one.label != changes[at - 1].label], taken_back


def matched(truth: Sequence[float], told: Sequence[float]) -> list[tuple[int, int]]:
    """Pairs of numbers of true and told boundaries that belong together, none twice, the nearest first."""
    near = sorted(
        (abs(true - one), i, j)
        for i, true in enumerate(truth)
        for j, one in enumerate(told)
        if abs(true - one) <= TOLERANCE_S
    )
    pairs: list[tuple[int, int]] = []
    for _, i, j in near:
        if all(i != a and j != b for a, b in pairs):
            pairs.append((i, j))
    return pairs


def _label_at(told: Sequence[Told], at_s: float, *, told_by: bool) -> str | None:
    """Label told by then, or for then; before the first there is none but that."""
    labels = [one.label for one in told if (one.told_s if told_by else one.since_s) <= at_s]
    return labels[-1] if labels else told[0].label


def _genre_at(hearing: Hearing, at_s: float) -> str:
    return next(genre for end_s, genre in hearing.truth if at_s <= end_s)


def _quantile(values: Sequence[float], share: float) -> float:
    return float(np.quantile(values, share)) if values else 0.0
