"""``genred watch`` on a real terminal, of a daemon that comes and goes."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import msgspec
import pytest
from wholly import Start

from conftest import LABELS, SMALL_WINDOW, genred, make_model
from genred.card import Horizon
from genred.clock import UtcClock
from genred.messages import decode
from genred.publisher import Publisher
from screens import Open, genred_command

GOLDEN = Path(__file__).parents[1] / "golden"
HOSTILE = "[bold]loud[/bold] [/b] \x1b[31mred \u202eback \x9b2J"


@pytest.fixture
def watch(terminal: Open, endpoint: str) -> Open:
    """Start ``genred watch`` in a terminal."""
    return lambda **options: terminal(*genred_command("watch", endpoint), **options)


def test_it_outlives_the_daemon(watch: Open, daemon: Start, endpoint: str, small_model: Path) -> None:
    """It waits for a daemon, shows it, calls it stale when it is gone, and shows the next one; q ends it with 0."""
    one = watch()
    one.sees(f"no daemon answers at {endpoint}")
    first = daemon("kitchen=demo:", "--model", small_model)
    one.sees("kitchen  ● running", "small on cpu", "1.9 s, hop 0.93 s", "latency", "%", *LABELS)
    assert "no daemon" not in one.screen.display[1]
    assert first.stop() == 0
    one.sees("kitchen  ● stale for", f"no daemon answers at {endpoint} for")
    daemon("kitchen=demo:", "hall=demo:", "--model", small_model)
    one.sees("2 stations: 2 running", "kitchen", "hall")
    one.wait_for(lambda: one.framed)
    one.type("2")
    one.sees("kitchen  ● running", "Esc all")
    one.type("q")
    assert one.wait() == 0
    assert one.restored
    assert {"hall", "kitchen"} <= {line.partition(" ")[0] for line in one.lines}


def test_what_is_unsure(watch: Open, daemon: Start, endpoint: str, tmp_path: Path) -> None:
    """Of a model that finds no genre probable enough a terminal shows that it is unsure, and between which genres."""
    shy = make_model(tmp_path / "shy.onnx", horizons=(Horizon(SMALL_WINDOW, temperature=4.0, unsure_below=1.0),))
    one = watch()
    daemon("kitchen=demo:", "--model", shy)
    one.sees("kitchen  ● running", "between ")
    status = genred("listen", endpoint, "--type", "status", "--count", "1").stdout
    assert json.loads(status)["last"]["reason"] == "unsure"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signals_end_it_well(watch: Open, number: int) -> None:
    """Ctrl-C and its kind end it with 0, and the terminal is as it was."""
    one = watch()
    one.wait_for(lambda: one.shown)
    assert one.end(number) == 0
    assert one.restored
    assert "Traceback" not in one.text


def test_text_from_elsewhere_is_text(watch: Open, endpoint: str) -> None:
    """Markup in a message is shown as it is; escape sequences and unreadable characters are replaced."""
    hello, status = (decode((GOLDEN / name).read_bytes()) for name in ("hello.json", "status-lost.json"))
    one = watch(size=(120, 30))
    with Publisher(endpoint, UtcClock()) as publisher:
        publisher.send(hello)
        publisher.send(msgspec.structs.replace(status, station="[b]fm[/b]", text=HOSTILE))
        shown = HOSTILE.replace("\x1b", "\ufffd").replace("\u202e", "\ufffd").replace("\x9b", "\ufffd")
        one.sees("[b]fm[/b]", shown, "● lost")
        one.wait_for(lambda: one.framed)
        publisher.send(msgspec.structs.replace(status, station="other", text=""))
        one.sees("2 stations: 2 lost", "[b]fm[/b]", "other")
        one.wait_for(lambda: one.framed)


def test_a_daemon_of_another_version_is_told(watch: Open, endpoint: str) -> None:
    """It says that what comes cannot be read, and why, rather than that nobody answers; a good daemon ends that."""
    hello, status = (decode((GOLDEN / name).read_bytes()) for name in ("hello.json", "status.json"))
    one = watch(size=(120, 30))
    with Publisher(endpoint, UtcClock()) as publisher:
        publisher.send(msgspec.structs.replace(hello, v="2.0"))
        why = f"what comes from {endpoint} cannot be read: message of version 2.0; this reader knows 1.0"
        one.sees(why, f"{why}; is it a genred"[:100])
        publisher.send(hello)
        publisher.send(status)
        one.sees("kitchen", "● running", "genred 0.1.0 answers")
        assert why not in one.screen.display[1]


def test_without_a_terminal_there_are_lines(terminal: Open, endpoint: str) -> None:
    """Into a pipe it writes log lines, and no escape sequence; a bad endpoint is refused."""
    one = terminal("sh", "-c", " ".join(map(str, genred_command("watch", endpoint))) + " 2>&1 | cat", size=(200, 9))
    one.sees(f"WARNING no daemon answers at {endpoint} for 2 s; is a daemon running there?")
    assert one.screen.before is None
    refused = genred("watch", "nonsense")
    assert (refused.returncode, refused.stderr.count("\n")) == (2, 1)
