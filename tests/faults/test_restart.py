"""A daemon that is killed, and the next one at the same endpoint: who has subscribed goes on as if told to."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
from aftermath import assert_serves
from wholly import Start, assert_books_balance, statuses, windows

from conftest import collect, subscribed
from genred.messages import Hello, Message
from guests import Guest, Keys

HOP = 4  # frames: an estimate each 0.09 s


@pytest.mark.parametrize("way", ["ipc", "keys"])
def test_a_kill_and_a_restart(daemon: Start, endpoint: str, small_model: Path, tmp_path: Path, way: str) -> None:
    """After SIGKILL the next daemon has another boot id and counts anew; subscribers come to it by themselves.

    They take nothing of the new daemon for a repeat or a gap of the old one, and a socket's file that was left behind
    is in nobody's way.
    """
    keys = Keys(tmp_path) if way == "keys" else None
    guest = keys.guest("laptop") if keys else Guest({})
    where = f"ipc://{tmp_path}/socket" if way == "ipc" else endpoint
    options = ("demo:", "--model", small_model, "--hop", HOP, "--bind", where, *(keys.options if keys else ()))
    one = daemon(*options)
    with subscribed(where, **guest.keys) as subscriber:
        before = collect(subscriber, lambda ms: len(windows(ms, "demo")) >= 20 and len(statuses(ms)) >= 2)
        one.process.kill()
        assert one.wait() == -signal.SIGKILL
        other = daemon(*options)
        other.endpoint = where
        after = collect(subscriber, lambda ms: any(m.boot != before[0].boot for m in ms) and settled(ms))
        after += assert_serves(
            other, subscriber, ["demo"], [m for m in after if m.boot == after[-1].boot], **guest.keys
        )
        assert subscriber.gaps == 0
    assert_books_balance(before)
    old, new = before[0].boot, after[-1].boot
    boots = [m.boot for m in after]
    assert boots == [old] * boots.index(new) + [new] * boots.count(new)
    fresh = [m for m in after if m.boot == new]
    assert any(isinstance(m, Hello) for m in fresh)
    assert {e.epoch for e in windows(fresh, "demo")} == {0}
    assert windows(fresh, "demo")[0].seq < windows(before, "demo")[-1].seq
    assert statuses(fresh)[0].process.uptime_s < 5


def settled(messages: list[Message]) -> bool:
    return bool(windows([m for m in messages if m.boot == messages[-1].boot], "demo"))
