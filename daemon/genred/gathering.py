"""Gathering: the snapshot of a daemon, put together from its messages; of one elsewhere, or of several processes."""

from __future__ import annotations

from dataclasses import dataclass, field

from .messages import Estimate, Event, Hello, Message, Segment, Status
from .snapshot import History, Snapshot, going_on
from .subscriber import FIRST_ANSWER_S

REBUILD_S = 0.5  # between two snapshots
STALE_S = 3.0  # a station tells of itself each second


@dataclass
class _Heard:
    """What has come of one station since the daemon's start; its past is older."""

    history: History = field(default_factory=History)
    status: Status | None = None
    estimate: Estimate | None = None
    segment: Segment | None = None
    heard_s: float = 0.0


class Gathering:
    """Messages in, snapshot out; it knows no socket and no clock.

    Parameters
    ----------
    endpoint : str
        Where they come from.
    now_s : float
        Any clock's time, in seconds, as in all methods.

    Attributes
    ----------
    hello : Hello or None
        What the daemon last said that it is.
    obstacle : str
        Why what comes from there cannot be read; empty if it can.
    refusal : str
        What the daemon does instead of letting us in, and the remedy; empty if it lets us in.
    """

    def __init__(self, endpoint: str, now_s: float) -> None:
        self.obstacle = self.refusal = ""
        self.endpoint = endpoint
        self._stations: dict[str, _Heard] = {}
        self.hello: Hello | None = None
        self._boot = ""
        self._heard_s = now_s  # the newest message, or the beginning
        self._changed = True
        self._made = Snapshot(None, endpoint)
        self._made_s = float("-inf")

    def heed(self, message: Message, now_s: float) -> None:
        """Take one message; with a new ``boot`` the daemon has been started again, and only the past is kept."""
        if message.boot != self._boot:
            self._boot, self.hello = message.boot, None
            for heard in self._stations.values():
                heard.status = heard.estimate = heard.segment = None
        self._heard_s, self._changed = now_s, True
        if isinstance(message, Hello):
            self.hello = message
            names = [station.name for station in message.stations]
            self._stations = {name: self._stations.get(name) or _Heard() for name in names}
        elif not isinstance(message, Event):
            self._heed_station(message, now_s)

    def _heed_station(self, message: Estimate | Segment | Status, now_s: float) -> None:
        heard = self._stations.setdefault(str(message.station), _Heard())
        if isinstance(message, Status):
            heard.status, heard.heard_s = message, now_s
            heard.history.measured(message)
            return
        if isinstance(message, Segment):
            heard.segment = going_on(message)
            return
        heard.estimate = message
        if message.repeat is not True:  # it may be of hours ago
            heard.history.heard(message, now_s)

    def snapshot(self, now_s: float) -> Snapshot:
        """Return the newest snapshot; the same object as before if it would say the same."""
        silent_s = now_s - self._heard_s
        due = now_s - self._made_s >= (REBUILD_S if self._changed else 2 * REBUILD_S)
        if due and (self._changed or silent_s > FIRST_ANSWER_S):
            self._made = self._make(now_s)
            self._made_s, self._changed = now_s, False
        return self._made

    def _make(self, now_s: float) -> Snapshot:
        views = tuple(
            one.history.view(one.status, one.estimate, now_s, _stale_s(one, now_s), one.segment)
            for one in self._stations.values()
            if one.status is not None
        )
        return Snapshot(self.hello, self.endpoint, views, remark=self.remark(now_s))

    def answers(self, now_s: float) -> bool | None:
        """Whether a daemon answers; None while that is not known."""
        if now_s - self._heard_s >= (STALE_S if self._boot else FIRST_ANSWER_S):
            return False
        return True if self.hello is not None else None

    def remark(self, now_s: float) -> str:
        """Say what is wrong with the daemon as a whole; empty if it answers."""
        if self.answers(now_s) is not False:
            return "" if self._boot else f"asking {self.endpoint}"
        if self.refusal:
            return f"{self.endpoint} {self.refusal}"
        if self.obstacle:
            return f"what comes from {self.endpoint} cannot be read: {self.obstacle}"
        return f"no daemon answers at {self.endpoint} for {now_s - self._heard_s:.0f} s"


def _stale_s(heard: _Heard, now_s: float) -> float:
    silent_s = now_s - heard.heard_s
    return silent_s if silent_s >= STALE_S else 0.0
