"""What the keys of the dashboard do."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from genred.dashboard.terminal import decode
from genred.dashboard.view import View, press

KEYS = ["up", "down", "j", "k", "page-up", "page-down", "home", "end", "s", "enter", "escape", "p", "x", *"0123456789"]


@given(st.lists(st.sampled_from(KEYS), max_size=60), st.integers(1, 120), st.integers(1, 30))
def test_the_cursor_stays_in_sight(keys: list[str], count: int, page: int) -> None:
    """Whatever is pressed, the cursor is on a station that there is, and within the lines that are seen."""
    names_ = [f"fm-{number:03}" for number in range(count)]
    view = View()
    for key in keys:
        view = press(view, key, names_, page)
        at = names_.index(view.selected) if view.selected else 0
        assert view.top <= at < view.top + page
        assert not view.opened or view.opened == view.selected


def test_keys_go_where_they_say() -> None:
    """Down and page-down scroll, Enter opens the station at the cursor, Escape goes back, a number goes to its line."""
    names_ = [f"fm-{number:03}" for number in range(100)]
    view = press(View(), "down", names_, 10)
    assert (view.selected, view.top) == ("fm-001", 0)
    view = press(view, "page-down", names_, 10)
    assert (view.selected, view.top) == ("fm-011", 2)
    view = press(view, "enter", names_, 10)
    assert view.opened == "fm-011"
    assert press(view, "j", names_, 10).opened == "fm-012"
    view = press(view, "escape", names_, 10)
    assert (view.opened, view.selected) == ("", "fm-011")
    assert press(view, "3", names_, 10).opened == ""
    assert press(press(view, "4", names_, 10), "2", names_, 10).opened == "fm-041"
    assert press(view, "3", names_[:9], 10).opened == "fm-002"
    assert press(press(view, "9", names_[:50], 10), "9", names_[:50], 10).typed == ""
    assert press(view, "p", names_, 10).paused
    assert press(View(), "enter", [], 10) == View()


@pytest.mark.parametrize(
    ("text", "keys", "rest"),
    [
        ("jk", ["j", "k"], ""),
        ("\x1b[A\x1b[B\x1bOA", ["up", "down", "up"], ""),
        ("\x1b[5~\x1b[6~gG\r", ["page-up", "page-down", "home", "end", "enter"], ""),
        ("\x1b", [], "\x1b"),
        ("q\x1b[", ["q"], "\x1b["),
        ("\x1bq", ["escape", "q"], ""),
        ("\x1b[1;5Cq", ["q"], ""),
        ("\x00\x7fé", ["é"], ""),
    ],
)
def test_keys_are_read(text: str, keys: list[str], rest: str) -> None:
    """Arrows and the like are sequences, perhaps in pieces: a piece waits for its end, an unknown one is nothing."""
    assert decode(text) == (keys, rest)
