"""Ledger: what a subscriber can check of the messages, with books of its own.

DESIGN's identities hold in every status; what the statuses count is what the estimates were.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field

from msgspec import UNSET

from ..messages import Counters, Estimate, Faults, Hello, Message, Status

UNRIPE = ("warming-up", "too-short")  # reasons of estimates that are about no window
EXAMPLES = 20
SUM_ERROR = 1e-3  # probabilities are rounded where they are written


@dataclass
class _Account:
    """What was heard of one station since the daemon has had its present source.

    Attributes
    ----------
    windows : int
        Estimates about windows; None until a status has said how many there were before.
    status, estimate : the newest one
    """

    windows: int | None = None
    status: Status | None = None
    estimate: Estimate | None = None


@dataclass
class Ledger:
    """See the module.

    Attributes
    ----------
    checked, broken : Counter
        How often each identity was checked, and found broken.
    examples : list of str
        The first that were.
    heard_s : float
        Audio captured, seconds: at least, for what an epoch gets after its last status is not seen.
    """

    checked: Counter[str] = field(default_factory=Counter)
    broken: Counter[str] = field(default_factory=Counter)
    examples: list[str] = field(default_factory=list)
    windows: int = 0
    skipped: int = 0
    messages: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    _accounts: dict[str, _Account] = field(default_factory=dict)
    _heard_s: float = 0.0
    _epochs_s: dict[str, float] = field(default_factory=dict)  # of each station's present one
    _boot: str = ""
    _hop: int = 0  # samples

    @property
    def heard_s(self) -> float:
        """See the class."""
        return self._heard_s + sum(self._epochs_s.values())

    @property
    def states(self) -> dict[str, int]:
        """How many stations are in which state."""
        return dict(Counter(str(one.status.state) for one in self._accounts.values() if one.status is not None))

    def hear(self, message: Message, gaps: int) -> None:
        """Check `message`; `gaps` is how many the subscriber has missed so far."""
        self.messages += 1
        self._boot = self._boot or message.boot
        self._check("one boot", message.boot == self._boot, message)
        self._check("no hole in seq", gaps == 0, message)
        if isinstance(message, Hello):
            self._hop = round(message.hop_s * message.sample_rate)
        elif message.repeat is UNSET and isinstance(message, Status):
            self._hear_status(message)
        elif message.repeat is UNSET and isinstance(message, Estimate):
            self._hear_estimate(message)

    def note(self, name: str, holds: bool, what: object) -> None:
        """Note another check."""
        self._check(name, holds, what)

    def _check(self, name: str, holds: bool, what: object) -> None:
        self.checked[name] += 1
        if not holds:
            self.broken[name] += 1
            if len(self.examples) < EXAMPLES and self.broken[name] <= 3:
                self.examples.append(f"{name}: {what}")

    def _hear_status(self, status: Status) -> None:
        account = self._accounts.setdefault(str(status.station), _Account())
        for c in (status.this_epoch, status.total):
            self._check("expected = captured + lost", c.expected == c.captured + c.lost, status)
            kept = c.fed + c.overwritten + c.discarded + c.waiting
            self._check("captured = fed + overwritten + discarded + waiting", c.captured == kept, status)
            self._check("due = published + skipped", c.due == c.published + c.skipped, status)
            self._check("nothing is negative", min(_values(c)) >= 0, status)
        self._check("the total has this epoch in it", _all_at_least(status.total, status.this_epoch), status)
        if account.windows is None:
            account.windows = status.total.published
        self._check("published = estimates heard", account.windows == status.total.published, status)
        if account.status is not None:
            self._compare(account.status, status)
        self._count(status, account.status)
        if status.state == "ended":  # a reload has taken it out; if it comes again, it counts anew
            self._accounts[str(status.station)] = _Account(windows=0, estimate=account.estimate)
        else:
            account.status = status

    def _compare(self, before: Status, now: Status) -> None:
        forward = _all_at_least(now.total, before.total, but=("waiting",)) and now.epoch >= before.epoch
        if now.epoch == before.epoch:
            forward &= _all_at_least(now.this_epoch, before.this_epoch, but=("waiting",))
        self._check("no count goes back", forward, (before, now))
        self._check("no count of faults goes back", _all_at_least(now.faults, before.faults), (before, now))

    def _count(self, status: Status, before: Status | None) -> None:
        name = str(status.station)
        if before is not None and before.epoch != status.epoch:
            self._heard_s += self._epochs_s.get(name, 0.0)
        if isinstance(status.rate_hz, int):
            self._epochs_s[name] = status.this_epoch.captured / status.rate_hz
        self.skipped += status.total.skipped - (before.total.skipped if before else 0)
        for fault in Faults.__struct_fields__:
            self.faults[fault] += getattr(status.faults, fault) - (getattr(before.faults, fault) if before else 0)
        if status.state == "ended":
            self._heard_s += self._epochs_s.pop(name, 0.0)

    def _hear_estimate(self, estimate: Estimate) -> None:
        if estimate.probabilities is not UNSET:
            total = sum(estimate.probabilities.values())
            self._check("probabilities sum to 1", abs(total - 1.0) < SUM_ERROR, estimate)
        self._check("a label or a reason", (estimate.label is UNSET) != (estimate.reason is UNSET), estimate)
        if not is_answer(estimate):
            return
        self.windows += 1
        account = self._accounts.setdefault(str(estimate.station), _Account())
        if account.windows is not None:
            account.windows += 1
        before, account.estimate = account.estimate, estimate
        if before is None or before.epoch != estimate.epoch:
            self._check("epochs count on", before is None or before.epoch < estimate.epoch, (before, estimate))
        elif self._hop:
            hops = math.ceil((estimate.last_sample - before.last_sample) / self._hop)  # the first one may be short
            missed = estimate.skipped - before.skipped
            self._check("a window each hop, but for those skipped", hops == 1 + missed, (before, estimate))


def is_answer(estimate: Estimate) -> bool:
    """Whether it is about a window, and new."""
    return estimate.repeat is UNSET and estimate.reason not in UNRIPE


def _values(counts: Counters | Faults) -> list[int]:
    return [getattr(counts, name) for name in counts.__struct_fields__]


def _all_at_least(these: Counters | Faults, those: Counters | Faults, but: tuple[str, ...] = ()) -> bool:
    return all(getattr(these, name) >= getattr(those, name) for name in these.__struct_fields__ if name not in but)
