"""Network stations in the whole daemon: a real Icecast fed by ffmpeg, in every codec, and with titles."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest
from icecast import Icecast, icecast
from wholly import Start, assert_books_balance, events, statuses, windows

from conftest import collect, subscribed

pytestmark = pytest.mark.timeout(240)

KINDS = ("mp3", "aac", "vorbis", "opus", "oggflac")


@pytest.fixture
def radio() -> Iterator[Icecast]:
    with icecast() as server:
        yield server


def test_stations_of_every_codec(radio: Icecast, daemon: Start, endpoint: str, small_model: Path) -> None:
    """Five codecs at once are heard, each at its true time: an age that is short, and steady over the burst's end."""
    for kind in KINDS:
        radio.play(kind)
    one = daemon(*(f"{kind}={radio.url(kind, 'me:geheim@')}?token=geheim" for kind in KINDS), "--model", small_model)
    with subscribed(endpoint) as subscriber:
        messages = collect(subscriber, lambda m: all(len(windows(m, kind)) > 8 for kind in KINDS), 120)
        assert one.stop() == 0
    assert_books_balance(messages)
    for kind in KINDS:
        heard = windows(messages, kind)[3:]
        begun_s = [datetime.fromisoformat(str(e.heard_at)).timestamp() - e.last_sample / 22050 for e in heard]
        assert max(begun_s) - min(begun_s) < 5 * 0.1, kind
        assert all(0 <= e.age_ms < 5 * 600 for e in heard if isinstance(e.age_ms, float)), kind
        assert {e.clock for e in heard} == {"arrival"}
        assert statuses(messages, kind)[-1].faults.undecoded <= 2


def test_titles(radio: Icecast, daemon: Start, endpoint: str, small_model: Path) -> None:
    """What the station says that it plays becomes an event each time it changes."""
    radio.play("mp3")
    radio.title("mp3", "Bix - Davenport Blues")
    one = daemon(f"fm={radio.url('mp3')}", "--model", small_model)
    with subscribed(endpoint) as subscriber:
        messages = collect(subscriber, lambda m: bool(events(m, "title", "fm")))
        radio.title("mp3", "Zoë's 2\u202e\x1b[31mnd")
        messages += collect(subscriber, lambda m: bool(events(m, "title", "fm")))
        assert one.stop() == 0
    assert_books_balance(messages)
    titles = [str(event.title) for event in events(messages, "title", "fm")]
    assert titles[0] == "Bix - Davenport Blues"
    assert titles[-1].startswith("Zoë's 2")
    assert all(title.isprintable() for title in titles)
