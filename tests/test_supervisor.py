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


class Worker:
    """Attends to one source, as a worker does; its time is as the test says, and passes while nothing is to be done."""

    def __init__(self, source: Script, retry: Retry = AT_ONCE) -> None:
        self.source, self.wake, self.stop = source, threading.Event(), threading.Event()
        self.supervisor = Supervisor("s", source, self.stop, self.wake, retry)
        self.now_s = 1000.0
        self.notices: list[Notice] = []
        self.pauses_s: list[float] = []

    def round(self) -> None:
        """Attend once; then wait for the attempt to end, or let the time of the next one come."""
        if (notice := self.supervisor.attend(self.now_s)) is not None:
            self.notices.append(notice)
        elif self.supervisor.next_try_s is None:
            self.wake.wait(0.01)
            self.wake.clear()
        if self.supervisor.next_try_s is not None and notice is not None:
            self.pauses_s.append(self.supervisor.next_try_s - self.now_s)
            self.now_s = self.supervisor.next_try_s

    def until(self, done: Callable[[], bool]) -> None:
        deadline_s = time.monotonic() + 10
        while not done():
            assert time.monotonic() < deadline_s
            self.round()


@contextmanager
def attended(source: Script, retry: Retry = AT_ONCE) -> Iterator[Worker]:
    """Attend to `source` until it has done all its steps; leave it stopped."""
    worker = Worker(source, retry)
    try:
        worker.until(source.done.is_set)
        yield worker
    finally:
        worker.stop.set()


def ended(source: Script) -> Worker:
    """Attend to a finite `source` until its end has been told."""
    worker = Worker(source)
    worker.until(lambda: bool(worker.notices))
    return worker


def test_retried_for_ever() -> None:
    """A source that is absent is tried again, however often, and each attempt is a notice with its reason."""
    source = Script(*[fails(SourceLost(f"no {number}")) for number in range(50)])
    with attended(source) as worker:
        assert worker.notices == [Notice("lost", f"no {number}") for number in range(50)]
        assert source.runs == 51


def test_pauses_double_up_to_a_cap() -> None:
    """Pauses begin at a second, double, and end at a minute; each is shortened by up to a half, at random."""
    with attended(Script(*[fails(SourceLost("gone"))] * 40), Retry()) as worker:
        pauses_s = worker.pauses_s
    assert len(pauses_s) == 40
    for number, pause_s in enumerate(pauses_s):
        full_s = min(2.0**number, 60.0)
        assert 0.499 * full_s <= pause_s <= 1.001 * full_s
    assert len(set(pauses_s)) == 40
    assert np.std(np.array(pauses_s[10:]) / 60) > 0.05


def test_no_attempt_before_its_time() -> None:
    """While it pauses, attending begins nothing, and one can read when it will."""
    source = Script(fails(SourceLost("gone")))
    worker = Worker(source, Retry(8.0, 8.0))
    worker.until(lambda: bool(worker.notices))
    next_try_s = worker.supervisor.next_try_s
    assert next_try_s is not None
    for now_s in np.linspace(next_try_s - 4.0, next_try_s - 0.001, 10):
        assert worker.supervisor.attend(now_s) is None
        assert worker.supervisor.next_try_s == next_try_s
    worker.supervisor.attend(next_try_s)
    assert worker.supervisor.next_try_s is None
    assert source.done.wait(10)
    assert source.runs == 2
    worker.stop.set()


def test_an_attempt_that_held_begins_anew() -> None:
    """After an attempt longer than the longest pause, the next pause is a short one again."""

    def hold(_output: Output) -> None:
        worker.now_s += 61.0
        raise SourceLost("gone after a while")

    steps = [fails(SourceLost("gone"))] * 10
    source = Script(*steps, hold, *steps)
    worker = Worker(source, Retry(1.0, 60.0))
    worker.until(source.done.is_set)
    worker.stop.set()
    assert worker.pauses_s[9] >= 30.0
    assert worker.pauses_s[10] <= 1.0
    assert worker.pauses_s[20] >= 30.0


def test_a_source_that_hangs_holds_up_nobody() -> None:
    """While an open or a name look-up hangs in C, its supervisor does its rounds at once, and others deliver."""
    release = threading.Event()
    hanging = Worker(Script(lambda _output: release.wait() and None))  # type: ignore[arg-type,func-returns-value]
    hanging.supervisor.attend(0.0)
    started_s = time.monotonic()
    for _ in range(1000):
        assert hanging.supervisor.attend(0.0) is None
    assert time.monotonic() - started_s < 1.0
    with attended(Script(*[plays(1)] * 20)) as other:
        assert sum(intake.ring.written for intake in other.supervisor.arrivals) == 20
    assert hanging.notices == []
    release.set()


def test_after_the_end_nothing_is_begun() -> None:
    """Once the daemon stops, attending starts no source any more."""
    source = Script(plays(1))
    worker = Worker(source)
    worker.stop.set()
    worker.supervisor.attend(0.0)
    assert worker.supervisor.next_try_s is not None
    assert source.runs == 0


def test_no_thread_to_be_had(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the machine refuses a thread the source is lost for now, and tried again."""

    def refuse(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    source = Script(plays(1))
    worker = Worker(source)
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", refuse)
        worker.until(lambda: bool(worker.notices))
    assert worker.notices == [Notice("lost", "can't start new thread")]
    worker.until(source.done.is_set)
    worker.stop.set()


def test_connections_arrive_in_order() -> None:
    """Each connection is an intake of its own, closed when the next is opened or the attempt has ended."""
    with attended(Script(plays(10), plays(20), fails(SourceLost("gone")))) as worker:
        first, second = worker.supervisor.arrivals
        assert (first.ring.written, second.ring.written) == (10, 20)
        assert first.closed
        assert second.closed


def test_a_new_format_closes_the_old_intake() -> None:
    """A live source that begins again has closed what it had; what was delivered stays to be heard."""

    def twice(output: Output) -> None:
        plays(10)(output)
        output.begin(16000, 2)

    with attended(Script(twice)) as worker:
        old, new = worker.supervisor.arrivals
        assert (old.closed, old.ring.written, old.rate_hz) == (True, 10, 8000)
        assert new.rate_hz == 16000


@pytest.mark.parametrize(("clock", "live"), [("none", False), ("none", True), ("arrival", True)])
def test_what_can_wait_does_not_run_ahead(clock: Clock, live: bool) -> None:
    """A file or a stream that begins again and again waits until the worker has taken what it began before."""
    begun: list[int] = []

    def many(output: Output) -> None:
        for number in range(5):
            plays(10)(output)
            begun.append(number)

    source = Script(many, live=live)
    source.clock = clock
    worker = Worker(source)
    arrivals, taken = worker.supervisor.arrivals, 0
    while not source.done.is_set():
        worker.round()
        assert len(arrivals) <= 1
        assert len(begun) <= taken + 2
        if arrivals:
            arrivals.popleft()
            taken += 1
    worker.stop.set()
    assert taken + len(arrivals) == 5


def test_the_end_of_a_finite_source() -> None:
    """A file that is over is not played again."""
    source = Script(ends, finite=True)
    worker = ended(source)
    assert worker.notices == [Notice("ended", "")]
    assert worker.supervisor.next_try_s is None
    worker.round()
    assert source.runs == 1


def test_what_should_not_end_is_begun_again() -> None:
    """A source that should go on for ever, and ends, is lost and tried again: a source is never given up."""
    with attended(Script(ends, ends)) as worker:
        assert [notice.state for notice in worker.notices] == ["lost", "lost"]


def test_unexpected_errors(caplog: pytest.LogCaptureFixture) -> None:
    """A fault in a source's code ends the attempt, not the daemon: a traceback once, the rest is counted."""
    source = Script(fails(ZeroDivisionError("oh")), fails(ZeroDivisionError("oh")), fails(KeyError("x")))
    with caplog.at_level(logging.DEBUG), attended(source) as worker:
        assert worker.supervisor.crashes == 3
        texts = [notice.text for notice in worker.notices]
    assert texts == ["ZeroDivisionError: oh", "ZeroDivisionError: oh", "KeyError: 'x'"]
    (record,) = caplog.records
    assert record.exc_info is not None
    assert isinstance(record.exc_info[1], ZeroDivisionError)


def test_expected_errors_have_no_traceback(caplog: pytest.LogCaptureFixture) -> None:
    """What genred says in one sentence needs no traceback, and does not use up the one of a real fault."""
    source = Script(fails(SourceError("no audio any more")), fails(OSError("disk")))
    with caplog.at_level(logging.DEBUG), attended(source) as worker:
        assert [notice.text for notice in worker.notices] == ["no audio any more", "OSError: disk"]
    assert len(caplog.records) == 1


def test_a_fault_ends_a_finite_source() -> None:
    """A file whose decoding fails has ended, with the reason; it would fail again."""
    worker = ended(Script(fails(ValueError("odd")), finite=True))
    assert worker.notices == [Notice("ended", "ValueError: odd")]
    assert worker.supervisor.crashes == 1


def test_a_fault_leaves_others_alone() -> None:
    """While one source fails over and over, another delivers."""
    playing = Script(*[plays(1)] * 20)
    with attended(Script(*[fails(RuntimeError("again"))] * 20)) as failing, attended(playing) as other:
        assert failing.supervisor.crashes == 20
        assert other.supervisor.crashes == 0
        assert sum(intake.ring.written for intake in other.supervisor.arrivals) == 20


def test_text_from_outside_is_plain() -> None:
    """What a driver or server says may hold escape sequences; they do not reach a terminal."""
    with attended(Script(fails(SourceLost("\x1b[31mred\nalert\x07")))) as worker:
        text = worker.notices[0].text
    assert text.isprintable()
    assert "red" in text


def test_threads_are_never_waited_for() -> None:
    """A source that hangs in C, as a name look-up can, does not keep the process: its thread is a daemon."""
    release = threading.Event()
    source = Script(lambda _output: release.wait() and None)  # type: ignore[arg-type,func-returns-value]
    supervisor = Supervisor("hall", source, threading.Event(), threading.Event(), AT_ONCE)
    supervisor.attend(0.0)
    (thread,) = [thread for thread in threading.enumerate() if thread.name == "source hall"]
    assert thread.daemon
    release.set()
    thread.join(10)
    assert not thread.is_alive()


def test_the_worker_is_woken() -> None:
    """The end of an attempt is told at once."""
    worker = Worker(Script(fails(SourceLost("gone"))))
    worker.supervisor.attend(0.0)
    assert worker.wake.wait(10)
    assert worker.supervisor.attend(0.0) == Notice("lost", "gone")


def test_damaged_pieces_are_counted() -> None:
    """Sources report what they left out, and what an attempt left out stays counted after it."""

    def leave_out(output: Output) -> None:
        output.count_error()
        output.count_error()

    with attended(Script(leave_out, leave_out)) as worker:
        assert worker.supervisor.undecoded == 4
