"""Playlists, ``.m3u`` and ``.pls``: what they are known by, and what they name."""

from __future__ import annotations

import re

KINDS = (
    "application/pls+xml",
    "application/vnd.apple.mpegurl",
    "application/x-mpegurl",
    "audio/mpegurl",
    "audio/x-mpegurl",
    "audio/x-scpls",
)
SUFFIXES = (".m3u", ".m3u8", ".pls")
HEAD_BYTES = 64  # enough to know a playlist by
HEAD = re.compile(rb"(\xef\xbb\xbf)?\s*(#EXTM3U|\[playlist\])", re.IGNORECASE)
HLS = re.compile(r"^#EXT-X-(TARGETDURATION|STREAM-INF|MEDIA-SEQUENCE|MAP)", re.MULTILINE)


def is_playlist(head: bytes, kind: str, path: str) -> bool:
    """Whether an answer is a playlist, by its first bytes, its content type and the path it was asked for."""
    kind = kind.partition(";")[0].strip().lower()
    if HEAD.match(head) or kind in KINDS:
        return True
    return path.lower().endswith(SUFFIXES) and not kind.startswith("audio/")


def is_hls(text: str) -> bool:
    """Whether a playlist is one of HLS: of pieces to be played one after the other."""
    return HLS.search(text) is not None


def entries(text: str) -> list[str]:
    """Addresses that a playlist names, in order."""
    lines = [line.strip() for line in text.removeprefix("\N{ZERO WIDTH NO-BREAK SPACE}").splitlines()]
    if any(line.lower() == "[playlist]" for line in lines):
        return [match[1] for line in lines if (match := re.match(r"File\d+\s*=\s*(.+)", line, re.IGNORECASE))]
    return [line for line in lines if line and not line.startswith("#")]
