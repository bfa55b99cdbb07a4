"""The wire format: one record a message, a unit under each field. PROTOCOL.md says it in prose.

Two frames: the topic ``type/station/`` (``type/`` where there is no station) and the record as JSON. A field that does
not apply is left out, never null. A minor version adds fields; readers ignore what they do not know.
"""

from __future__ import annotations

import inspect
import json
from typing import Any, Literal

import msgspec
from msgspec import UNSET, UnsetType

VERSION = "1.0"

State = Literal["connecting", "running", "silent", "stalled", "lost", "ended"]
Reason = Literal["silence", "warming-up", "too-short", "unsure"]
Signal = Literal["silence", "digital-silence", "frozen", "dc", "clipping", "dead-channel"]


class Header(msgspec.Struct, frozen=True, kw_only=True, tag_field="type"):
    """What every message carries. The publisher fills it in when it sends.

    Attributes
    ----------
    v : str
        major.minor of this format.
    boot : str
        Of this run of the daemon: `seq` and `epoch` count from its start.
    station : str
    seq : int
        Per topic, from 0, without holes.
    time : str
        When it was sent: RFC 3339, UTC.
    repeat : bool
        Sent again for a new subscriber; the same `seq` has been sent before.
    """

    v: str = VERSION
    boot: str = ""
    station: str | UnsetType = UNSET
    seq: int = 0
    time: str = ""
    repeat: bool | UnsetType = UNSET


class Claim(msgspec.Struct, frozen=True):
    """Accuracy that the model's card claims, with its 95 % interval; all 0 to 1."""

    split: str
    input: str
    tracks: int
    accuracy: float
    low: float
    high: float


class Model(msgspec.Struct, frozen=True, kw_only=True):
    """The model in use."""

    name: str
    sha256: str
    provider: str
    claim: Claim | UnsetType = UNSET


class StationInfo(msgspec.Struct, frozen=True, kw_only=True):
    """One station the daemon listens to."""

    name: str
    uri: str
    tags: tuple[str, ...] | UnsetType = UNSET


class Hello(Header, frozen=True, kw_only=True, tag="hello"):
    """What the daemon is and does.

    Attributes
    ----------
    daemon : str
        genred's version.
    hop_frames, window_frames : int
        From one window to the next; in a full window.
    hop_s, window_s : float
        The same in seconds.
    sample_rate : int
        Hz; sample positions in messages count at this rate.
    """

    daemon: str
    model: Model
    labels: tuple[str, ...]
    sample_rate: int
    hop_frames: int
    hop_s: float
    window_frames: int
    window_s: float
    stations: tuple[StationInfo, ...]


class Smoothed(msgspec.Struct, frozen=True, kw_only=True):
    """The answer over the last windows: steadier, and later.

    Attributes
    ----------
    label : str
        It stays until another one is clearly more probable.
    confidence : float
        Mean probability of `label`, 0 to 1; not always the greatest.
    probabilities : dict
        Means of every label; they sum to 1.
    reason : str
        Why there is no label.
    delay_s : float
        Mean age of the windows in it, seconds, from the newest one's.
    """

    label: str | UnsetType = UNSET
    confidence: float | UnsetType = UNSET
    probabilities: dict[str, float]
    reason: Literal["unsure"] | UnsetType = UNSET
    delay_s: float


class Estimate(Header, frozen=True, kw_only=True, tag="estimate"):
    """The answer to one window: a label, or the reason why there is none.

    Attributes
    ----------
    epoch : int
        Of the station, from 0; samples count from its start.
    first_sample, last_sample : int
        Both included.
    window_s : float
        Length of the audio that was judged, seconds: less than hello's before the first full window of an epoch.
    clock : str
        What the station's times rest on.
    heard_at : str
        When the window's last sample sounded: RFC 3339, UTC.
    label : str
    confidence : float
        Probability of `label`, 0 to 1, calibrated for windows of this length.
    probabilities : dict
        Of every label; they sum to 1. There also when the reason is ``unsure``.
    reason : str
        Why there is no label.
    smoothed : Smoothed
        With `probabilities`.
    progress : float
        While warming up: how much of the first window is there, 0 to 1.
    level_dbfs : float
        RMS of the newest hop, before the gain.
    gain_db : float
    lost_ms : float
        Of the window, milliseconds that were lost and are zeros.
    skipped : int
        Windows of this epoch not judged so far.
    latency_ms : float
        From the hand-over of the block that completed the window to the send.
    age_ms : float
        From `heard_at` to the send.
    narrow_band : bool
        The source's sample rate cannot carry the band the model listens to.
    """

    epoch: int
    first_sample: int
    last_sample: int
    window_s: float
    clock: Literal["device", "arrival", "none"]
    heard_at: str | UnsetType = UNSET
    label: str | UnsetType = UNSET
    confidence: float | UnsetType = UNSET
    probabilities: dict[str, float] | UnsetType = UNSET
    reason: Reason | UnsetType = UNSET
    smoothed: Smoothed | UnsetType = UNSET
    progress: float | UnsetType = UNSET
    level_dbfs: float
    gain_db: float
    lost_ms: float
    skipped: int
    latency_ms: float = 0.0
    age_ms: float | UnsetType = UNSET
    narrow_band: bool | UnsetType = UNSET


class Segment(Header, frozen=True, kw_only=True, tag="segment"):
    """A stretch of one label: that it has begun, goes on, or has ended.

    Attributes
    ----------
    phase : str
        ``start``, ``update`` or ``end``.
    number : int
        Of the station, from 0; the same in all phases.
    epoch : int
    first_sample, last_sample : int
        Both included. Before the end, the last one is that of the newest window.
    duration_s : float
        From the first to the last.
    began_at : str
        When the first one sounded: RFC 3339, UTC.
    label : str
    confidence : float
        Mean probability of `label`, 0 to 1.
    probabilities : dict
        Means over its windows; they sum to 1.
    reason : str
        Why there is no label.
    windows : int
    delay_s : float
        From its last sample, of a start from its first, to the end of the window by which that was found.
    """

    phase: Literal["start", "update", "end"]
    number: int
    epoch: int
    first_sample: int
    last_sample: int
    duration_s: float
    began_at: str | UnsetType = UNSET
    label: str | UnsetType = UNSET
    confidence: float | UnsetType = UNSET
    probabilities: dict[str, float]
    reason: Literal["unsure"] | UnsetType = UNSET
    windows: int
    delay_s: float


class Event(Header, frozen=True, kw_only=True, tag="event"):
    """Something that happened once.

    Attributes
    ----------
    event : str
        ``state``, ``epoch``, ``title``, ``signal``, ``loss``, ``overrun``, ``overload``, ``error``, ``reload`` or
        ``clock-step``.
    text : str
        For people.
    state, previous : str
        Of a ``state`` event.
    epoch : int
    samples : int
        Lost or overwritten, at the station's own rate.
    duration_ms : float
        The same in time; of a ``clock-step``, how far the wall clock moved; of a ``signal`` that is over, how long it
        was so.
    title : str
        Of a ``title`` event: what the source says that it plays; empty if it says nothing any more.
    signal : str
        Of a ``signal`` event: what is wrong with the station's sound, or was.
    channel : int
        Which, from 1, if it is one.
    begin_s : float
        When it began, in seconds from the beginning of the epoch.
    began_at : str
        The same in time: RFC 3339, UTC.
    """

    event: Literal["state", "epoch", "title", "signal", "loss", "overrun", "overload", "error", "reload", "clock-step"]
    text: str
    state: State | UnsetType = UNSET
    previous: State | UnsetType = UNSET
    epoch: int | UnsetType = UNSET
    samples: int | UnsetType = UNSET
    duration_ms: float | UnsetType = UNSET
    title: str | UnsetType = UNSET
    signal: Signal | UnsetType = UNSET
    channel: int | UnsetType = UNSET
    begin_s: float | UnsetType = UNSET
    began_at: str | UnsetType = UNSET


class Counters(msgspec.Struct, frozen=True, kw_only=True):
    """Samples at the station's own rate, and windows; these hold always.

    ``expected = captured + lost``, ``captured = fed + overwritten + discarded + waiting`` and
    ``due = published + skipped``.
    """

    expected: int = 0
    captured: int = 0
    lost: int = 0
    fed: int = 0
    overwritten: int = 0
    discarded: int = 0
    waiting: int = 0
    due: int = 0
    published: int = 0
    skipped: int = 0


class Faults(msgspec.Struct, frozen=True, kw_only=True):
    """What went wrong since the start, counted.

    Attributes
    ----------
    losses : int
        Times the source was lost.
    overflows : int
        Times the driver said that it lost input.
    interruptions : int
        Times the stream was closed and opened again, because PortAudio had to start anew for another station.
    undecoded : int
        Pieces of input that could not be decoded.
    nonfinite : int
        Samples that were no numbers and became 0.
    clipped : int
        Samples at full scale.
    crashes : int
        Unexpected errors in the source's code.
    failed : int
        Windows to which the model had no usable answer.
    """

    losses: int = 0
    overflows: int = 0
    interruptions: int = 0
    undecoded: int = 0
    nonfinite: int = 0
    clipped: int = 0
    crashes: int = 0
    failed: int = 0


class LastEstimate(msgspec.Struct, frozen=True, kw_only=True):
    """The newest estimate, in short."""

    last_sample: int
    label: str | UnsetType = UNSET
    confidence: float | UnsetType = UNSET
    reason: Reason | UnsetType = UNSET


class Process(msgspec.Struct, frozen=True, kw_only=True):
    """The daemon's own load.

    Attributes
    ----------
    uptime_s : float
    cpu_percent : float
        Of one core, over the last second.
    memory_mb : float
        Resident, 10^6 bytes.
    subscriptions : int
        Topics that somebody subscribes to.
    overloaded : bool
        True while windows are skipped because the machine cannot keep up.
    """

    uptime_s: float
    cpu_percent: float
    memory_mb: float
    subscriptions: int
    overloaded: bool | UnsetType = UNSET


class Status(Header, frozen=True, kw_only=True, tag="status"):
    """Each second, the health of one station.

    Attributes
    ----------
    state : str
    since : str
        When it came into that state: RFC 3339, UTC.
    text : str
        Why it is lost.
    next_try : str
        While it is lost, when it is tried again: RFC 3339, UTC.
    epoch : int
    rate_hz : int
        The source's own rate.
    ring_fill : float
        0 to 1.
    level_dbfs, peak_dbfs : float
        Of the newest hop, RMS; the greatest sample of the last second. Both before the gain.
    signal : tuple of str
        What is wrong with the sound now: the ``signal`` events that are not over.
    this_epoch, total : Counters
        Of the present epoch; since the daemon's start, or since a reload gave the station its source.
    """

    state: State
    since: str
    text: str | UnsetType = UNSET
    next_try: str | UnsetType = UNSET
    epoch: int
    rate_hz: int | UnsetType = UNSET
    ring_fill: float
    level_dbfs: float
    peak_dbfs: float
    gain_db: float
    signal: tuple[str, ...] | UnsetType = UNSET
    this_epoch: Counters
    total: Counters
    faults: Faults
    last: LastEstimate | UnsetType = UNSET
    process: Process


Message = Hello | Estimate | Segment | Event | Status

_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Message)


def topic_of(message: Message) -> str:
    """``type/station/``, closed by a slash because subscribers match prefixes."""
    kind = type(message).__struct_config__.tag
    return f"{kind}/" if message.station is UNSET else f"{kind}/{message.station}/"


def encode(message: Message) -> bytes:
    """JSON of `message`; what UTF-8 cannot say, as in the name of a file that is none, becomes a question mark."""
    try:
        return _encoder.encode(message)
    except UnicodeEncodeError:
        text = json.dumps(msgspec.to_builtins(message), ensure_ascii=False, separators=(",", ":"))
        return text.encode(errors="replace")


def decode(payload: bytes) -> Message:
    """Message in `payload`; unknown fields are ignored.

    Raises
    ------
    ValueError
        If it is not a message of this major version.
    """
    try:
        return _decode(payload)
    except RecursionError as error:
        raise ValueError("no message is nested so deeply") from error


def _decode(payload: bytes) -> Message:
    try:
        message: Message = _decoder.decode(payload)
    except msgspec.ValidationError:
        _check_version(msgspec.json.decode(payload, type=_Version).v)  # that says more than a field that it has not
        raise
    _check_version(message.v)
    return message


class _Version(msgspec.Struct):
    """The one field that every version has."""

    v: str = VERSION


def _check_version(version: str) -> None:
    if version.partition(".")[0] != VERSION.partition(".")[0]:
        raise ValueError(f"message of version {version}; this reader knows {VERSION}")


def plain(text: str) -> str:
    """`text` from outside without control characters, at most 500 characters."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text[:500])


def counted(number: int, one: str, many: str = "") -> str:
    """`number` and what there are so many of: ``1 loss``, ``2 losses``; `many` is `one` and an s unless it is given."""
    return f"{number} {one if number == 1 else many or f'{one}s'}"


def schema() -> dict[str, Any]:
    """JSON Schema of a message as this version writes it: what has a default is always written."""
    document = msgspec.json.schema(Message)
    for record in document["$defs"].values():
        record["description"] = inspect.cleandoc(record["description"])
        for name, field in record["properties"].items():
            if "default" in field:
                del field["default"]
                record["required"].append(name)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"urn:genred:message:{VERSION}",
        "title": f"A message of genred, version {VERSION}",
        **document,
    }


if __name__ == "__main__":
    print(msgspec.json.format(msgspec.json.encode(schema(), order="sorted"), indent=2).decode())
