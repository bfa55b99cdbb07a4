from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import pytest

from genred.errors import SourceError, SourceLost
from genred.sources import Clock, Output
from genred.supervisor import Notice, Retry, Supervisor

AT_ONCE = Retry(0.0, 0.0)


class Script:
    """A source that does the next thing each time it is run; after the last it waits for the end."""

    clock: Clock = "device"

    def __init__(self, *steps: Callable[[Output], None], live: bool = True, finite: bool = False) -> None:
        self.live, self.finite = live, finite
        self.runs = 0
        self.done = threading.Event()
        self._steps = steps

    def run(self, output: Output) -> None:
        self.runs += 1
        if self.runs > len(self._steps):
            self.done.set()
            output.stop.wait()
        else:
            self._steps[self.runs - 1](output)


class Pauses(threading.Event):
    """A `stop` that notes how long it is waited for, and does not wait."""

    def __init__(self) -> None:
        super().__init__()
        self.asked_s: list[float] = []

    def wait(self, timeout: float | None = None) -> bool:
        if timeout is None:
            return super().wait()
        self.asked_s.append(timeout)
        return self.is_set()


def fails(error: Exception) -> Callable[[Output], None]:
    def step(_output: Output) -> None:
        raise error

    return step


def plays(n: int) -> Callable[[Output], None]:
    def step(output: Output) -> None:
        output.begin(8000).overwrite(np.zeros((n, 1), np.float32))

    return step


def ends(_output: Output) -> None:
    """Return, as a source does whose audio is over."""


@contextmanager
def running(source: Script, stop: threading.Event | None = None, retry: Retry = AT_ONCE) -> Iterator[Supervisor]:
    """Run `source` until it has done all its steps; leave it stopped."""
    supervisor = Supervisor("s", source, stop or threading.Event(), threading.Event(), retry)
    supervisor.start()
    try:
        assert source.done.wait(10)
        yield supervisor
    finally:
        supervisor.stop.set()


def test_retried_for_ever() -> None:
    """A source that is absent is tried again, however often, and each attempt is a notice with its reason."""
    source = Script(*[fails(SourceLost(f"no {number}")) for number in range(50)])
    with running(source) as supervisor:
        assert [notice.text for notice in supervisor.notices] == [f"no {number}" for number in range(50)]
        assert {notice.state for notice in supervisor.notices} == {"lost"}
        assert source.runs == 51


def test_pauses_double_up_to_a_cap() -> None:
    """Pauses begin at a second, double, and end at a minute; each is shortened by up to a half, at random."""
    stop = Pauses()
    with running(Script(*[fails(SourceLost("gone"))] * 40), stop, Retry()):
        pauses = stop.asked_s[:40]
    for number, pause_s in enumerate(pauses):
        full_s = min(2.0**number, 60.0)
        assert 0.5 * full_s <= pause_s <= full_s
    assert len(set(pauses)) == 40
    assert np.std(np.array(pauses[10:]) / 60) > 0.05


def test_an_attempt_that_held_begins_anew() -> None:
    """After an attempt longer than the longest pause, the next pause is a short one again."""
    stop = Pauses()
    held = threading.Event()

    def hold(_output: Output) -> None:
        held.wait(0.2)
        raise SourceLost("gone after a while")

    steps = [fails(SourceLost("gone"))] * 10
    with running(Script(*steps, hold, *steps), stop, Retry(0.001, 0.15)):
        pauses = stop.asked_s
    assert pauses[9] >= 0.075
    assert pauses[10] <= 0.001
    assert pauses[20] >= 0.075


def test_connections_arrive_in_order() -> None:
    """Each connection is an intake of its own, closed when the next is opened or the attempt has ended."""
    with running(Script(plays(10), plays(20), fails(SourceLost("gone")))) as supervisor:
        first, second = supervisor.arrivals
        assert (first.ring.written, second.ring.written) == (10, 20)
        assert first.closed
        assert second.closed


def test_a_new_format_closes_the_old_intake() -> None:
    """A live source that begins again has closed what it had; what was delivered stays to be heard."""

    def twice(output: Output) -> None:
        plays(10)(output)
        output.begin(16000, 2)

    with running(Script(twice)) as supervisor:
        old, new = supervisor.arrivals
        assert (old.closed, old.ring.written, old.rate_hz) == (True, 10, 8000)
        assert new.rate_hz == 16000


def test_what_can_wait_does_not_run_ahead() -> None:
    """A file that begins again and again waits until the worker has taken what it began before."""
    begun: list[int] = []

    def many(output: Output) -> None:
        for number in range(5):
            plays(10)(output)
            begun.append(number)

    source = Script(many, live=False)
    supervisor = Supervisor("s", source, threading.Event(), threading.Event(), AT_ONCE)
    supervisor.start()
    taken = 0
    while not source.done.is_set():
        assert len(supervisor.arrivals) <= 1
        assert len(begun) <= taken + 2
        if supervisor.arrivals:
            supervisor.arrivals.popleft()
            taken += 1
        time.sleep(0.001)
    supervisor.stop.set()
    assert taken + len(supervisor.arrivals) == 5


def test_the_end_of_a_finite_source() -> None:
    """A file that is over is not played again."""
    supervisor = Supervisor("s", Script(ends, finite=True), threading.Event(), threading.Event(), AT_ONCE)
    supervisor._run()
    assert list(supervisor.notices) == [Notice("ended", "")]
    assert supervisor.wake.is_set()


def test_what_should_not_end_is_begun_again() -> None:
    """A source that should go on for ever, and ends, is lost and tried again: a source is never given up."""
    with running(Script(ends, ends)) as supervisor:
        assert [notice.state for notice in supervisor.notices] == ["lost", "lost"]


def test_unexpected_errors(caplog: pytest.LogCaptureFixture) -> None:
    """A fault in a source's code ends the attempt, not the daemon: a traceback once, the rest is counted."""
    source = Script(fails(ZeroDivisionError("oh")), fails(ZeroDivisionError("oh")), fails(KeyError("x")))
    with caplog.at_level(logging.DEBUG), running(source) as supervisor:
        assert supervisor.crashes == 3
        texts = [notice.text for notice in supervisor.notices]
    assert texts == ["ZeroDivisionError: oh", "ZeroDivisionError: oh", "KeyError: 'x'"]
    (record,) = caplog.records
    assert record.exc_info is not None
    assert isinstance(record.exc_info[1], ZeroDivisionError)


def test_expected_errors_have_no_traceback(caplog: pytest.LogCaptureFixture) -> None:
    """What genred says in one sentence needs no traceback, and does not use up the one of a real fault."""
    source = Script(fails(SourceError("no audio any more")), fails(OSError("disk")))
    with caplog.at_level(logging.DEBUG), running(source) as supervisor:
        assert [notice.text for notice in supervisor.notices] == ["no audio any more", "OSError: disk"]
    assert len(caplog.records) == 1


def test_a_fault_ends_a_finite_source() -> None:
    """A file whose decoding fails has ended, with the reason; it would fail again."""
    source = Script(fails(ValueError("odd")), finite=True)
    supervisor = Supervisor("s", source, threading.Event(), threading.Event(), AT_ONCE)
    supervisor._run()
    assert list(supervisor.notices) == [Notice("ended", "ValueError: odd")]


def test_a_fault_leaves_others_alone() -> None:
    """While one source fails over and over, another delivers."""
    playing = Script(*[plays(1)] * 20)
    with running(Script(*[fails(RuntimeError("again"))] * 20)) as failing, running(playing) as other:
        assert failing.crashes == 20
        assert other.crashes == 0
        assert sum(intake.ring.written for intake in other.arrivals) == 20


def test_text_from_outside_is_plain() -> None:
    """What a driver or server says may hold escape sequences; they do not reach a terminal."""
    with running(Script(fails(SourceLost("\x1b[31mred\nalert\x07")))) as supervisor:
        text = supervisor.notices[0].text
    assert text.isprintable()
    assert "red" in text


def test_threads_are_never_waited_for() -> None:
    """A source that hangs in C, as a name look-up can, does not keep the process: its thread is a daemon."""
    release = threading.Event()
    source = Script(lambda _output: release.wait() and None)  # type: ignore[arg-type,func-returns-value]
    supervisor = Supervisor("hall", source, threading.Event(), threading.Event(), AT_ONCE)
    supervisor.start()
    (thread,) = [thread for thread in threading.enumerate() if thread.name == "source hall"]
    supervisor.stop.set()
    release.set()
    thread.join(10)
    assert not thread.is_alive()
    assert thread.daemon


def test_the_worker_is_woken() -> None:
    """The end of an attempt is told at once."""
    with running(Script(fails(SourceLost("gone")))) as supervisor:
        assert supervisor.wake.is_set()


def test_damaged_pieces_are_counted() -> None:
    """Sources report what they left out."""

    def leave_out(output: Output) -> None:
        output.count_error()
        output.count_error()

    with running(Script(leave_out)) as supervisor:
        assert supervisor.undecoded == 2
