from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from genred import systemd
from genred.service import HEALTHY_S, Pulse


class Manager:
    """The service manager's end of NOTIFY_SOCKET."""

    def __init__(self, address: str) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(address)
        self._socket.setblocking(False)

    def told(self) -> list[list[str]]:
        """All messages since last asked, as lines."""
        messages = []
        while True:
            try:
                messages.append(self._socket.recv(4096).decode().split("\n"))
            except BlockingIOError:
                return messages

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def manager(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Manager]:
    address = str(tmp_path / "notify")
    monkeypatch.setenv(systemd.ADDRESS, address)
    manager = Manager(address)
    yield manager
    manager.close()


@dataclass
class Loop:
    """A worker or a publisher, as Pulse sees it."""

    alive_s: float
    snapshot: Any = None


@dataclass
class Answer:
    reason: str


@dataclass
class Named:
    """What Pulse reads of a snapshot."""

    state: str
    station: str = "s"
    text: str = ""
    estimate: Answer | None = None

    @property
    def status(self) -> Named:
        return self


@dataclass
class Seen:
    stations: tuple[Named, ...]


def snapshot(*states: str) -> Seen:
    return Seen(tuple(map(Named, states)))


def loops(*states: str) -> tuple[Loop, Loop]:
    """A worker with these stations and a publisher that both have just finished a round."""
    now_s = time.monotonic()
    return Loop(now_s, snapshot(*states)), Loop(now_s)


def pulse(worker: Loop, publisher: Loop, ready_s: float = 60.0) -> Pulse:
    return Pulse(worker, publisher, ready_s)  # type: ignore[arg-type]


def test_notify(manager: Manager) -> None:
    """Assignments are lines of one datagram."""
    systemd.notify("READY=1", "STATUS=listening to Füße")
    assert manager.told() == [["READY=1", "STATUS=listening to Füße"]]


def test_notify_abstract(monkeypatch: pytest.MonkeyPatch) -> None:
    """An address that begins with @ is in the abstract namespace."""
    manager = Manager("\0genred-test-notify")
    monkeypatch.setenv(systemd.ADDRESS, "@genred-test-notify")
    systemd.notify("STOPPING=1")
    assert manager.told() == [["STOPPING=1"]]
    manager.close()


def test_without_systemd(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Started by hand, or after the manager has gone, nothing is told and nothing fails."""
    monkeypatch.delenv(systemd.ADDRESS, raising=False)
    systemd.notify("READY=1")
    monkeypatch.setenv(systemd.ADDRESS, str(tmp_path / "gone"))
    systemd.notify("READY=1")


@pytest.mark.parametrize(("text", "seconds"), [("30000000", 30.0), ("1500000", 1.5), ("", None), ("soon", None)])
def test_watchdog_time(monkeypatch: pytest.MonkeyPatch, text: str, seconds: float | None) -> None:
    """WATCHDOG_USEC is in microseconds; without it there is no watchdog."""
    monkeypatch.setenv(systemd.WATCHDOG, text)
    assert systemd.watchdog_s() == seconds


def fed(manager: Manager) -> int:
    """How often the watchdog was fed since last asked."""
    return sum("WATCHDOG=1" in message for message in manager.told())


def rounds(one: Pulse, worker: Loop, publisher: Loop, manager: Manager, **options: bool) -> list[str]:
    """Beat until something is told; return it."""
    deadline = time.monotonic() + 10
    while True:
        assert time.monotonic() < deadline
        worker.alive_s = publisher.alive_s = time.monotonic()
        one.beat(**options)
        if told := manager.told():
            return [line for message in told for line in message]


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """A watchdog that is fed each 10 ms."""
    monkeypatch.setenv(systemd.WATCHDOG, "30000")


@pytest.mark.usefixtures("hasty")
def test_ready_with_the_first_audio(manager: Manager) -> None:
    """The service is ready, once and at once, when audio of some station has come."""
    worker, publisher = loops()
    one = pulse(worker, publisher)
    one.beat()
    assert manager.told() == []
    for state in ("connecting", "stalled", "lost"):
        worker.snapshot = Seen((Named(state), Named("lost", "yard")))
        for _ in range(3):
            assert "READY=1" not in rounds(one, worker, publisher, manager)
    worker.snapshot = Seen((Named("running"), Named("lost", "yard")))
    one.beat()
    assert manager.told()[0][0] == "READY=1"
    for _ in range(3):
        assert "READY=1" not in rounds(one, worker, publisher, manager)


def test_ready_does_not_wait_for_the_watchdog(manager: Manager, monkeypatch: pytest.MonkeyPatch) -> None:
    """However seldom the watchdog is fed, READY comes with the next beat after the first audio."""
    monkeypatch.setenv(systemd.WATCHDOG, "600000000")
    worker, publisher = loops("connecting")
    one = pulse(worker, publisher)
    one.beat()
    manager.told()
    worker.snapshot = snapshot("silent")
    one.beat()
    assert manager.told() == [["READY=1"]]


@pytest.mark.usefixtures("hasty")
def test_ready_in_any_case(manager: Manager) -> None:
    """After a stated time the service is ready without audio."""
    worker, publisher = loops("lost")
    one = pulse(worker, publisher, ready_s=0.2)
    began_s = time.monotonic()
    while "READY=1" not in rounds(one, worker, publisher, manager):
        assert time.monotonic() - began_s < 5 * 0.2
    assert time.monotonic() - began_s >= 0.2


@pytest.mark.parametrize(
    ("stations", "line"),
    [
        ([Named("running", estimate=Answer("silence"))], "1/1 stations"),
        ([Named("running")], "1/1 stations: 1 station without a first answer"),
        (
            [Named("running"), Named("lost", "yard", "no such\ndevice"), Named("stalled", "hall")],
            "1/3 stations: yard is lost (no such\N{REPLACEMENT CHARACTER}device), hall is stalled,"
            " 1 station without a first answer",
        ),
        ([Named("lost")] * 5, "0/5 stations: s is lost, s is lost, s is lost, 2 more are away"),
    ],
    ids=range(4),
)
def test_the_status_line_says_what_is_missing(manager: Manager, stations: list[Named], line: str) -> None:
    """How many stations are there, which are not, and why; and how many have given no answer yet."""
    worker, publisher = loops()
    worker.snapshot = Seen(tuple(stations))
    pulse(worker, publisher).beat()
    assert f"STATUS={line}" in manager.told()[0]


@pytest.mark.usefixtures("hasty")
def test_the_status_line_is_told_when_it_changes(manager: Manager) -> None:
    """Not again while it is the same, and at most once a second."""
    worker, publisher = loops("running")
    one = pulse(worker, publisher)
    assert rounds(one, worker, publisher, manager)[-1].startswith("STATUS=1/1")
    began_s = time.monotonic()
    for _ in range(5):
        assert rounds(one, worker, publisher, manager) == ["WATCHDOG=1"]
    worker.snapshot = snapshot("lost")
    while (lines := rounds(one, worker, publisher, manager)) == ["WATCHDOG=1"]:
        pass
    assert lines[-1] == "STATUS=0/1 stations: s is lost"
    assert time.monotonic() - began_s >= 0.9


@pytest.mark.usefixtures("hasty")
def test_a_reload_is_told(manager: Manager) -> None:
    """The beginning of a reload with its time, and its end with READY; while it is starting, it is only starting."""
    worker, publisher = loops("connecting")
    one = pulse(worker, publisher)
    assert "RELOADING=1" not in rounds(one, worker, publisher, manager, reloading=True)
    worker.snapshot = snapshot("running")
    assert rounds(one, worker, publisher, manager)[0] == "READY=1"
    began, now, *_ = rounds(one, worker, publisher, manager, reloading=True)
    assert began == "RELOADING=1"
    assert int(now.removeprefix("MONOTONIC_USEC=")) == pytest.approx(time.monotonic_ns() / 1000, abs=1e6)
    while "READY=1" not in rounds(one, worker, publisher, manager):
        pass
    assert "READY=1" not in rounds(one, worker, publisher, manager)


def test_fed_three_times_in_its_time(manager: Manager, monkeypatch: pytest.MonkeyPatch) -> None:
    """The watchdog is fed thrice as often as it must be, and not at every tick."""
    monkeypatch.setenv(systemd.WATCHDOG, "600000")
    worker, publisher = loops("running")
    one, told = pulse(worker, publisher), 0
    deadline = time.monotonic() + 0.6
    while time.monotonic() < deadline:
        worker.alive_s = publisher.alive_s = time.monotonic()
        one.beat()
        time.sleep(0.01)
        told += fed(manager)
    assert 2 <= told <= 3


@pytest.mark.parametrize("states", [("lost",), ("stalled", "lost"), ("connecting",), ("silent",), ("ended",)])
def test_a_lost_source_is_health(manager: Manager, states: tuple[str, ...]) -> None:
    """A station that is lost, silent or stalled is no reason to restart the daemon."""
    pulse(*loops(*states)).beat()
    (message,) = manager.told()
    assert "WATCHDOG=1" in message


@pytest.mark.parametrize("hanging", ["worker", "publisher"])
def test_a_hang_is_not_fed(manager: Manager, hanging: str, caplog: pytest.LogCaptureFixture) -> None:
    """When the worker or the publisher hangs, the watchdog goes hungry, and a line says why."""
    worker, publisher = loops("running")
    hung = worker if hanging == "worker" else publisher
    hung.alive_s -= HEALTHY_S + 0.1
    pulse(worker, publisher).beat()
    assert fed(manager) == 0
    assert "hangs" in caplog.text


@pytest.mark.parametrize("waiting", ["worker", "publisher"])
def test_fed_after_a_round_of_each(manager: Manager, monkeypatch: pytest.MonkeyPatch, waiting: str) -> None:
    """It is fed again only when both, the worker and the publisher, have finished a round since."""
    monkeypatch.setenv(systemd.WATCHDOG, "3000")
    worker, publisher = loops("running")
    one = pulse(worker, publisher)
    one.beat()
    assert fed(manager) == 1
    late, other = (worker, publisher) if waiting == "worker" else (publisher, worker)
    for _ in range(20):
        time.sleep(0.001)
        other.alive_s = time.monotonic()
        one.beat()
        assert fed(manager) == 0
    late.alive_s = time.monotonic()
    one.beat()
    assert fed(manager) == 1


def test_the_end_of_a_hang_is_told(manager: Manager, caplog: pytest.LogCaptureFixture) -> None:
    """What hung and goes on is fed again, with one line for the hang and one for its end."""
    worker, publisher = loops("running")
    worker.alive_s -= HEALTHY_S + 0.1
    one = pulse(worker, publisher)
    for _ in range(3):
        one.beat()
    worker.alive_s = time.monotonic()
    one.beat()
    assert fed(manager) == 1
    assert [record.message.partition(";")[0] for record in caplog.records] == [
        "the worker or the publisher hangs",
        "the worker and the publisher go on",
    ]


def test_a_slow_round_is_fed(manager: Manager) -> None:
    """A round that took some seconds is slow, not hung."""
    worker, publisher = loops("running")
    worker.alive_s -= HEALTHY_S - 1
    pulse(worker, publisher).beat()
    assert fed(manager) == 1


def test_a_sleep_of_the_whole_process_is_no_hang(manager: Manager, caplog: pytest.LogCaptureFixture) -> None:
    """After SIGSTOP or a suspend the others get a tick to wake up in; then the watchdog is fed."""
    worker, publisher = loops("running")
    one = pulse(worker, publisher)
    slept_s = 2 * HEALTHY_S
    worker.alive_s -= slept_s
    publisher.alive_s -= slept_s
    one._last_s -= slept_s
    one.beat()
    assert manager.told() == []
    assert caplog.records == []
    worker.alive_s = publisher.alive_s = time.monotonic()
    one.beat()
    assert fed(manager) == 1
