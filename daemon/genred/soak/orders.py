"""Orders: what the soak tells its radio server to do."""

from __future__ import annotations

from typing import Literal

import msgspec

REFUSALS = {
    "missing": b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n",
    "broken": b"HTTP/1.1 500 Internal Server Error\r\nConnection: close\r\n\r\n",
    "nothing": b"",
    "rubbish": bytes(range(256)) * 8,
    "loop": b"HTTP/1.1 302 Found\r\nLocation: ?\r\nContent-Length: 0\r\n\r\n",
    "local-file": b"HTTP/1.1 200 OK\r\nContent-Type: audio/x-mpegurl\r\nConnection: close\r\n\r\n"
    b"#EXTM3U\nfile:///etc/hostname\n",
    "endless": b"HTTP/1.1 200 OK\r\n",
}
Act = Literal["none", "gone", "codec", "splice", "stall", "trickle", "garbage", "lend"]


class Order(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What station `path` is to do.

    Attributes
    ----------
    act : str
        ``none``: nothing; ``gone``: drop all listeners, and refuse them as `how` says; ``codec``: drop them, and come
        back in `form`; ``splice``: go on in `form` in the middle of the stream; ``stall``: send nothing; ``trickle``:
        send a byte now and then; ``garbage``: send random bytes; ``lend``: drop them, come back in `form`, and drop
        them again.
    for_s : float
        How long; of what is lent, from when on somebody listens.
    form, how : str
    """

    path: str
    act: Act
    for_s: float = 0.0
    form: str = ""
    how: str = ""
