"""Checks of what genred hears with: PortAudio, the audio server, and a second of each input."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

from .. import audio_server, devices, inputs
from ..audio_server import AudioServer
from ..config import THRESHOLDS
from ..ear import Level
from ..errors import GenredError, SourceLost
from ..inputs import THROUGH, Listing
from .finding import Finding, failed

MOST_HEARD = 8  # many names of ALSA lead to one device, and each takes its second
HEARD_AT_ONCE = 4
FROM_SERVER = (THROUGH, "pipewire")  # names of ALSA that lead to the audio server


@dataclass(frozen=True)
class Ears:
    """Who answers the questions of these checks; see devices and audio_server for the errors."""

    list_inputs: Callable[[], Listing] = inputs.list_inputs
    ask_server: Callable[[], AudioServer] = audio_server.ask_server
    listen: Callable[[str, str], Level] = devices.listen


HERE = Ears()


@dataclass(frozen=True)
class _Target:
    """An input to hear: the selector of ``mic:``, and the source where that leads to an audio server."""

    check: str
    selector: str
    source: str = ""
    monitor: bool = False
    default: bool = False


def check_portaudio(ears: Ears) -> Iterable[Finding]:
    """PortAudio is there."""
    listing = ears.list_inputs()
    return [Finding("portaudio", "ok", f"{listing.portaudio}, inputs: {len(listing.inputs)}")]


def check_server(ears: Ears) -> Iterable[Finding]:
    """An audio server answers; without one, genred can only use what ALSA itself has."""
    try:
        server = ears.ask_server()
    except SourceLost as error:
        return [failed("audio server", "warning", error)]
    return [Finding("audio server", "ok", f"{server.name}, sources: {len(server.sources)}")]


def check_inputs(ears: Ears) -> Iterator[Finding]:
    """A second of the default input and of every source or other input, up to MOST_HEARD."""
    try:
        listing = ears.list_inputs()
    except GenredError:
        return  # check_portaudio tells
    try:
        server = ears.ask_server()
    except SourceLost:
        server = None
    if not listing.inputs:
        remedy = "connect a microphone or line-in; files, pipes and demo: work without"
        yield Finding("inputs", "warning", "there is no input", remedy)
    if server is not None and server.sources and not _reaches_server(listing):
        remedy = "install libasound2-plugins (apt install libasound2-plugins)"
        yield Finding("inputs", "warning", f"PortAudio does not reach {server.name}", remedy)
    targets = _targets(listing, server)
    at_once = HEARD_AT_ONCE if any(target.source for target in targets) else 1  # a card has one listener
    with ThreadPoolExecutor(at_once) as pool:
        yield from pool.map(partial(_hear, ears), targets[:MOST_HEARD])
    if len(targets) > MOST_HEARD:
        yield Finding("inputs", "ok", f"not listened to: {len(targets) - MOST_HEARD} more")


def _reaches_server(listing: Listing) -> bool:
    return any(one.name in FROM_SERVER or one.host_api == "PulseAudio" for one in listing.inputs)


def _targets(listing: Listing, server: AudioServer | None) -> list[_Target]:
    """Choose what to hear, the default first. What the server has, it may hold: then only it is asked."""
    sources = server.sources if server is not None else ()
    monitor = any(source.default and source.monitor for source in sources)
    defaults = [
        _Target("default input", str(one.index), monitor=monitor, default=True) for one in listing.inputs if one.default
    ]
    if sources and any(one.name == THROUGH for one in listing.inputs):
        return defaults + [_Target(f"source {s.name}", THROUGH, s.name, s.monitor) for s in sources]
    return defaults + [_Target(f"input {one.name}", str(one.index)) for one in listing.inputs if not one.default]


def _hear(ears: Ears, target: _Target) -> Finding:
    try:
        level = ears.listen(target.selector, target.source)
    except SourceLost as error:
        remedy = "another program may hold it, or it is unplugged; choose another with mic:NAME"
        return failed(target.check, "fault" if target.default else "warning", error, remedy)
    form = f"{level.rate_hz} Hz, channels: {level.channels}"
    text = f"{level.rms_dbfs:.1f} dBFS, peak {level.peak_dbfs:.1f} dBFS, {form}"
    if level.digital_silence:
        remedy = "play something there" if target.monitor else "unmute it, and look whether it is plugged in"
        return Finding(target.check, "warning", f"digital silence, {form}", remedy)
    if level.rms_dbfs < THRESHOLDS.silence_dbfs:
        return Finding(target.check, "warning", f"{text}, which genred takes for silence", "turn its level up")
    return Finding(target.check, "ok", text)
