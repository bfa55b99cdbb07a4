"""What every fault test ends with: the books balance, and the daemon still serves, old subscribers and new ones."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from wholly import assert_books_balance, statuses, windows

from conftest import Daemon, collect, subscribed
from genred.messages import Message
from genred.subscriber import Subscriber

SETTLED = 3  # statuses and windows of each station, from now on
END_S = 5 * 1.0  # five times what is promised


def assert_serves(
    one: Daemon, subscriber: Subscriber, names: Sequence[str], before: Sequence[Message], **keys: Path
) -> list[Message]:
    """Each station answers, its books have balanced all along, and it ends with 0 when asked."""

    def settled(messages: list[Message]) -> bool:
        return all(min(len(statuses(messages, n)), len(windows(messages, n))) >= SETTLED for n in names)

    after = collect(subscriber, settled)
    with subscribed(one.endpoint, "hello", **keys) as late:
        assert late.receive(5 * 0.5) is not None, "a new subscriber is told nothing"
    assert_books_balance([*before, *after])
    assert "please report this" not in one.log
    assert one.stop(timeout_s=END_S) == 0
    return after
