"""HLS against a server written by hand: formats, pace, playlists that move on, stall or lead elsewhere."""

from __future__ import annotations

import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from conftest import music, write_wav
from genred.errors import SourceLost
from genred.sources import open_source
from genred.sources.hls import AHEAD, BEGIN, HOLD, STARVED
from genred.sources.m3u8 import Resource, choose, parse
from genred.sources.pace import Pace
from genred.sources.url import Url
from test_network import Ear, Heard, hear
from web import Part, Request, Script, Server, answer, serving

RATE = 48000
SECONDS = 8
BASE = Url.parse("http://h/a/live.m3u8")
OPTIONS = {
    "ts": ("-f", "hls", "-hls_segment_type", "mpegts"),
    "fmp4": ("-f", "hls", "-hls_segment_type", "fmp4"),
    "ranges": ("-f", "hls", "-hls_segment_type", "fmp4", "-hls_flags", "single_file"),
    "adts": ("-f", "segment", "-segment_format", "adts", "-segment_time", "1", "-segment_list"),
}


@pytest.fixture(scope="module", params=list(OPTIONS))
def segmented(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """Eight seconds in segments of one, with their playlist, and what kind they are of."""
    folder = tmp_path_factory.mktemp(request.param)
    wav = write_wav(folder / "music.wav", music(SECONDS, RATE), RATE)
    command = ["ffmpeg", "-v", "error", "-i", str(wav), "-c:a", "aac", "-b:a", "128k", *OPTIONS[request.param]]
    ending = (
        ["list.m3u8", "part%d.aac"]
        if request.param == "adts"
        else ["-hls_time", "1", "-hls_list_size", "0", "list.m3u8"]
    )
    subprocess.run([*command, *ending], check=True, cwd=folder)
    return request.param, folder


def files(folder: Path) -> dict[str, Script | bytes]:
    """A server's scripts for all files of `folder`; parts of them, where it is asked for these."""

    def script(content: bytes) -> Script:
        def serve(request: Request) -> Iterator[Part]:
            if not (span := request.header("range")):
                yield answer(content, content_length=len(content))
                return
            first, last = map(int, span.removeprefix("bytes=").split("-"))
            part = content[first : last + 1]
            yield answer(part, "206 Partial Content", content_length=len(part))

        return serve

    return {f"/{path.name}": script(path.read_bytes()) for path in folder.iterdir()}


def live(text: str, rate: float = 1.0, most: int = 4) -> Script:
    """The playlist `text` as if its segments were made now, `rate` of them a second, and `most` named at once."""
    head, *parts = text.replace("#EXT-X-ENDLIST\n", "").split("#EXTINF")
    began_s = [0.0]

    def script(_request: Request) -> Iterator[Part]:
        began_s[0] = began_s[0] or time.monotonic()
        there = min(most + int((time.monotonic() - began_s[0]) * rate), len(parts))
        first = max(there - most, 0)
        sequence = f"#EXT-X-MEDIA-SEQUENCE:{first}\n"
        body = head.replace("#EXT-X-MEDIA-SEQUENCE:0\n", sequence) + "".join(f"#EXTINF{p}" for p in parts[first:there])
        yield answer(body.encode(), content_length=len(body))

    return script


def test_every_format(segmented: tuple[str, Path]) -> None:
    """TS, ADTS, fMP4 with its head, ranges of one file: every sample of a list with an end is heard, in order."""
    with serving(files(segmented[1])) as server:
        result = hear(server.url("/list.m3u8"))
    assert result.rates_hz == [RATE]
    assert result.seconds == pytest.approx(SECONDS, abs=0.15)
    assert result.undecoded == 0
    assert result.text.endswith("/list.m3u8 has ended")
    assert as_original(result) > 0.9


def as_original(result: Heard, from_s: float = 0.0) -> float:
    """How much the sound is as the music that was sent, from `from_s` on: 0 to 1."""
    sound = result.sound[: RATE * 3]
    original = music(SECONDS, RATE)[round(from_s * RATE) :][: len(sound)]
    spectra = [np.abs(np.fft.rfft(x))[: len(sound) // 10] for x in (original, sound)]
    return float(np.corrcoef(*spectra)[0, 1])


def test_live(segmented: tuple[str, Path]) -> None:
    """A list that moves on is followed from near its end, at the pace of the sound; its stall is a loss, in time."""
    kind, folder = segmented
    scripts = files(folder)
    scripts["/list.m3u8"] = live((folder / "list.m3u8").read_text())
    began_s, ear = time.monotonic(), Ear()
    with serving(scripts) as server, pytest.raises(SourceLost, match="no new segment"):
        open_source(server.url("/list.m3u8")).source.run(ear)
    took_s = time.monotonic() - began_s
    (intake,) = ear.intakes
    heard_s = intake.ring.written / RATE
    assert heard_s == pytest.approx(SECONDS - (4 - BEGIN), abs=0.2)
    stamps = list(intake.stamps)
    held_s = [stamp.monotonic_s - stamp.sounded_s for stamp in stamps if stamp.position > 4 * RATE]
    assert max(held_s) < 5 * HOLD, kind
    gaps_s = np.diff([stamp.monotonic_s for stamp in stamps])
    assert max(gaps_s) < 1.0, "no segment is waited for: the one before lasts until it comes"
    starts_s = [stamp.sounded_s - stamp.position / RATE for stamp in stamps if stamp.position > 4 * RATE]
    assert max(starts_s) - min(starts_s) < 0.3, "its time is steady"
    assert took_s < 5 * (SECONDS + STARVED)
    first = [path for path in server.paths() if path not in ("/list.m3u8", "/init.mp4")]
    assert len(first) <= SECONDS + 1


@pytest.mark.parametrize("segmented", ["ts"], indirect=True)
def test_only_so_much_is_fetched_ahead(segmented: tuple[str, Path]) -> None:
    """A worker that does not listen stops the fetching."""
    _, folder = segmented
    scripts, ear = files(folder), Ear(deaf=True)
    text = (folder / "list.m3u8").read_text().replace("#EXT-X-ENDLIST\n", "")
    names = [line for line in text.splitlines() if line.endswith(".ts")]
    scripts["/list.m3u8"] = answer((text + "#EXTINF:1,\n".join(["", *(f"{name}\n" for name in names * 4)])).encode())
    scripts["/list.m3u8"] = answer(scripts["/list.m3u8"].partition(b"\r\n\r\n")[2] + b"#EXT-X-ENDLIST\n")
    with serving(scripts) as server:
        thread = threading.Thread(target=open_source(server.url("/list.m3u8")).source.run, args=(ear,))
        thread.start()
        wait(lambda: bool(ear.intakes) and not ear.intakes[0].ring.free)
        asked = len(server.asked)
        assert asked <= 1 + 12 + AHEAD
        time.sleep(0.5)  # for a fetch that should not be
        assert len(server.asked) == asked
        ear.stop.set()
        thread.join(10)
        assert not thread.is_alive()


def wait(done: Callable[[], bool], timeout_s: float = 30) -> None:
    deadline_s = time.monotonic() + timeout_s
    while not done():
        assert time.monotonic() < deadline_s
        time.sleep(0.02)


def test_a_master_playlist_and_a_password(segmented: tuple[str, Path]) -> None:
    """The variant that is sound alone is chosen; the password goes along with every request to the same server."""
    kind, folder = segmented
    scripts = files(folder)
    scripts["/live"] = answer(
        b"#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=9,RESOLUTION=1x1\nno\n#EXT-X-STREAM-INF:BANDWIDTH=1\nlist.m3u8\n"
    )
    with serving(scripts) as server:
        result = hear(server.url("/live", "me:geheim@"))
    assert result.seconds == pytest.approx(SECONDS, abs=0.15), kind
    assert all(request.header("authorization") for request in server.asked)
    assert "geheim" not in result.text


def lost(server: Server, playlist: str, options: str = "#timeout=1") -> str:
    server.scripts["/x.m3u8"] = answer(playlist.encode())
    result = hear(server.url("/x.m3u8") + options)
    assert result.seconds == 0
    return result.text


HEAD = "#EXTM3U\n#EXT-X-TARGETDURATION:1\n"


@pytest.mark.parametrize(
    ("playlist", "says"),
    [
        (HEAD + '#EXT-X-KEY:METHOD=AES-128,URI="k"\n#EXTINF:1,\na\n', "encrypted"),
        (HEAD + "#EXTINF:1,\nfile:///etc/passwd\n", "file: is neither"),
        (HEAD + '#EXT-X-MAP:URI="data:video/mp4,x"\n#EXTINF:1,\na\n', "data: is neither"),
        (HEAD + "#EXTINF:1,\nconcat:a|b\n", "concat: is neither"),
        (HEAD + "#EXTINF:abc,\na\n", "'abc' where a time belongs"),
        (HEAD + "#EXT-X-MEDIA-SEQUENCE:-3\n#EXTINF:1,\na\n", "'-3' where a number belongs"),
        (HEAD + "#EXT-X-BYTERANGE:9e9\n#EXTINF:1,\na\n", "'9e9' where a number belongs"),
        (HEAD + "#EXTINF:1,\nmissing\n", "answers 404"),
        (HEAD + "#EXT-X-BYTERANGE:5@0\n#EXTINF:1,\n/whole\n", "answers 200"),
        (HEAD + "#EXTINF:1,\n/huge\n", "is longer than 16777216 bytes"),
        (HEAD + "#EXTINF:1,\n/whole\n#EXT-X-ENDLIST\n", "had no audio"),
        (HEAD, "no new segment for 3 s"),
        ("#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\n", "names no media playlist"),
        ("#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\nfile:///x\n", "file: is neither"),
    ],
)
def test_what_cannot_be_played(playlist: str, says: str) -> None:
    """It is a loss with its reason, and within bounds."""

    def huge(_request: Request) -> Iterator[Part]:
        yield answer()
        while True:
            yield bytes(100_000)

    began_s = time.monotonic()
    with serving({"/whole": answer(b"x" * 5), "/huge": huge}) as server:
        assert says in lost(server, playlist)
    assert time.monotonic() - began_s < 5 * 4


def test_a_playlist_that_has_moved_on() -> None:
    """Segments that were missed, or numbers that begin anew, end the attempt: the next one begins at the live edge."""
    texts = [HEAD + f"#EXT-X-MEDIA-SEQUENCE:{n}\n#EXTINF:1,\na\n#EXTINF:1,\nb\n" for n in (10, 20)]

    def moves(request: Request) -> Iterator[Part]:
        yield answer(texts[min(request.before, 1)].encode())

    with serving({"/x.m3u8": moves, "/a": answer(b"x"), "/b": answer(b"x")}) as server:
        assert "is at segment 20, and not at 12 any more" in hear(server.url("/x.m3u8")).text


# Playlists alone


def test_what_a_playlist_says() -> None:
    """Numbers, lengths, heads, ranges with and without their beginning, breaks and the end."""
    media = parse(
        "#EXTM3U\r\n#EXT-X-TARGETDURATION:7\n#EXT-X-MEDIA-SEQUENCE:41\n"
        '#EXT-X-MAP:URI="head.mp4",BYTERANGE="10@5"\n#EXTINF:6.5,Title, and more\nhttps://h2/one?x#y\n'
        "#EXT-X-DISCONTINUITY\n#EXTINF:6,\n#EXT-X-BYTERANGE:100@7\n../all\n"
        "#EXTINF:1000000\n#EXT-X-BYTERANGE:50\n../all\n#EXT-X-UNKNOWN:1\n#EXT-X-ENDLIST\n",
        BASE,
    )
    assert (media.target_s, media.ended) == (7.0, True)
    assert [s.number for s in media.segments] == [41, 42, 43]
    assert [s.seconds for s in media.segments] == [6.5, 6.0, 60.0]
    assert [s.breaks for s in media.segments] == [False, True, False]
    every = Url.parse("http://h/all")
    assert [s.content for s in media.segments] == [
        Resource(Url.parse("https://h2/one?x")),
        Resource(every, 7, 100),
        Resource(every, 107, 50),
    ]
    assert {s.head for s in media.segments} == {Resource(Url.parse("http://h/a/head.mp4"), 5, 10)}


@pytest.mark.parametrize(
    ("lines", "chosen"),
    [
        (["#EXT-X-STREAM-INF:BANDWIDTH=1", "low", "#EXT-X-STREAM-INF:BANDWIDTH=2", "high"], "http://h/a/high"),
        (["#EXT-X-STREAM-INF:BANDWIDTH=9,RESOLUTION=1x1", "tv", "#EXT-X-STREAM-INF:BANDWIDTH=1", "radio"], "http://h/a/radio"),
        (["#EXT-X-STREAM-INF:BANDWIDTH=9,RESOLUTION=2x2", "hd", "#EXT-X-STREAM-INF:BANDWIDTH=1,RESOLUTION=1x1", "sd"], "http://h/a/sd"),
        (['#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="a,b",URI="/sound"', "#EXT-X-STREAM-INF:BANDWIDTH=1", "tv"], "http://h/sound"),
    ],
)  # fmt: skip
def test_what_is_chosen(lines: list[str], chosen: str) -> None:
    """The best sound without pictures; with pictures, the least of them."""
    assert choose("\n".join(["#EXTM3U", *lines]), BASE).sent == chosen


# Pace


def test_the_pace() -> None:
    """A late arrival changes nothing, an earlier one all; wrong lengths in the playlist do not add up."""
    pace = Pace(hold_s=10.0)
    pace.arrived(6.0, 1006.0)
    pace.arrived(12.0, 1015.0)
    assert pace.sounded_s(7.0) == 1007.0
    assert pace.due_s(7.0) == 1017.0
    pace.arrived(18.0, 1017.5)
    assert pace.sounded_s(7.0) == 1006.5
    pace.reached(6.2, 6.0)
    assert pace.sounded_s(7.2) == pytest.approx(1006.5)


def test_the_pace_follows_a_drift() -> None:
    """A server whose clock is slower than ours by 1e-4 is followed for a day: no error adds up."""
    pace = Pace(hold_s=10.0)
    for number in range(1, 86_400 // 6):
        pace.arrived(6.0 * number, 6.0006 * number)
        assert 0 <= 6.0006 * number - pace.sounded_s(6.0 * number) < 0.02
