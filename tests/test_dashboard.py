"""The dashboard's picture, without a terminal: what it says, that it fits, and that nobody can deface it."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import suppress
from copy import deepcopy
from dataclasses import replace
from functools import reduce
from operator import getitem
from pathlib import Path

import msgspec
import pytest
from msgspec import UNSET
from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from conftest import LABELS
from genred.dashboard import LogLine, Painter, View, render
from genred.dashboard.gauges import COLOURS, colour, letters_of
from genred.dashboard.letters import large, larger
from genred.dashboard.picture import farewell
from genred.dashboard.view import ORDERS, ordered
from genred.gathering import Gathering
from genred.messages import Estimate, Hello, Segment, StationInfo, Status
from genred.messages import decode as message_of
from genred.snapshot import Mark, Snapshot, StationView
from screenshot import at_end, recorded, screenshot

GOLDEN = Path(__file__).parent / "golden"
SIZES = [(80, 24), (100, 30), (160, 50)]
HOSTILE = "[bold]loud[/bold] [/b] \x1b[31mred\x1b]0;title\x07 \u202eback \udcff"


def golden(name: str) -> object:
    return message_of((GOLDEN / name).read_bytes())


def one_station(**changes: object) -> Snapshot:
    """A station that plays jazz, at 75 %; `changes` are of its status."""
    hello, estimate, status = golden("hello.json"), golden("estimate.json"), golden("status.json")
    assert isinstance(hello, Hello)
    assert isinstance(estimate, Estimate)
    assert isinstance(status, Status)
    past = (*[Mark("rock", 0.5)] * 20, None, *[Mark("silence", 0.0)] * 5, *[Mark("jazz", 0.75)] * 14)
    view = StationView(msgspec.structs.replace(status, **changes), estimate, past, hold_dbfs=-12.0)
    return Snapshot(hello, "tcp://127.0.0.1:5557", (view,))


def stations(count: int, **changes: object) -> Snapshot:
    """So many stations; each has a name, a level and a label of its own."""
    one = one_station(**changes)
    views = []
    for number in range(count):
        label = LABELS[number % len(LABELS)]
        status = msgspec.structs.replace(one.stations[0].status, station=f"fm-{number:03}", level_dbfs=-1.0 * number)
        estimate = msgspec.structs.replace(one.stations[0].estimate, station=status.station, label=label)
        views.append(StationView(status, estimate, (Mark(label, 0.9),) * 60))
    return replace(one, stations=tuple(views))


def drawn(
    snapshot: Snapshot,
    size: tuple[int, int] = (100, 30),
    view: View | None = None,
    logs: tuple[LogLine, ...] = (),
    **options: object,
) -> str:
    """Text of the picture, without colours; with the console's `options` as it would be sent."""
    console = Console(width=size[0], height=size[1], force_terminal=True, **{"no_color": True} | options)  # type: ignore[arg-type]
    with console.capture() as capture:
        console.print(render(snapshot, view, logs), end="")
    return capture.get() if options else Text.from_ansi(capture.get()).plain


def numbers_in(record: object, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Paths to the numbers of a record."""
    if isinstance(record, dict):
        for key, value in record.items():
            yield from numbers_in(value, (*path, key))
    elif isinstance(record, int | float) and not isinstance(record, bool):
        yield path


@pytest.mark.parametrize("size", [*SIZES, (40, 12), (81, 13), (20, 5), (7, 3), (1, 1)])
@pytest.mark.parametrize("count", [0, 1, 2, 17, 300])
def test_the_picture_fills_the_terminal(count: int, size: tuple[int, int]) -> None:
    """Whatever there is to show, and however small the terminal, each row is there and exactly as wide as it."""
    snapshot = one_station(station=HOSTILE, text=HOSTILE) if count == 1 else stations(count)
    logs = (LogLine("12:00:00", 20, "日本語 " * 40),) * 9
    for view in (View(), View(opened="fm-001", paused=True), View(typed="1", top=290, selected="fm-016")):
        rows = drawn(snapshot, size, view, logs).split("\n")
        assert [cell_len(row) for row in rows[:-1]] == [size[0]] * (size[1] - 1 if size[1] > 2 else len(rows) - 1)
        assert cell_len(rows[-1]) == size[0]


@pytest.mark.parametrize("size", SIZES)
def test_one_station_is_told_wholly(size: tuple[int, int]) -> None:
    """State, window, hop, latency, age, losses, level, provider, endpoint, readers, model and claim, all genres."""
    text = drawn(one_station(), size, logs=(LogLine("12:00:00", 20, "a line of the log"),))
    wanted = ["kitchen", "● running", "23.3 s", "hop 0.93 s", "14 ms", "0.1 s old", "0.1 s, 1 window skipped", "mic:"]
    wanted += [
        "level dBFS  -38",
        "-12 dBFS, gain +18 dB",
        "crnn on cpu",
        "81% of 200 tracks (random-0)",
        "tcp://127.0.0.1:5557",
    ]
    wanted += ["2 subscriptions", "48000 Hz", "clipping, 1 loss", "q quit", "p pause", "jazz"]
    wanted += ["12:00:00 a line of the log"]
    assert [one for one in wanted if one not in text] == []
    assert all(re.search(rf"{label} .*\d%", text) for label in LABELS)


@pytest.mark.parametrize(("size", "letters"), [((80, 24), large), ((100, 30), large), ((160, 50), larger)])
def test_the_winner_is_written_large(size: tuple[int, int], letters: object) -> None:
    """The genre and its percentage stand there in large letters, larger ones where there is room."""
    rows = letters("jazz 75%")  # type: ignore[operator]
    assert len(rows) >= 3
    assert all(row.rstrip() in drawn(one_station(), size) for row in rows)


@pytest.mark.parametrize("state", ["lost", "stalled", "connecting"])
def test_an_absent_station_has_no_answer(state: str) -> None:
    """Not what it played last is large, but its state, and below it why."""
    text = drawn(one_station(state=state, text="no such device"))
    assert all(row.rstrip() in text for row in large(state))
    assert "no such device" in text
    assert large("jazz 75%")[0].rstrip() not in text


@pytest.mark.parametrize("old", [{"state": "lost"}, {"state": "stalled"}, {"state": "ended"}, {"stale_s": 12.0}])
@pytest.mark.parametrize("count", [1, 2])
def test_what_was_measured_last_is_not_shown_as_new(count: int, old: dict[str, object]) -> None:
    """A station that is not heard has no level, latency or age, neither as a number nor as a meter."""

    def picture(stale_s: float = 0.0, **changes: object) -> str:
        snapshot = one_station(**changes)
        return drawn(replace(snapshot, stations=(replace(snapshot.stations[0], stale_s=stale_s),) * count), (160, 50))

    measured = ["14 ms", "▮", *(["0.1 s old", " -38 ", "-12 dBFS"] if count == 1 else [])]
    assert all(words in picture() for words in measured)
    assert not any(words in picture(**old) for words in measured)  # type: ignore[arg-type]


def test_an_unsure_answer_says_between_what() -> None:
    """Where no label is probable enough it says so, and the genres that it is between, the most probable first."""
    one = one_station()
    estimate = one.stations[0].estimate
    assert estimate is not None
    unsure = msgspec.structs.replace(estimate, label=UNSET, confidence=UNSET, reason="unsure")
    text = drawn(replace(one, stations=(replace(one.stations[0], estimate=unsure),)), (60, 20))
    assert "between jazz 75%, " in text


def test_a_window_that_is_not_full_yet() -> None:
    """While windows grow, the length of the present one stands before that of a full one; not of what is past."""
    one = one_station()
    estimate = one.stations[0].estimate
    assert estimate is not None
    early = replace(one.stations[0], estimate=msgspec.structs.replace(estimate, window_s=3.04))
    assert "3.0 of 23.3 s, hop" in drawn(replace(one, stations=(early,)), (100, 30))
    assert "of 23.3 s" not in drawn(one, (100, 30))
    assert "of 23.3 s" not in drawn(replace(one, stations=(replace(early, stale_s=12.0),)), (100, 30))


def test_the_note_says_for_how_long_it_has_been_the_same() -> None:
    """Up to the newest window, though the segment was last told some seconds ago; with another epoch as it was told."""
    one, segment = one_station(), golden("segment.json")
    assert isinstance(segment, Segment)
    for told, expected in (
        (segment, "jazz for 0:23 min"),
        (msgspec.structs.replace(segment, first_sample=segment.first_sample - 22050 * 120), "jazz for 2:23 min"),
        (msgspec.structs.replace(segment, epoch=7, duration_s=61.0), "jazz for 1:01 min"),
        (msgspec.structs.replace(segment, label=UNSET, confidence=UNSET, reason="unsure"), "unsure for 0:23 min"),
    ):
        text = drawn(replace(one, stations=(replace(one.stations[0], segment=told),)), (100, 30))
        assert f"; {expected}" in text
    assert " min" not in drawn(one, (100, 30)).split("last")[0]


def test_what_is_old_is_called_stale() -> None:
    """A station that the daemon has not told of for a while is shown, but called stale."""
    snapshot = one_station()
    stale = replace(snapshot, stations=(replace(snapshot.stations[0], stale_s=12.0),), remark="no daemon answers at X")
    text = drawn(stale)
    assert "stale for 12 s" in text
    assert "no daemon answers at X" in text
    assert "75%" in text
    two = stations(2)
    assert "● stale for" in drawn(replace(two, stations=(two.stations[0], replace(two.stations[1], stale_s=12.0))))


@pytest.mark.parametrize("labels", [("speech",), ("a", "b"), tuple(f"genre-{n}" for n in range(40))])
@pytest.mark.parametrize("size", [*SIZES, (40, 12)])
def test_a_model_may_know_other_genres(labels: tuple[str, ...], size: tuple[int, int]) -> None:
    """One label or forty: the picture fits, the most probable have their bars, and nothing else gives way to them."""
    snapshot = one_station()
    shares = {label: (1.0 + number) / len(labels) ** 2 for number, label in enumerate(labels)}
    estimate = msgspec.structs.replace(snapshot.stations[0].estimate, label=labels[-1], probabilities=shares)
    view = replace(snapshot.stations[0], estimate=estimate)
    hello = msgspec.structs.replace(snapshot.hello, labels=labels)
    rows = drawn(replace(snapshot, hello=hello, stations=(view,)), size).split("\n")
    assert len(rows) == size[1]
    barred = [label for label in labels if any(re.search(rf"{label} +\d+% ", row) for row in rows)]
    assert barred == list(labels[-len(barred) :])
    assert len(barred) >= min(len(labels), 10 if size[1] > 12 else 7)
    assert any("level dBFS" in row and "▮" in row for row in rows)
    if size[1] > 12:
        assert [
            fact for fact in ("source", "latency", "accuracy", "endpoint", "last", "log") if fact not in "".join(rows)
        ] == []
    assert colour(labels[0]) in COLOURS.values()


@pytest.mark.parametrize("count", [1, 2])
def test_text_from_outside_is_text(count: int) -> None:
    """Markup is shown as it was written, and control, bidirectional and broken characters are replaced."""
    snapshot = one_station(station=HOSTILE, text=HOSTILE, state="lost")
    hello = msgspec.structs.replace(
        snapshot.hello, daemon=HOSTILE, labels=(HOSTILE,), stations=(StationInfo(name=HOSTILE, uri=HOSTILE),)
    )
    snapshot = replace(snapshot, hello=hello, stations=snapshot.stations * count, endpoint=HOSTILE, remark=HOSTILE)
    sent = drawn(snapshot, (200, 50), View(), (LogLine("12:00:00", 40, HOSTILE),), color_system="truecolor")
    assert "[bold]loud[/bold] [/b] \N{REPLACEMENT CHARACTER}[31mred" in Text.from_ansi(sent).plain
    assert set(re.findall(r"\x1b[^m]*m?", sent)) == set(re.findall(r"\x1b\[[0-9;]*m", sent))
    assert not set("\x07\u202e\udcff") & set(sent)


@pytest.mark.parametrize("number", [0, -1, 1e308, -1e308, 5e-324, 2**63, -(2**63)])
@pytest.mark.parametrize("name", ["hello.json", "estimate.json", "status.json", "status-lost.json"])
def test_numbers_from_outside_are_drawn(name: str, number: float) -> None:
    """Whatever number a message of a daemon elsewhere holds, it is drawn, in single view and table."""
    record = msgspec.json.decode((GOLDEN / name).read_bytes())
    for path in numbers_in(record):
        changed = deepcopy(record)
        reduce(getitem, path[:-1], changed)[path[-1]] = number
        gathering = Gathering("tcp://127.0.0.1:5557", 0.0)
        for golden_name in ("hello.json", "estimate.json", "status.json"):
            gathering.heed(message_of((GOLDEN / golden_name).read_bytes()), 1.0)
        with suppress(ValueError):  # many a number is refused
            gathering.heed(message_of(msgspec.json.encode(changed)), 2.0)
        snapshot = gathering.snapshot(3.0)
        for view in (View(), View(opened="kitchen")):
            assert drawn(snapshot, (160, 50), view).count("\n") == 49
        assert farewell(snapshot)


@pytest.mark.parametrize("count", [1, 5])
def test_no_colour_means_no_colour(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """With NO_COLOR nothing sent sets a colour; without it something does."""
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("COLORTERM", raising=False)
    snapshot = one_station() if count == 1 else stations(count)

    def colours() -> list[str]:
        sent = "".join(Painter().rows(render(snapshot), (100, 30)))
        codes = [code for run in re.findall(r"\x1b\[([0-9;]*)m", sent) for code in run.split(";")]
        return [code for code in codes if code in ("38", "48")]

    monkeypatch.delenv("NO_COLOR", raising=False)
    assert colours()
    monkeypatch.setenv("NO_COLOR", "1")
    assert not colours()


def test_without_colours_letters_tell_genres_apart() -> None:
    """In a table without colours the strip of the past is made of letters, one of its own for each genre."""
    letters = letters_of(LABELS)
    assert len(set(letters.values())) == len(LABELS)
    text = drawn(stations(10), (100, 30))
    assert all(letter * 20 in text for letter in letters.values())


def test_without_colours_the_strip_of_one_has_letters() -> None:
    """In the single view what has no room for its name under the strip has its letter there, only without colours."""
    past = (*[Mark("jazz", 0.5)] * 6, *[Mark("country", 0.5)] * 2, *[Mark("rock", 0.5)] * 6)
    snapshot = replace(one_station(), stations=(replace(one_station().stations[0], past=past),))
    coloured = Text.from_ansi(drawn(snapshot, no_color=False, color_system="truecolor")).plain
    assert f" jazz {2 * letters_of(LABELS)['country']} rock " in drawn(snapshot)
    assert " jazz    rock " in coloured


@pytest.mark.parametrize("size", [*SIZES, (160, 30)])
def test_the_winner_is_legible_without_half_blocks(size: tuple[int, int]) -> None:
    """On a terminal of ASCII the answer is in whole pixels where there is room, else in plain letters."""
    rows = Painter("ascii").rows(render(one_station()), size)
    text = Text.from_ansi("\n".join(rows)).plain
    pixels = all(row.rstrip() in text for row in larger("jazz 75%"))
    assert pixels == (size == (160, 50))
    assert pixels or "│ jazz 75% " in text
    assert large("jazz 75%")[0] not in text


@pytest.mark.parametrize("order", ORDERS)
def test_the_table_is_sorted(order: str) -> None:
    """By name, the worst state first, genre, the loudest first, the most lost first; the heading says by what."""
    snapshot = stations(12)
    views = list(snapshot.stations)
    views[5] = replace(views[5], status=msgspec.structs.replace(views[5].status, state="lost"))
    total = msgspec.structs.replace(views[7].status.total, lost=480_000)
    views[7] = replace(views[7], status=msgspec.structs.replace(views[7].status, total=total))
    by = [str(view.status.station) for view in ordered(views[::-1], order)]
    first = {"name": "fm-000", "state": "fm-005", "genre": "fm-000", "level": "fm-000", "lost": "fm-007"}
    assert by[0] == first[order]
    assert by[1:3] == {"state": ["fm-000", "fm-001"], "genre": ["fm-010", "fm-001"], "lost": ["fm-000", "fm-001"]}.get(
        order, ["fm-001", "fm-002"]
    )
    text = drawn(replace(snapshot, stations=tuple(views)), view=View(order=order))
    assert f"{order} ↓" in text
    assert re.findall(r"fm-\d+", text) == by


def test_an_opened_station_is_shown_alone() -> None:
    """The single view of one of several says whose it is, and how to go back."""
    text = drawn(stations(30), view=View(opened="fm-007", selected="fm-007"))
    assert "fm-007" in text
    assert "fm-006" not in text
    assert "Esc" in text
    assert all(row.rstrip() in text for row in large("pop 75%"))


def test_only_what_is_seen_is_drawn() -> None:
    """With 300 stations the table shows those from the first line on, and the cursor's line has a sign."""
    text = drawn(stations(300), (80, 24), View(top=100, selected="fm-103"))
    assert re.findall(r"fm-\d+", text) == [f"fm-{number:03}" for number in range(100, 100 + 17)]
    assert re.search(r"› *104 fm-103", text)
    assert "300 stations: 300 running" in text


def test_many_stations_cost_little() -> None:
    """A picture of 300 stations costs no more than 5 times one of 30: what is not seen is not drawn."""

    def cost_s(snapshot: Snapshot) -> float:
        painter, costs = Painter(), []
        for _ in range(9):
            began_s = time.thread_time()
            painter.rows(render(snapshot), (80, 24))
            costs.append(time.thread_time() - began_s)
        return min(costs)

    assert cost_s(stations(300)) < 5 * cost_s(stations(30))


def test_the_newest_trouble_stays_in_sight() -> None:
    """Lines that are no warnings do not push the newest warning out of the panel; a newer warning does."""
    logs = [LogLine("12:00:00", 30, "old trouble"), LogLine("12:00:01", 30, "trouble")]
    logs += [LogLine("12:00:02", 20, f"line {number}") for number in range(200)]
    text = drawn(one_station(), (80, 24), logs=tuple(logs))
    assert re.findall(r"│ 12:00:0. (.*?) +│", text) == ["trouble", "line 198", "line 199"]
    text = drawn(one_station(), (80, 24), logs=(*logs, LogLine("12:00:03", 40, "error")))
    assert re.findall(r"│ 12:00:0. (.*?) +│", text) == ["line 198", "line 199", "error"]
    assert "trouble" not in drawn(one_station(), (80, 20), logs=tuple(logs[2:]))


def test_the_farewell_says_what_was_last() -> None:
    """A line each station, in order of names: label and confidence, or the state and why; text stays text."""
    lost = one_station(station="attic", state="lost", text="no such device \x1b[31m").stations
    old = (replace(one_station(station="[b]hall").stations[0], stale_s=12.0),)
    snapshot = replace(one_station(), stations=(*one_station().stations, *old, *lost))
    assert farewell(snapshot) == [
        "[b]hall  jazz 75% (12 s ago)",
        "attic    lost: no such device \N{REPLACEMENT CHARACTER}[31m",
        "kitchen  jazz 75%",
    ]
    assert farewell(replace(snapshot, stations=())) == []


def test_the_screenshot_is_of_a_recorded_run(tmp_path: Path) -> None:
    """`make screenshot` writes an SVG that says what the recorded messages say."""
    snapshot, _ = at_end(recorded())
    assert snapshot.hello is not None
    assert snapshot.hello.stations[0].uri == "demo:"
    screenshot(tmp_path / "picture.svg")
    svg = (tmp_path / "picture.svg").read_text("utf-8")
    assert svg.startswith("<svg")
    texts = re.findall(r">([^<>\n]+)</text>", svg)
    assert set(LABELS) <= set(texts)
    assert "running" in " ".join(texts)
