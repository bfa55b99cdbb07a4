"""Terminal: the one behind stdout; its alternate screen, its keys, and that it is given back as it was.

It is opened a second time, so that frames are written and keys are read without ever waiting: a terminal that does not
read (a dead connection, a stopped multiplexer) holds up nothing, and stdin is free to carry audio.
"""

from __future__ import annotations

import os
import re
import select
import signal
import sys
import termios
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from types import FrameType
from typing import Any

ENTER = "\x1b[?1049h\x1b[?25l\x1b[?7l"  # alternate screen, no cursor, no wrapping
LEAVE = "\x18\x1b[0m\x1b[2J\x1b[H\x1b[?7h\x1b[?25h\x1b[?1049l"  # CAN ends a sequence that was cut off
CLEAR = "\x1b[2J"
LEAVE_S = 0.5  # how long a terminal may take to let itself be restored
QUIT = 131  # as a shell says of SIGQUIT
KEYS = {
    "\x1b": "escape",
    "\r": "enter",
    "\n": "enter",
    "\x1b[A": "up",
    "\x1b[B": "down",
    "\x1bOA": "up",
    "\x1bOB": "down",
    "\x1b[5~": "page-up",
    "\x1b[6~": "page-down",
    "\x1b[H": "home",
    "\x1b[F": "end",
    "g": "home",
    "G": "end",
}
_KEY = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1bO.|\x1b(?!$)|[^\x1b]", re.DOTALL)
_CUT = re.compile(r"\x1b(\[[0-?]*[ -/]*|O)?$")
_ASCII = {
    ord(sign): plain
    for signs, plain in {
        "█▉▊▋▌▮▅▆▇": "#",
        "▍▎▏┃│": "|",
        "·…▁▂": ".",
        "▀": '"',
        "▃▄": "_",
        "›": ">",
        "─–": "-",
        "╭╮╰╯": "+",
        "●": "o",
        "↑": "^",
        "↓": "v",
    }.items()
    for sign in signs
}


class Terminal:
    """Nothing happens to the terminal before `ready` is asked.

    Parameters
    ----------
    fd : int
        Of the terminal, not blocking; it is closed by `close`.
    encoding : str

    Attributes
    ----------
    encoding : str
    shown : bool
        The alternate screen is on.
    entries : int
        How often it was put on; each time it is empty.
    """

    def __init__(self, fd: int, encoding: str = "utf-8") -> None:
        self.shown = False
        self.entries = 0
        self.encoding = encoding
        self._fd = fd
        self._gone = False  # nobody is there any more
        self._attributes: list[Any] = []  # the terminal's, before
        self._on_suspend: Callable[..., Any] | int | None = None  # handler of SIGTSTP, before
        self._on_quit: Callable[..., Any] | int | None = None  # handler of SIGQUIT, before
        self._rows: list[str] = []  # on the screen
        self._size = (0, 0)
        self._pending = b""  # written, but not yet taken
        self._typed = ""  # the beginning of a key

    def ready(self) -> bool:
        """Show the screen, unless genred runs in the background; it may come to the foreground later."""
        if self._gone:
            return False
        if self.shown and not self._in_foreground():
            self._forget()
        elif not self.shown and self._in_foreground():
            self._enter()
        return self.shown

    def close(self, farewell: str = "") -> None:
        """Give the terminal back as it was, with `farewell` on it if there was a picture; a second time do nothing."""
        self._leave(farewell)
        if self._fd >= 0:
            os.close(self._fd)
        self._fd, self._gone = -1, True

    def size(self) -> tuple[int, int]:
        """Columns and rows."""
        with suppress(OSError):
            columns, rows = os.get_terminal_size(self._fd)
            if columns and rows:
                return columns, rows
        return 80, 24

    def keys(self) -> list[str]:
        """Keys pressed since this was last called."""
        try:
            content = os.read(self._fd, 1024)
        except BlockingIOError:
            keys, self._typed = (["escape"] if self._typed == "\x1b" else []), ""
            return keys
        except OSError:
            content = b""
        if not content:  # hung up
            self._forget()
            self._gone = True
        keys, self._typed = decode(self._typed + content.decode(errors="replace"))
        return keys

    def draw(self, rows: Sequence[str]) -> None:
        """Show `rows`; those that are as before are not sent again."""
        self._flush()
        if self._pending or not self.shown:
            return  # it does not keep up; the next picture will be newer
        text = ""
        if self.size() != self._size:
            self._size, self._rows, text = self.size(), [], CLEAR
        old = self._rows + [""] * (len(rows) - len(self._rows))
        for number, (row, before) in enumerate(zip(rows, old, strict=False), start=1):
            if row != before:
                text += f"\x1b[{number};1H{row}"
        self._rows = list(rows)
        self._write(text)

    def _in_foreground(self) -> bool:
        """Whether we may touch the terminal: the system stops who does so from the background."""
        try:
            return os.tcgetpgrp(self._fd) == os.getpgrp()
        except OSError:
            return True  # it controls nobody's jobs

    def _enter(self) -> None:
        with suppress(termios.error):
            self._attributes = termios.tcgetattr(self._fd)
            raw = termios.tcgetattr(self._fd)
            raw[0] &= ~termios.IXON  # Ctrl-S would stop the picture
            raw[3] &= ~(termios.ICANON | termios.ECHO)
            raw[6][termios.VMIN], raw[6][termios.VTIME] = 1, 0
            termios.tcsetattr(self._fd, termios.TCSANOW, raw)
        self._on_suspend = signal.signal(signal.SIGTSTP, self._suspend)
        self._on_quit = signal.signal(signal.SIGQUIT, self._quit)
        self.shown, self._size, self._pending = True, (0, 0), b""
        self.entries += 1
        self._write(ENTER)

    def _leave(self, farewell: str = "") -> None:
        if not self.shown:
            return
        self._forget()
        self._write(LEAVE + farewell)
        while self._pending and select.select([], [self._fd], [], LEAVE_S)[1]:
            self._flush()
        self._pending = b""
        with suppress(termios.error):
            termios.tcsetattr(self._fd, termios.TCSANOW, self._attributes)

    def _forget(self) -> None:
        """Be as before `_enter`, but leave the terminal as it is: it is gone, or another's."""
        self.shown, self._pending = False, b""
        signal.signal(signal.SIGTSTP, self._on_suspend or signal.SIG_DFL)
        signal.signal(signal.SIGQUIT, self._on_quit or signal.SIG_DFL)

    def _suspend(self, _number: int, _frame: FrameType | None) -> None:
        """Ctrl-Z: leave, and stop as one would; `ready` enters again."""
        self._leave()
        signal.pthread_kill(threading.get_ident(), signal.SIGTSTP)  # it stops here, until it is continued

    def _quit(self, _number: int, _frame: FrameType | None) -> None:
        r"""Ctrl-\: leave, and end at once, without waiting for anybody."""
        self._leave()
        os._exit(QUIT)

    def _write(self, text: str) -> None:
        if not self.encoding.lower().startswith("utf"):
            text = text.translate(_ASCII)
        self._pending += text.encode(self.encoding, "replace")
        self._flush()

    def _flush(self) -> None:
        """Send as much as the terminal takes now."""
        try:
            while self._pending:
                self._pending = self._pending[os.write(self._fd, self._pending) :]
        except BlockingIOError:
            pass
        except OSError:  # hung up
            self._pending = b""


def of_stdout() -> Terminal | None:
    """Terminal behind stdout; None if there is none that can show a picture."""
    if not sys.stdout.isatty() or os.environ.get("TERM", "dumb") in ("dumb", "unknown"):
        return None
    flags = os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK
    with suppress(OSError):
        return Terminal(os.open(os.ttyname(sys.stdout.fileno()), flags), sys.stdout.encoding)
    with suppress(OSError):  # in a container the name may be of outside
        return Terminal(os.open("/dev/tty", flags), sys.stdout.encoding)
    return None


def decode(text: str) -> tuple[list[str], str]:
    """Names of the keys in `text`, and what may be the beginning of another."""
    cut = _CUT.search(text)
    whole, rest = (text[: cut.start()], cut.group()) if cut else (text, "")
    pressed = [KEYS.get(key, key) for key in _KEY.findall(whole)]
    return [key for key in pressed if key.isprintable()], rest
