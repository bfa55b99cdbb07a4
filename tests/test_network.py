"""Network stations against a server written by hand: formats, titles, playlists, and bodies that are no audio."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from audio_files import stream
from conftest import music
from genred.errors import SourceError, SourceLost
from genred.ring import Block
from genred.sources import Intake, open_source
from genred.sources.body import BREAK, Body, Mark
from genred.sources.icy import without_titles
from genred.sources.network import MOST_ASKED
from genred.sources.ogg import by_chain
from genred.sources.playlist import entries, is_playlist
from web import Part, Request, Script, answer, serving

KINDS = ("mp3", "aac", "vorbis", "opus", "flac", "oggflac")
SECONDS = 3.0


class Ear:
    """The Output of a source: takes all that comes, as a worker does that is never late."""

    def __init__(self, *, deaf: bool = False) -> None:
        self.stop = threading.Event()
        self.intakes: list[Intake] = []
        self.undecoded = 0
        self.deaf = deaf

    def begin(self, rate_hz: int, channels: int = 1) -> Intake:
        self.intakes.append(Listening(rate_hz, channels, self) if not self.deaf else Intake(rate_hz, stop=self.stop))
        return self.intakes[-1]

    def count_error(self) -> None:
        self.undecoded += 1


class Listening(Intake):
    """An intake that is read at once."""

    def __init__(self, rate_hz: int, channels: int, ear: Ear) -> None:
        super().__init__(rate_hz, channels, stop=ear.stop)
        self.blocks: list[Block] = []

    def overwrite(self, block: Block, sounded_s: float | None = None) -> None:
        super().overwrite(block, sounded_s)
        self.blocks.append(self.ring.read(self.ring.written).block)


@dataclass
class Heard:
    """What came of one run of a source."""

    rates_hz: list[int]
    seconds: float
    titles: list[tuple[int, str]]  # number of the intake and text
    undecoded: int
    text: str
    sound: Block = field(repr=False)


def hear(uri: str) -> Heard:
    """Run the source that `uri` names until it is lost."""
    ear = Ear()
    with pytest.raises(SourceLost) as caught:
        open_source(uri).source.run(ear)
    return Heard(
        [intake.rate_hz for intake in ear.intakes],
        sum(intake.ring.written / intake.rate_hz for intake in ear.intakes),
        [(number, title.text) for number, intake in enumerate(ear.intakes) for title in intake.titles],
        ear.undecoded,
        str(caught.value),
        np.concatenate([np.zeros((0, 1), np.float32), *(block for one in ear.intakes for block in one.blocks)])[:, 0],  # type: ignore[attr-defined]
    )


def heard(script: Script | bytes, path: str = "/live", options: str = "#timeout=1") -> Heard:
    """What a station hears of a server that answers so."""
    with serving({path: script}) as server:
        return hear(server.url(path) + options)


@pytest.fixture(scope="module")
def coded() -> dict[str, bytes]:
    """Three seconds of every kind at 48 kHz; beside them some at 32 kHz, named by it."""
    found = {kind: stream(kind, music(SECONDS, 48000), 48000) for kind in KINDS}
    return found | {f"{kind} 32": stream(kind, music(SECONDS, 32000), 32000) for kind in ("mp3", "aac", "vorbis")}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("chunked", [False, True])
def test_every_codec(coded: dict[str, bytes], kind: str, chunked: bool) -> None:
    """All of a stream is heard, as music, whatever its codec; its end is a loss, for a station does not end."""
    content = coded[kind]
    parts = [content[at : at + 999] for at in range(0, len(content), 999)]
    body = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n" if chunked else content
    result = heard(answer(body, **({"transfer_encoding": "chunked"} if chunked else {})))
    assert result.rates_hz == [48000]
    assert abs(result.seconds - SECONDS) < 0.1
    assert result.undecoded == 0
    assert result.text.endswith("/live has ended")
    original = music(SECONDS, 48000)[4800:100_000]
    spectra = [np.abs(np.fft.rfft(x))[:10_000] for x in (original, result.sound[4800:100_000])]
    assert np.corrcoef(*spectra)[0, 1] > 0.9


# Titles


def with_titles(content: bytes, interval: int, titles: dict[int, bytes]) -> bytes:
    """`content` with a block after every `interval` bytes; those of `titles`, by their number, are not empty."""
    parts = []
    for number, at in enumerate(range(0, len(content) - interval, interval)):
        block = titles.get(number, b"")
        parts += [
            content[at : at + interval],
            bytes([-(-len(block) // 16)]),
            block.ljust(-(-len(block) // 16) * 16, b"\0"),
        ]
    return b"".join([*parts, content[(len(content) - 1) // interval * interval :]])


@given(st.binary(min_size=1, max_size=300), st.integers(1, 50), st.lists(st.integers(1, 40), min_size=1), st.data())
def test_titles_are_taken_out(content: bytes, interval: int, sizes: list[int], data: st.DataObject) -> None:
    """However the bytes come, the audio is what it was without titles, and each title is told once."""
    titles = data.draw(st.dictionaries(st.integers(0, 9), st.sampled_from([b"a", b"it's; b", b"\xe9t\xe9", b""])))
    blocks = {number: b"StreamTitle='" + title + b"';StreamUrl='x';" for number, title in titles.items()}
    mixed, chunks = with_titles(content, interval, blocks), []
    while mixed:
        size = sizes[len(chunks) % len(sizes)]
        chunks.append(mixed[:size])
        mixed = mixed[size:]
    told: list[str] = []
    assert b"".join(without_titles(iter(chunks), interval, told.append)) == content
    there = [titles[number] for number in sorted(titles) if number < (len(content) - 1) // interval]
    assert told == [title.decode("cp1252") for title in there]


def test_icy_titles(coded: dict[str, bytes]) -> None:
    """Titles come in order, each once, at the place in the audio where they stand; not a sample is damaged."""
    interval = 2000
    titles = {
        0: b"StreamTitle='A - b';",
        1: b"StreamTitle='A - b';",
        15: "StreamTitle='C - ñ';StreamUrl='';".encode(),
        20: b"StreamTitle='';",
    }
    plain_one = heard(answer(coded["mp3"]))
    ear = Ear()
    body = with_titles(coded["mp3"], interval, titles)
    with serving({"/": answer(body, icy_metaint=interval)}) as server, pytest.raises(SourceLost):
        open_source(server.url("/")).source.run(ear)
    (intake,) = ear.intakes
    assert [title.text for title in intake.titles] == ["A - b", "C - ñ", ""]
    assert intake.ring.written == len(plain_one.sound)
    byte_s = SECONDS / len(coded["mp3"])
    for title, number in zip(list(intake.titles)[1:], (15, 20), strict=True):
        assert title.position / 48000 == pytest.approx((number + 1) * interval * byte_s, abs=0.6)


def test_an_old_shoutcast_server(coded: dict[str, bytes]) -> None:
    """One that answers ICY instead of HTTP is understood."""
    body = with_titles(coded["mp3"], 2000, {1: b"StreamTitle='old';"})
    result = heard(b"ICY 200 OK\r\nicy-metaint:2000\r\nconnection: close\r\n\r\n" + body)
    assert abs(result.seconds - SECONDS) < 0.1
    assert result.titles == [(0, "old")]


# Changes


def test_a_chain_of_ogg_streams(coded: dict[str, bytes]) -> None:
    """Codec, rate and title change in one body: nothing is lost, and a new rate is a new intake."""
    chain = [coded["vorbis"], tagged("vorbis", "One"), coded["vorbis 32"], tagged("opus", "Two")]
    result = heard(answer(b"".join(chain)))
    assert result.rates_hz == [48000, 32000, 48000]
    assert result.seconds == pytest.approx(4 * SECONDS, abs=0.2)
    assert result.undecoded == 0
    assert list(dict.fromkeys(text for _, text in result.titles)) == ["Who - One", "", "Who - Two"]


def tagged(kind: str, title: str) -> bytes:
    return stream(kind, music(SECONDS, 48000), 48000, "-metadata", f"title={title}", "-metadata", "artist=Who")


@given(st.lists(st.integers(1, 5000), min_size=1, max_size=20))
def test_pages_come_whole(sizes: list[int]) -> None:
    """However the bytes of a chain come, it is cut at the same places, and not a byte is lost."""
    pages = [
        page(2, b"a" * 100),
        page(2, b"other" * 10),
        page(0, b"b" * 2000),
        page(4, b"c"),
        page(2, b"d"),
        page(0, b"e" * 700),
    ]
    stream, chunks, at = b"".join(pages), [], 0
    while at < len(stream):
        size = sizes[len(chunks) % len(sizes)]
        chunks.append(stream[at : at + size])
        at += size
    assert list(by_chain(iter(chunks))) == [*pages[:4], BREAK, *pages[4:]]


def page(kind: int, body: bytes) -> bytes:
    lengths = [*[255] * (len(body) // 255), len(body) % 255]
    return b"OggS\0" + bytes([kind]) + bytes(20) + bytes([len(lengths), *lengths]) + body


@given(st.binary(max_size=300))
def test_what_is_no_ogg_comes_through(junk: bytes) -> None:
    """Bytes that are no pages are neither kept nor lost."""
    parts = list(by_chain(iter([junk[:100], junk[100:], page(0, b"x")])))
    assert b"".join(part for part in parts if not isinstance(part, Mark)) == junk + page(0, b"x")


@pytest.mark.parametrize("kind", ["mp3", "aac"])
def test_another_rate(coded: dict[str, bytes], kind: str) -> None:
    """A new sample rate in the middle of a body begins a new intake."""
    result = heard(answer(coded[kind] + coded[f"{kind} 32"] + coded[kind]))
    assert result.rates_hz == [48000, 32000, 48000]
    assert result.seconds == pytest.approx(3 * SECONDS, abs=0.3)


def test_damage(coded: dict[str, bytes]) -> None:
    """Some noise in the middle of a stream costs no more than what it has hit, and is counted or skipped."""
    content = bytearray(coded["mp3"])
    content[20_000:21_000] = np.random.default_rng(0).bytes(1000)
    result = heard(answer(bytes(content)))
    assert result.seconds > SECONDS - 0.5


# Playlists


def test_playlists(coded: dict[str, bytes]) -> None:
    """M3U and PLS, with relative names and behind a redirect, lead to the first entry that plays."""
    scripts: dict[str, Script | bytes] = {
        "/a/live": answer(coded["mp3"]),
        "/a/one.m3u": answer(
            b"\xef\xbb\xbf#EXTM3U\r\n#EXTINF:-1,Radio\r\nfile:///etc/passwd\r\n\r\nmissing\r\nlive\r\nother\r\n"
        ),
        "/plain": answer(b"/a/live\n", content_type="audio/x-mpegurl; charset=utf-8"),
        "/two.pls": answer(b"[playlist]\nNumberOfEntries=1\nTitle1=x\nFile1=/a/one.m3u\nLength1=-1\n"),
        "/moved": answer(status="302 Found", location="/two.pls"),
    }
    with serving(scripts) as server:
        for path in ("/a/one.m3u", "/plain", "/two.pls", "/moved"):
            assert abs(hear(server.url(path)).seconds - SECONDS) < 0.1, path
    assert "other" not in "".join(server.paths())


@pytest.mark.parametrize(
    "name",
    [
        "file:///etc/passwd",
        "/../../etc/passwd",
        "concat:a|b",
        "data:audio/mpeg;base64,AAAA",
        "pipe:0",
        "crypto:x",
        "http://h:x/",
    ],
)
def test_a_playlist_that_leads_elsewhere(name: str) -> None:
    """Only http and https, inside playlists too; what is a path is one of the server's."""
    result = heard(answer(f"#EXTM3U\n{name}\n".encode()), "/x.m3u")
    assert result.seconds == 0
    assert "leads to where genred does not go" in result.text or "answers 404" in result.text


def test_playlists_without_end() -> None:
    """A playlist that names itself is asked so many times and no more, also if it does so often."""
    with serving({"/x.m3u": answer(b"#EXTM3U\n" + b"x.m3u\n" * 50)}) as server:
        assert f"{MOST_ASKED} addresses" in hear(server.url("/x.m3u")).text
    assert len(server.asked) == MOST_ASKED


def test_a_playlist_of_nothing_and_one_too_long() -> None:
    """Both are said."""
    assert "names nothing" in heard(answer(b"#EXTM3U\n# nothing\n"), "/x.m3u").text
    assert "is longer than" in heard(answer(b"#EXTM3U\n" + b"#" * 1_000_000), "/x.m3u").text


@pytest.mark.parametrize(
    ("head", "kind", "path", "expected"),
    [
        (b"#EXTM3U\n", "", "/x", True),
        (b"[Playlist]\n", "text/html", "/x", True),
        (b"http://h/x", "audio/x-scpls", "/x", True),
        (b"http://h/x", "text/plain", "/X.PLS", True),
        (b"ID3", "audio/mpeg", "/x.m3u", False),
        (b"OggS", "application/ogg", "/x", False),
        (b"", "", "/x", False),
    ],
)
def test_what_a_playlist_is_known_by(head: bytes, kind: str, path: str, expected: bool) -> None:
    """Its first bytes, its type, or its path, if its type does not say that it is audio."""
    assert is_playlist(head, kind, path) == expected


def test_entries() -> None:
    """A PLS names by File, in any case and spacing; a M3U by its lines."""
    assert entries("[playlist]\nFILE1 = a\nTitle1=File9=x\nfile22=b c\n") == ["a", "b c"]
    assert entries("\ufeff#EXTM3U\n\n a \n#c\nb") == ["a", "b"]


# What is no audio


def drip(piece: bytes, pause_s: float) -> Script:
    def script(_request: Request) -> Iterator[Part]:
        yield answer(bytes(100))
        while True:
            yield piece
            yield pause_s

    return script


@pytest.mark.parametrize(
    ("script", "says"),
    [
        (answer(), "had no audio that can be decoded"),
        (answer(b"<html>no radio today</html>" * 10), "had no audio that can be decoded"),
        (answer(os.urandom(9_000_000)), "no audio that can be decoded in 8192 kB"),
        (answer(bytes(9_000_000)), "no audio that can be decoded in 8192 kB"),
        (drip(bytes(10), 0.1), "no audio that can be decoded in 4 s"),
        (drip(b"", 1.0), "has sent nothing for 1 s"),
        (answer(b"ffconcat version 1.0\nfile /etc/passwd\n" * 9), "had no audio that can be decoded"),
        (answer(b"a", icy_metaint=1), "had no audio that can be decoded"),
    ],
)
def test_what_is_no_audio(script: Script | bytes, says: str) -> None:
    """It is given up within bounds, with the reason; nothing is heard."""
    began_s = time.monotonic()
    result = heard(script)
    assert time.monotonic() - began_s < 5 * 5
    assert (result.rates_hz, result.titles) == ([], [])
    assert says in result.text


def test_libav_opens_nothing(coded: dict[str, bytes], tmp_path: Path) -> None:
    """A body that names a file, or an address, to libav is not followed there."""
    (tmp_path / "a.mp3").write_bytes(coded["mp3"])
    with serving({"/a.mp3": answer(coded["mp3"])}) as server:
        for named in (f"file:{tmp_path}/a.mp3", server.url("/a.mp3")):
            hls = f"#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\n{named}\n#EXT-X-ENDLIST\n"
            for text in (
                f"ffconcat version 1.0\nfile '{named}'\n",
                f" x\n{hls}",
                f"v=0\r\nm=audio 9 RTP/AVP 0\r\na={named}\r\n",
            ):
                server.scripts["/evil"] = answer(text.encode().ljust(200))
                assert hear(server.url("/evil")).seconds == 0
        assert set(server.paths()) == {"/evil"}


def test_patience_begins_anew_with_audio() -> None:
    """The bytes and the time without audio are counted since the last one."""
    body = Body(iter([b"x" * 1000] * 9000), threading.Event(), 100)
    for _ in range(10):
        body.heard()
        for _ in range(900):
            body.read(1000)
    assert body.read(10) == b""
    assert body.over


# Waiting, stopping, naming


def test_a_full_ring_stops_the_server(coded: dict[str, bytes]) -> None:
    """A worker that does not listen loses nothing: the body waits. A stop ends the waiting."""
    sent = [0]

    def flood(_request: Request) -> Iterator[Part]:
        yield answer()
        while True:
            yield coded["flac"]
            sent[0] += 1

    ear = Ear(deaf=True)
    with serving({"/": flood}) as server:
        thread = threading.Thread(target=open_source(server.url("/")).source.run, args=(ear,))
        thread.start()
        deadline_s = time.monotonic() + 20
        while not ear.intakes or ear.intakes[0].ring.free:
            assert time.monotonic() < deadline_s
            time.sleep(0.01)
        time.sleep(0.5)  # a writer that does not wait would have overwritten by then
        assert ear.intakes[0].ring.waiting == ear.intakes[0].ring.capacity
        ear.stop.set()
        thread.join(10)
        assert not thread.is_alive()


def test_it_is_asked_again_as_before(coded: dict[str, bytes]) -> None:
    """The same source can be run again, after a loss."""
    with serving({"/": answer(coded["mp3"])}) as server:
        source = open_source(server.url("/") + "#gain=3&timeout=2").source
        for _ in range(2):
            ear = Ear()
            with pytest.raises(SourceLost, match="has ended"):
                source.run(ear)
            assert len(ear.intakes) == 1
    assert (source.clock, source.live, source.finite) == ("arrival", True, False)


@pytest.mark.parametrize("options", ["timeout=0", "timeout=601", "timeout=x", "bitrate=1", "timeout"])
def test_options(options: str) -> None:
    """They stand behind the #, and those that are unknown or out of range are refused."""
    with pytest.raises(SourceError):
        open_source(f"http://radio.example/?x=1#{options}")


def test_a_rate_that_no_audio_has() -> None:
    """A stream with such a rate is given up, rather than given a ring of that size."""
    import struct

    form = struct.pack("<HHIIHH", 1, 1, 900_000_000, 1_800_000_000, 2, 16)
    wav = b"RIFF\xff\xff\xff\x7fWAVEfmt " + struct.pack("<I", 16) + form + b"data\xff\xff\xff\x7f" + bytes(100_000)
    result = heard(answer(wav))
    assert result.rates_hz == []
    assert "900000000 Hz" in result.text
