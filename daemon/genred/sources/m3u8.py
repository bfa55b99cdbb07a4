"""HLS playlists as RFC 8216 writes them: a media playlist names segments, a master playlist names media playlists."""

from __future__ import annotations

import re
from dataclasses import dataclass

from .url import Url

TARGET_S = (1.0, 60.0)  # what a target duration, and the length of a segment, may be
ATTRIBUTE = re.compile(r'([A-Z0-9-]+)=("[^"]*"|[^",]*)')


@dataclass(frozen=True)
class Resource:
    """An address, or of what is there `length` bytes from `first` on."""

    url: Url
    first: int = 0
    length: int | None = None


@dataclass(frozen=True)
class Segment:
    """Some seconds of the stream.

    Attributes
    ----------
    number : int
        The media sequence number.
    head : Resource or None
        What has to come before it, where it has no head of its own.
    breaks : bool
        It continues nothing: the encoding changes.
    """

    number: int
    seconds: float
    content: Resource
    head: Resource | None
    breaks: bool


@dataclass(frozen=True)
class Media:
    """A media playlist as it is at the moment; `ended` where no more will come."""

    target_s: float
    segments: tuple[Segment, ...]
    ended: bool


def is_master(text: str) -> bool:
    """Whether `text` names media playlists."""
    return "#EXT-X-STREAM-INF" in text


def choose(text: str, base: Url) -> Url:
    """Media playlist of a master playlist that has the sound, and no more than it if possible.

    Raises
    ------
    ValueError
        If there is none, or none that genred opens.
    """
    variants: list[tuple[bool, float, str]] = []  # without pictures, bandwidth, address
    attributes: dict[str, str] = {}
    for line in _lines(text):
        if line.startswith("#EXT-X-MEDIA:"):
            media = _attributes(line)
            if media.get("TYPE") == "AUDIO" and media.get("URI"):
                return base.join(media["URI"])
        elif line.startswith("#EXT-X-STREAM-INF:"):
            attributes = _attributes(line)
        elif not line.startswith("#"):
            bandwidth = attributes.get("BANDWIDTH", "0")
            sound_only = not {"RESOLUTION", "VIDEO"} & set(attributes)
            variants.append((sound_only, float(bandwidth) if bandwidth.isdecimal() else 0.0, line))
    if not variants:
        raise ValueError("it names no media playlist")
    pure = [(bandwidth, line) for sound_only, bandwidth, line in variants if sound_only]
    every = [(bandwidth, line) for _, bandwidth, line in variants]
    return base.join(max(pure)[1] if pure else min(every)[1])


def parse(text: str, base: Url) -> Media:
    """Read a media playlist.

    Raises
    ------
    ValueError
        If it is encrypted, malformed, or names what genred does not open.
    """
    lines = _lines(text)
    if any(line.startswith("#EXT-X-KEY:") and _attributes(line).get("METHOD", "NONE") != "NONE" for line in lines):
        raise ValueError("it is encrypted")
    number, target_s, seconds, breaks = 0, 10.0, 0.0, False
    head: Resource | None = None
    span: tuple[int, int] | None = None
    following: dict[Url, int] = {}  # where the next range of an address begins that says no more than its length
    segments: list[Segment] = []
    for line in lines:
        tag, _, value = line.partition(":")
        match tag if line.startswith("#") else "":
            case "#EXT-X-TARGETDURATION":
                target_s = _seconds(value)
            case "#EXT-X-MEDIA-SEQUENCE":
                number = _whole(value)
            case "#EXTINF":
                seconds = _seconds(value.partition(",")[0])
            case "#EXT-X-BYTERANGE":
                span = _span(value)
            case "#EXT-X-MAP":
                head = _head(_attributes(line), base)
            case "#EXT-X-DISCONTINUITY":
                breaks = True
            case "":
                content = _resource(base.join(line), span, following)
                segments.append(Segment(number + len(segments), seconds or target_s, content, head, breaks))
                seconds, span, breaks = 0.0, None, False
    return Media(target_s, tuple(segments), "#EXT-X-ENDLIST" in lines)


def _lines(text: str) -> list[str]:
    return [stripped for line in text.splitlines() if (stripped := line.strip())]


def _attributes(line: str) -> dict[str, str]:
    return {match[1]: match[2].strip('"') for match in ATTRIBUTE.finditer(line)}


def _whole(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,18}", text.strip()):
        raise ValueError(f"it has {text.strip()[:20]!r} where a number belongs")
    return int(text)


def _seconds(text: str) -> float:
    if not re.fullmatch(r"[0-9]{1,9}(\.[0-9]*)?", text.strip()):
        raise ValueError(f"it has {text.strip()[:20]!r} where a time belongs")
    return min(max(float(text), TARGET_S[0] / 10), TARGET_S[1])


def _span(text: str) -> tuple[int, int]:
    """Length and first byte of a range, -1 where it follows the one before."""
    length, at, first = text.partition("@")
    return _whole(length), _whole(first) if at else -1


def _head(attributes: dict[str, str], base: Url) -> Resource:
    span = _span(attributes["BYTERANGE"]) if "BYTERANGE" in attributes else None
    return _resource(base.join(attributes.get("URI", "")), span, {})


def _resource(url: Url, span: tuple[int, int] | None, following: dict[Url, int]) -> Resource:
    if span is None:
        return Resource(url)
    length, first = span
    first = following.get(url, 0) if first < 0 else first
    following[url] = first + length
    return Resource(url, first, length)
