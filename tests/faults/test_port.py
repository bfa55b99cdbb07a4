"""Faults at the port: strangers, rubbish, crowds; with keys and without."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import pytest
import zmq
from aftermath import assert_serves
from wholly import Start, statuses, windows

from conftest import Daemon, collect, subscribed
from genred.messages import Message
from genred.publisher import LINGER_MS, REJOIN_S
from guests import Guest, Keys
from test_publisher import ATTACKS

SUBSCRIPTIONS = 5000
CONNECTS, AT_ONCE = 500, 50
HOP = 4  # frames: an estimate each 0.09 s
PAUSE_S = 5 * (REJOIN_S + LINGER_MS / 1000)  # five times what being sent away may take


@pytest.fixture
def keys(tmp_path: Path) -> Keys:
    return Keys(tmp_path)


@pytest.fixture(params=[False, True], ids=["plain", "keys"])
def served(request: pytest.FixtureRequest, daemon: Start, small_model: Path, tmp_path: Path) -> tuple[Daemon, Guest]:
    """A daemon, and somebody who may subscribe."""
    if not request.param:
        return daemon("demo:", "--model", small_model), Guest({})
    keys = Keys(tmp_path)
    return daemon("demo:", "--model", small_model, *keys.options), keys.guest("laptop")


def answered(messages: list[Message]) -> bool:
    return len(windows(messages, "demo")) >= 2


def test_rubbish(served: tuple[Daemon, Guest]) -> None:
    """Random bytes, half greetings, frames without end: who is inside misses nothing."""
    one, guest = served
    with subscribed(one.endpoint, **guest.keys) as subscriber, zmq.Context() as context:
        messages = collect(subscriber, answered)
        for attack in ATTACKS[:-1] if guest.keys else ATTACKS:  # the last one has to be inside, see test_door
            attack(context, one.endpoint)
        messages += assert_serves(one, subscriber, ["demo"], messages, **guest.keys)
        assert subscriber.gaps == 0
    assert statuses(messages, "demo")[-1].total.skipped == 0


def test_thousands_of_subscriptions(served: tuple[Daemon, Guest]) -> None:
    """One who subscribes to thousands of topics gets what he wants; others miss nothing."""
    one, guest = served
    with subscribed(one.endpoint, **guest.keys) as subscriber, zmq.Context() as context:
        messages = collect(subscriber, answered)
        with context.socket(zmq.SUB) as greedy:
            greedy.setsockopt(zmq.SNDHWM, 0)  # else libzmq forgets those beyond the thousandth
            guest.enter(greedy, one.endpoint)
            for n in range(SUBSCRIPTIONS):
                greedy.subscribe(f"estimate/station{n}/")
            greedy.subscribe("hello/")
            assert greedy.poll(20_000), "he is not served"
            messages += collect(subscriber, lambda ms: counted(ms) > SUBSCRIPTIONS)
        messages += collect(subscriber, lambda ms: 0 < counted(ms) < 10)
        messages += assert_serves(one, subscriber, ["demo"], messages, **guest.keys)
        assert subscriber.gaps == 0
    assert statuses(messages, "demo")[-1].total.skipped == 0


def counted(messages: list[Message]) -> int:
    """Subscriptions of the newest status."""
    return statuses(messages)[-1].process.subscriptions if statuses(messages) else 0


def test_hundreds_come_and_go(served: tuple[Daemon, Guest]) -> None:
    """500 subscribers connect, are told hello and go; who stays misses nothing, and the daemon keeps none of them."""
    one, guest = served
    with subscribed(one.endpoint, **guest.keys) as subscriber, zmq.Context() as context:
        messages = collect(subscriber, answered)
        files = open_files(one)
        for _ in range(CONNECTS // AT_ONCE):
            with ExitStack() as stack:
                crowd = [stack.enter_context(context.socket(zmq.SUB)) for _ in range(AT_ONCE)]
                for come in crowd:
                    come.subscribe("hello/")
                    guest.enter(come, one.endpoint)
                for come in crowd:
                    assert come.poll(20_000), "one of them is not served"
        messages += collect(subscriber, lambda ms: len(statuses(ms)) >= 3 and open_files(one) < files + 10)
        messages += assert_serves(one, subscriber, ["demo"], messages, **guest.keys)
        assert subscriber.gaps == 0
    assert statuses(messages, "demo")[-1].total.skipped == 0


def open_files(one: Daemon) -> int:
    return len(list(Path(f"/proc/{one.process.pid}/fd").iterdir()))


def test_a_wrong_key_and_one_that_is_added(daemon: Start, keys: Keys, small_model: Path) -> None:
    """A key that is not allowed receives nothing, nor does none; once in the folder it is served, with no restart."""
    one = daemon("demo:", "--model", small_model, *keys.options)
    laptop, late = keys.guest("laptop"), keys.guest("late", allowed=False)
    with (
        subscribed(one.endpoint, **laptop.keys) as subscriber,
        subscribed(one.endpoint, **late.keys) as outside,
        subscribed(one.endpoint) as keyless,
    ):
        messages = collect(subscriber, answered)
        assert outside.receive(2) is None
        assert keyless.receive(0) is None
        keys.allow("late")
        collect(outside, answered)
        assert_serves(one, subscriber, ["demo"], messages, **laptop.keys)
        assert keyless.receive(0) is None
        assert subscriber.gaps == 0


def test_a_key_that_is_revoked(daemon: Start, keys: Keys, small_model: Path) -> None:
    """Its owner, who is connected, receives nothing any more; the other goes on, with at most the pause missing."""
    one = daemon("demo:", "--model", small_model, "--hop", HOP, *keys.options)
    laptop, villain = keys.guest("laptop"), keys.guest("villain")
    with (
        subscribed(one.endpoint, **laptop.keys) as subscriber,
        subscribed(one.endpoint, **villain.keys) as revoked,
    ):
        messages = collect(subscriber, answered)
        collect(revoked, answered)
        keys.revoke("villain")
        messages += collect(subscriber, lambda _: "is refused" in one.log)
        while revoked.receive(0) is not None:
            pass
        messages += collect(subscriber, lambda ms: len(windows(ms, "demo")) >= 30)
        assert revoked.receive(0) is None
        messages += assert_serves(one, subscriber, ["demo"], messages, **laptop.keys)
        assert revoked.receive(0) is None
        assert subscriber.gaps <= 2 + PAUSE_S / (HOP * 512 / 22050)
    assert statuses(messages, "demo")[-1].total.skipped == 0
