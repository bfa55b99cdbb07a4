"""The books of a station balance in every status message, whatever happens to the daemon."""

from __future__ import annotations

import signal
import time
from pathlib import Path

from wholly import Start, assert_books_balance, from_the_start, statuses, windows

from conftest import collect, music, subscribed, write_wav
from genred.messages import Message, Status

STOP_S = 3.0


def test_they_balance_while_stations_come_and_go(daemon: Start, tmp_path: Path, small_model: Path) -> None:
    """A quick file, a paced one and a live station in one daemon: each status of each balances, also after its end."""
    quick = write_wav(tmp_path / "quick.wav", music(30.0, 44100), 44100)
    paced = write_wav(tmp_path / "paced.wav", music(3.0, 8000), 8000)
    uris = (f"{quick}", f"file:{paced}?pace=realtime", "demo:")
    with from_the_start(daemon, small_model, tmp_path, *uris, "--hop", "7") as (one, subscriber):

        def all_over(messages: list[Message]) -> bool:
            over = {s.station for s in statuses(messages) if s.state == "ended"}
            return over == {"quick", "paced"} and len(statuses(messages, "demo")) >= 4

        messages = collect(subscriber, all_over)
        assert one.stop() == 0
    assert_books_balance(messages)
    for name, samples in (("quick", 30 * 44100), ("paced", 3 * 8000)):
        last = statuses(messages, name)[-1].total
        assert (last.captured, last.waiting, last.lost, last.overwritten) == (samples, 0, 0, 0)
        assert last.published == len(windows(messages, name)) > 0


def test_they_balance_when_the_daemon_is_starved(
    daemon: Start, endpoint: str, tmp_path: Path, small_model: Path
) -> None:
    """After SIGSTOP for 3 s no sample of a source that can wait is missing; live windows were skipped, and counted."""
    path = write_wav(tmp_path / "paced.wav", music(60.0))
    one = daemon("demo:", f"file:{path}?pace=realtime", "--model", small_model, "--hop", "4")
    with subscribed(endpoint) as subscriber:

        def published(messages: list[Message]) -> bool:
            return all(windows(messages, name) for name in ("demo", "paced"))

        messages = collect(subscriber, published)
        before = {name: statuses(messages, name)[-1] for name in ("demo", "paced")}
        one.process.send_signal(signal.SIGSTOP)
        time.sleep(STOP_S)  # the length of the stop is what is tested
        one.process.send_signal(signal.SIGCONT)

        def caught_up(later: list[Message]) -> bool:
            return all(len(statuses(later, name)) >= 3 for name in ("demo", "paced"))

        messages += collect(subscriber, caught_up)
        after = {name: statuses(messages, name)[-1] for name in ("demo", "paced")}
        assert one.stop() == 0
    assert_books_balance(messages)
    for name in before:
        new = gained(before[name], after[name])
        assert new["captured"] >= STOP_S * 22050
        assert new["lost"] == new["overwritten"] == 0
        assert new["skipped"] >= 0.5 * STOP_S / (4 * 512 / 22050)
        newest = windows(messages, name)[-1]
        assert newest.skipped == after[name].this_epoch.skipped
        assert newest.latency_ms < 5 * 100


def gained(before: Status, after: Status) -> dict[str, int]:
    return {f: getattr(after.total, f) - getattr(before.total, f) for f in after.total.__struct_fields__}
