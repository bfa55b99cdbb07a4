"""The wire format against PROTOCOL.md, schema.json and the payloads of version 1.0 in golden/."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import types
import typing
from pathlib import Path
from typing import Any, Literal, Union

import jsonschema
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET, UnsetType

from conftest import ROOT, identities_hold
from genred import door, health, messages, publisher
from genred.config import DEFAULT_ENDPOINT, THRESHOLDS
from genred.messages import (
    Claim,
    Counters,
    Estimate,
    Event,
    Faults,
    Header,
    Hello,
    LastEstimate,
    Message,
    Model,
    Process,
    Segment,
    Smoothed,
    StationInfo,
    Status,
    counted,
    decode,
    encode,
    plain,
    topic_of,
)

GOLDEN = Path(__file__).parent / "golden"
PROTOCOL = (ROOT / "daemon" / "PROTOCOL.md").read_text()
SCHEMA: dict[str, Any] = json.loads((ROOT / "daemon" / "genred" / "schema.json").read_bytes())
MESSAGES = (Hello, Estimate, Segment, Event, Status)
BOOT = "5f0c2d9a7be14c6e9d3f1a8b40c7e215"
GENRES = ("blues", "classical", "country", "disco", "hiphop", "jazz", "metal", "pop", "reggae", "rock")

EXPECTED: dict[str, Message] = {
    "hello": Hello(
        boot=BOOT,
        time="2026-03-01T12:00:00.250000Z",
        repeat=True,
        daemon="0.1.0",
        model=Model(
            name="crnn",
            sha256="3b1f0c5a9d8e7f6a5b4c3d2e1f0a9b8c7d6e5f4a3b2c1d0e9f8a7b6c5d4e3f2a",
            provider="cpu",
            claim=Claim("random-0", "audio", 200, 0.81, 0.75, 0.86),
        ),
        labels=GENRES,
        sample_rate=22050,
        hop_frames=40,
        hop_s=40 * 512 / 22050,
        window_frames=1000,
        window_s=(999 * 512 + 2048) / 22050,
        stations=(
            StationInfo(name="kitchen", uri="mic:", tags=("home", "ground floor")),
            StationInfo(name="fm4", uri="file:café.mp3?pace=realtime"),
        ),
    ),
    "hello-minimal": Hello(
        boot=BOOT,
        time="2026-03-01T12:00:00.250000Z",
        daemon="0.1.0",
        model=Model(
            name="mine",
            sha256="e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
            provider="cuda",
        ),
        labels=("music", "speech"),
        sample_rate=16000,
        hop_frames=10,
        hop_s=0.1,
        window_frames=100,
        window_s=1.015,
        stations=(),
    ),
    "estimate": Estimate(
        boot=BOOT,
        station="kitchen",
        seq=125,
        time="2026-03-01T12:02:27.004127Z",
        epoch=1,
        first_sample=100 * 40 * 512,
        last_sample=100 * 40 * 512 + 999 * 512 + 2048 - 1,
        window_s=(999 * 512 + 2048) / 22050,
        clock="device",
        heard_at="2026-03-01T12:02:26.950003Z",
        label="jazz",
        confidence=0.75,
        probabilities=dict(
            zip(GENRES, (0.125, 0.0625, 0.015625, 0.0, 0.0, 0.75, 0.0, 0.015625, 0.0, 0.03125), strict=True)
        ),
        smoothed=Smoothed(
            label="jazz",
            confidence=0.5,
            probabilities=dict(zip(GENRES, (0.375, 0.0625, 0.0, 0.0, 0.0, 0.5, 0.0, 0.0, 0.0, 0.0625), strict=True)),
            delay_s=5.5,
        ),
        level_dbfs=-38.25,
        gain_db=18.0,
        lost_ms=50.0,
        skipped=1,
        latency_ms=14.5,
        age_ms=54.124,
    ),
    "estimate-warming-up": Estimate(
        boot=BOOT,
        station="phone",
        seq=12,
        time="2026-03-01T12:00:12.000981Z",
        epoch=0,
        first_sample=0,
        last_sample=479 * 512 + 2048 - 1,
        window_s=(479 * 512 + 2048) / 22050,
        clock="device",
        reason="warming-up",
        progress=0.48,
        level_dbfs=-120.0,
        gain_db=0.0,
        lost_ms=0.0,
        skipped=0,
        narrow_band=True,
    ),
    "estimate-silence": Estimate(
        boot=BOOT,
        station="tape",
        seq=3,
        time="2026-03-01T12:00:26.500000Z",
        repeat=True,
        epoch=0,
        first_sample=3 * 40 * 512,
        last_sample=3 * 40 * 512 + 999 * 512 + 2048 - 1,
        window_s=(999 * 512 + 2048) / 22050,
        clock="none",
        reason="silence",
        level_dbfs=-86.5,
        gain_db=0.0,
        lost_ms=0.0,
        skipped=0,
        latency_ms=3.25,
    ),
    "segment": Segment(
        boot=BOOT,
        station="kitchen",
        seq=9,
        time="2026-03-01T12:02:27.004212Z",
        phase="start",
        number=3,
        epoch=1,
        first_sample=2048000,
        last_sample=2561535,
        duration_s=513536 / 22050,
        began_at="2026-03-01T12:02:03.660434Z",
        label="jazz",
        confidence=0.625,
        probabilities=dict(zip(GENRES, (0.25, 0.0625, 0.0, 0.0, 0.0, 0.625, 0.0, 0.0, 0.0, 0.0625), strict=True)),
        windows=13,
        delay_s=513535 / 22050,
    ),
    "segment-unsure": Segment(
        boot=BOOT,
        station="tape",
        seq=4,
        time="2026-03-01T12:00:58.500000Z",
        phase="end",
        number=0,
        epoch=0,
        first_sample=0,
        last_sample=881999,
        duration_s=40.0,
        probabilities=dict.fromkeys(GENRES[:2], 0.125) | dict.fromkeys(GENRES[2:], 0.09375),
        reason="unsure",
        windows=31,
        delay_s=24.5,
    ),
    "event-state": Event(
        boot=BOOT,
        station="kitchen",
        seq=4,
        time="2026-03-01T12:00:31.000000Z",
        event="state",
        text="no microphone of that name",
        state="lost",
        previous="running",
    ),
    "event-epoch": Event(
        boot=BOOT,
        station="kitchen",
        seq=5,
        time="2026-03-01T12:00:33.000000Z",
        event="epoch",
        text="epoch 1 begins, 48000 Hz",
        epoch=1,
    ),
    "event-title": Event(
        boot=BOOT,
        station="radio",
        seq=3,
        time="2026-03-01T12:01:05.000000Z",
        event="title",
        text="title: Bix Beiderbecke - Singin' the Blues",
        epoch=0,
        title="Bix Beiderbecke - Singin' the Blues",
    ),
    "event-loss": Event(
        boot=BOOT,
        station="kitchen",
        seq=8,
        time="2026-03-01T12:02:20.000000Z",
        event="loss",
        text="0.050 s of audio lost at the device",
        epoch=1,
        samples=2400,
        duration_ms=50.0,
    ),
    "event-signal": Event(
        boot=BOOT,
        station="fm4",
        seq=9,
        time="2026-03-01T12:03:10.250000Z",
        event="signal",
        text="channel 2 is dead",
        epoch=1,
        signal="dead-channel",
        channel=2,
        begin_s=147.3,
        began_at="2026-03-01T12:03:00.300000Z",
    ),
    "event-signal-over": Event(
        boot=BOOT,
        station="fm4",
        seq=10,
        time="2026-03-01T12:04:12.250000Z",
        event="signal",
        text="channel 2 is dead: over after 72.0 s",
        epoch=1,
        duration_ms=72000.0,
        signal="dead-channel",
        channel=2,
        begin_s=147.3,
        began_at="2026-03-01T12:03:00.300000Z",
    ),
    "event-reload": Event(
        boot=BOOT,
        seq=1,
        time="2026-03-01T14:00:00.000000Z",
        event="reload",
        text="reloaded: 1 station added (hall)",
    ),
    "event-clock-step": Event(
        boot=BOOT,
        seq=0,
        time="2026-03-01T13:00:00.000000Z",
        event="clock-step",
        text="the wall clock moved by -1.500 s",
        duration_ms=-1500.0,
    ),
    "status": Status(
        boot=BOOT,
        station="kitchen",
        seq=147,
        time="2026-03-01T12:02:27.250000Z",
        state="running",
        since="2026-03-01T12:00:33.100000Z",
        epoch=1,
        rate_hz=48000,
        ring_fill=0.0025,
        level_dbfs=-38.25,
        peak_dbfs=-21.5,
        gain_db=18.0,
        signal=("clipping",),
        this_epoch=Counters(
            expected=5577600, captured=5575200, lost=2400, fed=5574000, waiting=1200, due=101, published=100, skipped=1
        ),
        total=Counters(
            expected=7017600,
            captured=7015200,
            lost=2400,
            fed=7012000,
            discarded=2000,
            waiting=1200,
            due=109,
            published=108,
            skipped=1,
        ),
        faults=Faults(losses=1, overflows=2, clipped=17),
        last=LastEstimate(last_sample=2561535, label="jazz", confidence=0.75),
        process=Process(uptime_s=147.0, cpu_percent=6.5, memory_mb=181.2, subscriptions=2),
    ),
    "status-lost": Status(
        boot=BOOT,
        station="hall",
        seq=6,
        time="2026-03-01T12:00:06.250000Z",
        state="lost",
        since="2026-03-01T12:00:01.000000Z",
        text="no microphone of that name",
        epoch=0,
        ring_fill=0.0,
        level_dbfs=-120.0,
        peak_dbfs=-120.0,
        gain_db=0.0,
        this_epoch=Counters(),
        total=Counters(),
        faults=Faults(losses=3),
        process=Process(uptime_s=6.0, cpu_percent=0.5, memory_mb=174.9, subscriptions=0),
    ),
}


def golden(name: str) -> bytes:
    """Payload in golden/; the file has a newline more."""
    return (GOLDEN / f"{name}.json").read_bytes().removesuffix(b"\n")


def altered(name: str, **fields: Any) -> bytes:
    """Golden payload with some fields set, or taken away with None."""
    content = json.loads(golden(name)) | fields
    return json.dumps({key: value for key, value in content.items() if value is not None}).encode()


# Records, by introspection


def records() -> dict[str, type[msgspec.Struct]]:
    """Every record that a message can hold, with the Header that all share."""
    found: dict[str, type[msgspec.Struct]] = {"Header": Header}

    def visit(kind: Any) -> None:
        for argument in typing.get_args(kind):
            visit(argument)
        if isinstance(kind, type) and issubclass(kind, msgspec.Struct) and kind.__name__ not in found:
            found[kind.__name__] = kind
            for field in msgspec.structs.fields(kind):
                visit(field.type)

    for kind in MESSAGES:
        visit(kind)
    return found


def own_fields(record: type[msgspec.Struct]) -> list[msgspec.structs.FieldInfo]:
    """Fields of `record` without those of Header."""
    shared = set(Header.__struct_fields__) if record is not Header and issubclass(record, Header) else set()
    return [field for field in msgspec.structs.fields(record) if field.name not in shared]


def is_always_there(field: msgspec.structs.FieldInfo) -> bool:
    """A field is on the wire always, unless it can be UNSET."""
    return UnsetType not in typing.get_args(field.type)


def kind_of(field: msgspec.structs.FieldInfo) -> Any:
    """Its type, UNSET aside."""
    if typing.get_origin(field.type) in (Union, types.UnionType):
        (kind,) = (part for part in typing.get_args(field.type) if part is not UnsetType)
        return kind
    return field.type


def words(kind: Any) -> str:
    """How PROTOCOL.md writes a type."""
    if typing.get_origin(kind) is Literal:
        return "string"
    if typing.get_origin(kind) is tuple:
        inner = typing.get_args(kind)[0]
        return "list of strings" if inner is str else f"list of {words(inner)}"
    if kind == dict[str, float]:
        return "object of numbers"
    plain_types = {str: "string", int: "integer", float: "number", bool: "boolean"}
    return plain_types.get(kind) or f"[{kind.__name__}](#{kind.__name__.lower()})"


def rows(record: str) -> dict[str, tuple[str, str, str, str]]:
    """Table below the heading `record` in PROTOCOL.md: field -> type, unit, always?, meaning."""
    section = re.search(rf"^### {record}\n(.*?)(?=^##|\Z)", PROTOCOL, re.DOTALL | re.MULTILINE)
    assert section, f"PROTOCOL.md has no section ### {record}"
    table = section[1].partition("| field | type | unit | always? | meaning |\n")[2]
    found: dict[str, tuple[str, str, str, str]] = {}
    for line in table.splitlines()[1:]:
        if not line.startswith("|"):
            break
        name, kind, unit, always, meaning = (cell.strip() for cell in line.strip().strip("|").split("|"))
        found[name.strip("`")] = (kind, unit, always, meaning)
    return found


ALL_FIELDS = [(name, field) for name, record in records().items() for field in own_fields(record)]


@pytest.mark.parametrize(("record", "field"), ALL_FIELDS, ids=[f"{name}.{field.name}" for name, field in ALL_FIELDS])
def test_protocol_describes_field(record: str, field: msgspec.structs.FieldInfo) -> None:
    """PROTOCOL.md gives each field's type, every value of an enumeration, a meaning, and when it is there."""
    kind, _, always, meaning = rows(record)[field.name]
    assert kind == words(kind_of(field))
    assert always == "yes" if is_always_there(field) else re.fullmatch("no: .+", always)
    assert len(meaning) > 3
    if typing.get_origin(kind_of(field)) is Literal:
        assert {f"`{value}`" for value in typing.get_args(kind_of(field))} <= set(re.findall("`[^`]+`", meaning))


@pytest.mark.parametrize("field", [f for _, f in ALL_FIELDS if re.search("_(s|ms|hz|dbfs|db|mb|percent)$", f.name)])
def test_protocol_units_agree_with_names(field: msgspec.structs.FieldInfo) -> None:
    """A unit in a field's name is the unit that PROTOCOL.md gives."""
    units = {
        "s": "s",
        "ms": "ms",
        "hz": "Hz",
        "dbfs": "dBFS",
        "db": "dB",
        "mb": "10^6 bytes",
        "percent": "% of one core",
    }
    given_units = {rows(name)[field.name][1] for name, other in ALL_FIELDS if other.name == field.name}
    assert given_units == {units[field.name.rpartition("_")[2]]}


@pytest.mark.parametrize("record", list(records()))
def test_protocol_describes_nothing_else(record: str) -> None:
    """PROTOCOL.md names no field that the record has not, and keeps the record's order."""
    assert list(rows(record)) == [field.name for field in own_fields(records()[record])]


def test_protocol_examples_are_golden() -> None:
    """Every example in PROTOCOL.md is a golden message, and every type of message has one."""
    examples = [json.loads(block) for block in re.findall(r"```json\n(.*?)```", PROTOCOL, re.DOTALL)]
    payloads = [json.loads(golden(name)) for name in EXPECTED]
    assert all(example in payloads for example in examples)
    assert {example["type"] for example in examples} == {kind.__struct_config__.tag for kind in MESSAGES}


def test_protocol_numbers_are_the_codes() -> None:
    """The version, endpoint, limits and identities that PROTOCOL.md states are those of the code."""
    assert PROTOCOL.startswith(f"# The messages of genred, version {messages.VERSION}\n")
    assert f"by default at `{DEFAULT_ENDPOINT}`" in PROTOCOL
    assert f"at most once in {1000 * publisher.REPEAT_S:.0f} ms" in PROTOCOL
    assert f"about {publisher.HIGH_WATER} messages" in PROTOCOL
    assert f"more than {publisher.MOST_SUBSCRIPTION_BYTES} bytes" in PROTOCOL
    assert f"({publisher.MOST_BYTES_WITH_KEYS} with keys)" in PROTOCOL
    assert publisher.MOST_SUBSCRIBED_BYTES == 1_000_000
    assert "together may have a million bytes" in PROTOCOL
    assert f"wait {publisher.REJOIN_S:g} s" in PROTOCOL
    assert f"after {door.HANDSHAKE_MS // 1000} s" in PROTOCOL
    identities = re.findall("``(.*?)``", Counters.__doc__ or "")
    assert len(identities) == 3
    squeezed = re.sub(" +", " ", PROTOCOL)
    assert all(f"\n {identity}\n" in squeezed for identity in identities)


def test_protocol_states_the_thresholds() -> None:
    """What PROTOCOL.md says of faults of the signal are the defaults of the configuration, for each that there is."""
    section = PROTOCOL.split("#### What can be wrong with the sound")[1].split("###")[0]
    stated = dict(re.findall(r"^\| `([a-z-]+)` \| (.*) \| .* \|$", section, re.MULTILINE))
    assert tuple(stated)[1:] == typing.get_args(messages.Signal)
    t = THRESHOLDS
    assert f"below {t.silence_dbfs:g} dBFS for {t.silence_s:g} s" in stated["silence"]
    assert f"| {t.hysteresis_db:g} dB above that |" in section
    assert f"for {t.frozen_s:g} s" in stated["digital-silence"]
    assert f"for {t.frozen_s:g} s" in stated["frozen"]
    assert f"{t.dc_percent:g} % of full scale to one side for {health.DC_S:g} s" in stated["dc"]
    assert f"{t.clipped_percent:g} % of the samples of a second" in stated["clipping"]
    assert f"below {t.silence_dbfs:g} dBFS for {t.dead_channel_s:g} s" in stated["dead-channel"]


# Schema


def always_there(record: str) -> set[str]:
    """What the schema requires of `record`."""
    return set(SCHEMA["$defs"][record]["required"])


def test_schema_is_the_committed_one() -> None:
    """What ``python -m genred.messages`` prints is committed, byte for byte."""
    printed = subprocess.run([sys.executable, "-m", "genred.messages"], capture_output=True, check=True).stdout
    assert printed == (ROOT / "daemon" / "genred" / "schema.json").read_bytes()


def test_schema_is_one() -> None:
    """schema.json is a JSON Schema of the draft that it names, with an identity and a title."""
    jsonschema.validators.validator_for(SCHEMA).check_schema(SCHEMA)
    assert SCHEMA["$schema"] == jsonschema.Draft202012Validator.META_SCHEMA["$id"]
    assert messages.VERSION in SCHEMA["$id"]
    assert messages.VERSION in SCHEMA["title"]


@pytest.mark.parametrize("record", [name for name in records() if name != "Header"])
def test_schema_requires_what_is_always_there(record: str) -> None:
    """The schema requires exactly the fields that PROTOCOL.md calls always there, and the type of a message."""
    fields = msgspec.structs.fields(records()[record])
    tag = {"type"} if issubclass(records()[record], Header) else set()
    assert always_there(record) == {field.name for field in fields if is_always_there(field)} | tag


@pytest.mark.parametrize("name", list(EXPECTED))
def test_golden_messages_fit_the_schema(name: str) -> None:
    """The schema accepts every golden message."""
    jsonschema.validate(json.loads(golden(name)), SCHEMA)


@pytest.mark.parametrize("kind", MESSAGES)
def test_schema_refuses_a_message_without_a_required_field(kind: type[Message]) -> None:
    """The schema refuses a message that lacks any one of the fields that are always there."""
    name = str(kind.__struct_config__.tag)
    content = json.loads(golden(name if name in EXPECTED else f"{name}-state"))
    validator = jsonschema.Draft202012Validator(SCHEMA)
    assert validator.is_valid(content)
    for field in always_there(kind.__name__):
        assert not validator.is_valid({key: value for key, value in content.items() if key != field}), field


def strategy(kind: Any) -> st.SearchStrategy[Any]:
    """Values of a field's type as they can really be: finite numbers, and text that UTF-8 can say."""
    if typing.get_origin(kind) is Literal:
        return st.sampled_from(typing.get_args(kind))
    if typing.get_origin(kind) is tuple:
        return st.lists(strategy(typing.get_args(kind)[0]), max_size=3).map(tuple)
    if kind == dict[str, float]:
        return st.dictionaries(st.text(max_size=8), st.floats(0, 1), max_size=3)
    simple: dict[Any, st.SearchStrategy[Any]] = {
        bool: st.booleans(),
        int: st.integers(0, 2**53),
        float: st.floats(allow_nan=False, allow_infinity=False),
        str: st.text(st.characters(codec="utf-8"), max_size=20),
    }
    return simple[kind] if kind in simple else filled(kind, sometimes=True)


def filled(record: type[Any], *, sometimes: bool, optional: bool = True) -> st.SearchStrategy[Any]:
    """Records with their optional fields there, not there, or as chance will have it."""
    parts = {}
    for field in msgspec.structs.fields(record):
        if field.name == "v":
            continue
        value = strategy(kind_of(field))
        if not is_always_there(field):
            value = st.one_of(st.just(UNSET), value) if sometimes else value if optional else st.just(UNSET)
        parts[field.name] = value
    return st.builds(record, **parts)


ANY_MESSAGE = st.one_of(
    *(filled(kind, sometimes=True) for kind in MESSAGES),
    *(filled(kind, sometimes=False, optional=optional) for kind in MESSAGES for optional in (True, False)),
)
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)


@given(ANY_MESSAGE)
def test_any_message_survives_the_wire(message: Message) -> None:
    """Every message, full or bare, is valid by the schema, holds no null, and reads back as it was."""
    payload = encode(message)
    content = json.loads(payload, parse_constant=pytest.fail)
    VALIDATOR.validate(content)
    assert None not in content.values()
    assert decode(payload) == message


# Golden messages


def test_golden_folder_is_complete() -> None:
    """Each file in golden/ has an expected record, and each record a file."""
    assert {path.stem for path in GOLDEN.glob("*.json")} == set(EXPECTED)


@pytest.mark.parametrize("name", list(EXPECTED))
def test_golden_is_read(name: str) -> None:
    """Today's reader understands the payloads of version 1.0."""
    assert decode(golden(name)) == EXPECTED[name]


@pytest.mark.parametrize("name", list(EXPECTED))
def test_golden_is_written(name: str) -> None:
    """Today's writer writes the bytes of version 1.0."""
    assert encode(EXPECTED[name]) == golden(name)


@pytest.mark.parametrize("name", list(EXPECTED))
def test_unknown_fields_are_ignored(name: str) -> None:
    """A field that a later minor version added changes nothing for this reader."""
    later = decode(altered(name, v="1.9", mood={"valence": [0.5, None]}))
    assert msgspec.structs.replace(later, v="1.0") == EXPECTED[name]


@pytest.mark.parametrize("name", list(EXPECTED))
@pytest.mark.parametrize("version", ["2.0", "0.9", "10.0", ""])
def test_another_major_version_is_refused(name: str, version: str) -> None:
    """A message of another major version is refused, however familiar it looks."""
    with pytest.raises(ValueError, match=f"version {version}"):
        decode(altered(name, v=version))


@pytest.mark.parametrize("name", list(EXPECTED))
def test_optional_fields_may_be_missing(name: str) -> None:
    """A payload of a daemon that does not know the optional fields yet still reads; they are UNSET, not null."""
    optional = {f.name for f in msgspec.structs.fields(type(EXPECTED[name])) if not is_always_there(f)}
    older = decode(altered(name, **dict.fromkeys(optional)))
    assert older == msgspec.structs.replace(EXPECTED[name], **dict.fromkeys(optional, UNSET))


@pytest.mark.parametrize("name", ["status", "status-lost"])
def test_golden_counters_agree(name: str) -> None:
    """The counters of the golden status messages fulfil the identities that PROTOCOL.md promises."""
    assert identities_hold(EXPECTED[name])


# Odds and ends

UNREADABLE = {
    "empty": b"",
    "no JSON": b"genre: jazz",
    "cut short": golden("estimate")[:-1],
    "two": golden("estimate") * 2,
    "not UTF-8": golden("event-state").replace(b"microphone", b"micr\xffphone"),
    "no object": b"[1, 2]",
    "null": b"null",
    "no type": altered("estimate", type=None),
    "unknown type": altered("estimate", type="weather"),
    "number for text": altered("estimate", label=7),
    "unknown state": altered("status", state="asleep"),
    "required field missing": altered("estimate", epoch=None),
    "null field": golden("event-epoch").replace(b'"epoch":1', b'"epoch":null'),
    "deeply nested": golden("event-epoch")[:-1] + b',"x":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "deeply nested, and wrong before": b'{"type":"event","seq":"one","x":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
}


@pytest.mark.parametrize("payload", UNREADABLE.values(), ids=UNREADABLE)
def test_unreadable_is_value_error(payload: bytes) -> None:
    """Whatever a payload holds, the reader raises ValueError or nothing."""
    with pytest.raises(ValueError, match=r".+"):
        decode(payload)


@given(st.one_of(st.binary(max_size=200), st.integers(1, 400).map(lambda n: golden("estimate")[n:])))
def test_garbage_is_value_error(payload: bytes) -> None:
    """Bytes by chance are a ValueError too."""
    with pytest.raises(ValueError, match=r".+"):
        decode(payload)


def test_text_that_is_not_unicode_is_sent_all_the_same() -> None:
    """A file name that is not UTF-8 gets question marks; nothing else of the message changes."""
    uri = b"file:caf\xe9.mp3".decode(errors="surrogateescape")
    message = msgspec.structs.replace(EXPECTED["hello-minimal"], stations=(StationInfo(name="a", uri=uri),))
    expected = golden("hello-minimal").replace(b"[]", b'[{"name":"a","uri":"file:caf?.mp3"}]')
    assert encode(message) == expected


def test_topics_close_with_a_slash() -> None:
    """A topic is type/station/, so that a subscription to hall does not match hall2."""
    assert {name: topic_of(message) for name, message in EXPECTED.items() if "-" not in name} == {
        "hello": "hello/",
        "estimate": "estimate/kitchen/",
        "segment": "segment/kitchen/",
        "status": "status/kitchen/",
    }
    assert topic_of(EXPECTED["event-clock-step"]) == "event/"
    assert topic_of(EXPECTED["event-loss"]) == "event/kitchen/"


def test_plain_text_cannot_steer_a_terminal() -> None:
    """Text from outside loses its control characters and its excess."""
    assert plain("caf\u00e9 \x1b[31mred\r\n") == "caf\u00e9 \ufffd[31mred\ufffd\ufffd"
    assert len(plain("a" * 10_000)) == 500


def test_what_is_counted_is_one_or_many() -> None:
    """One thing is no plural; where an s is not enough the plural is given."""
    assert [counted(n, "station") for n in (0, 1, 2)] == ["0 stations", "1 station", "2 stations"]
    assert [counted(n, "loss", "losses") for n in (1, 2)] == ["1 loss", "2 losses"]
