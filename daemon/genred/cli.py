"""Command line of genred; errors become exit codes."""

from __future__ import annotations

import errno
import io
import logging
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import click
import msgspec
from click.shell_completion import CompletionItem

from . import __version__
from .config import DEFAULT_ENDPOINT, Config, StationConfig, load
from .errors import GenredError
from .messages import plain

log = logging.getLogger(__name__)

FAULT = 70  # EX_SOFTWARE of sysexits.h
UNWRITABLE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)
INTERRUPTED = 130  # as a shell says of SIGINT
PROVIDERS = click.Choice(["auto", "cuda", "cpu"])
LOG_LEVELS = click.Choice(["debug", "info", "warning", "error"])
FILE = click.Path(readable=False)  # who reads it tells whether it can be read
PATH = click.Path(readable=False, path_type=Path)
TYPES = click.Choice(["hello", "estimate", "segment", "event", "status"])
HOP = click.IntRange(1, 100_000)
MODEL = "Its own network, genred; the paper's, crnn; or an ONNX file with a genred card.  [default: genred]"
KEY = click.option("--key", type=FILE, default="", help="For a daemon with keys: your own secret one.")
SERVER_KEY = click.option("--server-key", type=FILE, default="", help="For a daemon with keys: its public one.")


class _Commands(click.Group):
    """Says what genred's own errors say, in one line, and exits as they ask."""

    def main(self, *args: Any, **extra: Any) -> Any:
        try:
            sys.exit(super().main(*args, **extra | {"standalone_mode": False}))
        except click.Abort:
            sys.exit(INTERRUPTED)
        except Exception as error:
            sys.exit(_tell(error))

    def invoke(self, context: click.Context) -> Any:
        try:
            return super().invoke(context)
        except BrokenPipeError:  # the reader of our output has gone
            _drop_output()
            context.exit(0)
        except KeyboardInterrupt:
            context.exit(INTERRUPTED)


def _tell(error: Exception) -> int:
    """Say what `error` has to say: in one sentence, or with a traceback if genred is at fault; return the exit code."""
    if isinstance(error, GenredError):
        click.echo(f"genred: {plain(str(error))}", err=True)
        return error.exit_code
    if isinstance(error, click.ClickException):
        return _tell_usage(error)
    if isinstance(error, OSError) and error.errno in UNWRITABLE and error.filename is None:
        click.echo(f"genred: cannot write the output: {error.strerror}", err=True)
        _drop_output()
        return 1
    log.error("genred has a fault and ends; please report this", exc_info=error)
    return FAULT


def _tell_usage(error: click.ClickException) -> int:
    """Say in one line what is wrong with the command line, and where it is explained; return the exit code."""
    if not isinstance(error, click.UsageError) or isinstance(error, click.exceptions.NoArgsIsHelpError):
        error.show()
        return error.exit_code
    text = error.format_message().rstrip(".")
    command = error.ctx.command_path if error.ctx else "genred"
    click.echo(f"genred: {text[:1].lower()}{plain(text[1:])} (see {command} --help)", err=True)
    return error.exit_code


def _drop_output() -> None:
    """Let what is still to be written to stdout go nowhere."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


class _Run(click.Command):
    """Takes ``-?rate=48000`` for a source; click would take it for an option."""

    def parse_args(self, context: click.Context, args: list[str]) -> list[str]:
        return super().parse_args(context, [f"stdin={arg}" if arg.startswith("-?") else arg for arg in args])


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__)
def main() -> None:
    """Hear music and tell its genre.

    \b
    genred run mic:                      the default microphone
    genred classify song.mp3             a file
    genred watch                         what a running daemon hears
    genred listen                        what it says, as JSON lines
    """
    _fill_standard_streams()


def _fill_standard_streams() -> None:
    """Put /dev/null where a standard stream was closed before the start: a socket must not get its number."""
    while (number := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(number)
    sys.stdout = sys.stdout or os.fdopen(1, "w", closefd=False)
    sys.stderr = sys.stderr or os.fdopen(2, "w", closefd=False)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a name may have letters that the terminal has not


def _complete_source(_context: click.Context, _parameter: click.Parameter, begun: str) -> list[CompletionItem]:
    """Complete the word of a source that is no file, else let the shell complete a file."""
    words = [word for word in ("mic:", "demo:", "file:") if word.startswith(begun)]
    return [CompletionItem(word) for word in words] or [CompletionItem(begun, type="file")]


@main.command(cls=_Run)
@click.argument("sources", nargs=-1, metavar="[[NAME=]SOURCE...]", shell_complete=_complete_source)
@click.option("--bind", help=f"Where to publish: tcp://HOST:PORT or ipc://PATH.  [default: {DEFAULT_ENDPOINT}]")
@click.option("--model", type=FILE, help=MODEL)
@click.option("--provider", type=PROVIDERS, help="What runs the model.  [default: auto]")
@click.option("--threads", type=click.IntRange(1, 1024), help="Of the model.  [default: 1; with many stations, all]")
@click.option("--processes", type=click.IntRange(1, 256), help="For the stations.  [default: 1; with many, one a core]")
@click.option("--hop", type=HOP, help="Frames between two answers.  [default: 40, 0.93 s]")
@click.option(
    "--require",
    type=click.FloatRange(min=0, min_open=True),
    metavar="SECONDS",
    help="Exit with 3 when a station is absent for so long.",
)
@click.option("--metrics", metavar="[HOST:]PORT", help="Serve /metrics to Prometheus, and /healthz.  [default: no]")
@click.option("--config", type=PATH, help="TOML with the same words; options here win.")
@click.option("--log-level", type=LOG_LEVELS, help="The least that is logged.  [default: info]")
@click.option("--no-dashboard", is_flag=True, help="Plain log lines, also on a terminal.")
@click.option("--key", type=FILE, help="Secret key file of the daemon; goes with --allow.")
@click.option("--allow", type=FILE, metavar="FOLDER", help="Public keys of those who may subscribe; it is watched.")
@click.option("--insecure", is_flag=True, help="Allow addresses where anyone can read, without keys.")
def run(sources: tuple[str, ...], config: Path | None, no_dashboard: bool, insecure: bool, **options: Any) -> None:
    """Listen to SOURCES and publish what they play.

    Without SOURCES it is the default microphone, else the demo station. A source is mic:[NAME-or-index], a file or
    file:PATH?pace=realtime&loop=1, demo:, or - for raw PCM on stdin.

    With --config, SIGHUP reads the file again.

    \b
    genred run kitchen=mic: hall=mic:2?channels=3,4
    genred run --bind 'tcp://*:5557' --key studio.secret --allow clients mic:
    rtl_fm -f 98.5M -M wbfm -r 48k | genred run '-?rate=48000&channels=1'
    """
    overrides = {key.replace("_", "-"): value for key, value in options.items() if value is not None}
    overrides |= {"dashboard": False} if no_dashboard else {}
    overrides |= {"insecure": True} if insecure else {}
    overrides |= {"station": _stations(sources)} if sources else {}

    def reread() -> Config:
        settings = load(config, overrides)
        return settings if settings.station else _with_default(settings)[0]

    _serve(load(config, overrides), reread if config else None)


def _with_default(settings: Config) -> tuple[Config, str]:
    """Add the one station that is listened to where none is named; and say which, and why."""
    from .sources import default_uri, named

    uri, why = default_uri()
    name, uri = named(uri, [])
    return msgspec.structs.replace(settings, station=(StationConfig(name, uri),)), why


def _stations(sources: tuple[str, ...]) -> list[dict[str, str]]:
    from .sources import named

    stations: list[dict[str, str]] = []
    for source in sources:
        name, uri = named(source, [station["name"] for station in stations])
        stations.append({"name": name, "uri": uri})
    return stations


def _serve(settings: Config, reread: Callable[[], Config] | None) -> None:
    """Run the daemon, then leave without waiting for source threads: one may hang in C."""
    from . import service
    from .dashboard import Dashboard

    # A number of its own: whenever PortAudio starts, sounddevice points 2 to /dev/null for all threads.
    sys.stderr = os.fdopen(os.dup(2), "w", 1, sys.stderr.encoding, "backslashreplace")
    code, why = 0, ""
    try:
        if not settings.station:
            settings, why = _with_default(settings)
        with Dashboard(enabled=settings.dashboard) as dashboard:
            logging.basicConfig(level=settings.log_level.upper(), handlers=[dashboard.log_handler()])
            if why:  # told where it can be seen: in the dashboard, too
                log.warning("no source is named; listening to %s", plain(why))
            service.run(settings, dashboard.show, reread)
    except KeyboardInterrupt:
        code = INTERRUPTED
    except Exception as error:
        code = _tell(error)
    with suppress(OSError):  # their readers may have gone
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(code)


@main.command()
@click.argument("endpoint", default=DEFAULT_ENDPOINT)
@click.option("--station", default="", help="Only of this one.")
@click.option("--type", "types", multiple=True, type=TYPES, help="Only of this type; may be given again.")
@click.option("--count", type=click.IntRange(1), help="End after so many messages.")
@KEY
@SERVER_KEY
def listen(endpoint: str, station: str, types: tuple[str, ...], count: int | None, key: str, server_key: str) -> None:
    """Print the messages of a daemon as JSON lines.

    \b
    genred listen tcp://studio:5557 --key laptop.secret --server-key studio.public
    genred listen --type estimate | jq -r '[.station, .label, .confidence] | @tsv'
    genred listen --type segment | jq -r 'select(.phase == "end") | [.station, .began_at, .duration_s, .label] | @tsv'
    """
    from . import listen as listening

    listening.listen(endpoint, types, station, count, key, server_key)


@main.command()
@click.argument("endpoint", default=DEFAULT_ENDPOINT)
@click.option("--log-level", type=LOG_LEVELS, default="info", show_default=True, help="The least that is logged.")
@KEY
@SERVER_KEY
def watch(endpoint: str, log_level: str, key: str, server_key: str) -> None:
    """Show on this terminal what a running daemon hears.

    q ends the watching, not the daemon.

    \b
    genred watch
    genred watch tcp://192.168.1.20:5557 --key laptop.secret --server-key studio.public
    """
    from . import watch as watching
    from .dashboard import Dashboard

    with Dashboard(enabled=True) as dashboard:
        logging.basicConfig(level=log_level.upper(), handlers=[dashboard.log_handler()])
        watching.watch(endpoint, dashboard.show, key, server_key)


@main.command()
@click.argument("name", type=PATH)
def keygen(name: Path) -> None:
    """Make a key pair, for a daemon or a subscriber.

    NAME.secret stays where it is; NAME.public goes to the other side.

    \b
    genred keygen studio                 on the daemon's machine
    genred keygen laptop                 on the subscriber's
    """
    from .keys import generate

    secret, public = (plain(str(path)) for path in generate(name))
    click.echo(f"{secret} stays here: who has it is taken for you. {public} goes to the other side.")
    click.echo(f"As a daemon:      genred run --key {secret} --allow FOLDER ...; give {public} to subscribers")
    click.echo(f"As a subscriber:  put {public} into the daemon's FOLDER;")
    click.echo(f"                  genred listen tcp://HOST:PORT --key {secret} --server-key DAEMON.public")


@main.command()
@click.argument("file", type=PATH)
def check(file: Path) -> None:
    """Check a configuration, and say what is wrong with it.

    It opens nothing but the files that are named in it, and the model.

    \b
    genred check /etc/genred/genred.toml
    genred check genred.toml && systemctl reload genred
    """
    from .check import check as check_all

    raise SystemExit(check_all(file))


@main.command()
@click.argument("files", nargs=-1, required=True, metavar="FILE...", type=FILE)
@click.option("--model", type=FILE, default="", help=MODEL)
@click.option("--provider", type=PROVIDERS, default="auto", show_default=True, help="What runs the model.")
@click.option("--hop", type=HOP, default=40, show_default=True, help="Frames between two answers.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a file, with its timeline.")
@click.option("--plot", type=PATH, metavar="OUT.png", help="Probabilities over time.")
@click.option("--log-level", type=LOG_LEVELS, default="warning", show_default=True, help="The least that is logged.")
def classify(files: tuple[str, ...], log_level: str, **options: Any) -> None:
    """Judge audio files, folders or patterns, and print their genres.

    The genre of a file is that of the mean probability of its full windows; of a file without one, that of its longest.

    \b
    genred classify song.mp3
    genred classify --json music/ > genres.jsonl
    """
    from .signals import heard_in_c
    from .timeline import classify_files, leave

    logging.basicConfig(level=log_level.upper(), format="%(levelname)s %(message)s")
    with heard_in_c(partial(leave, INTERRUPTED)):  # FFmpeg may chew on a damaged file for long
        raise SystemExit(classify_files(files, **options))


@main.command()
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def devices(as_json: bool) -> None:
    """List the inputs, and the sources of PulseAudio or PipeWire.

    * marks the defaults.

    \b
    genred devices
    genred run mic:2                     the input with that index
    """
    from .devices import tell

    tell(as_json=as_json)


@main.command()
@click.option("--bind", default=DEFAULT_ENDPOINT, show_default=True, help="Endpoint that should be free.")
@click.option("--model", type=FILE, default="", help=MODEL)
@click.option("--json", "as_json", is_flag=True, help="For reporting a fault; it names inputs, but no user.")
def doctor(bind: str, model: str, as_json: bool) -> None:
    """Check everything that genred needs, and say what to do.

    It listens to each input for a second, and exits with 1 if there is a fault.

    \b
    genred doctor
    genred doctor --json > report.json
    """
    from .doctor import examine_here

    raise SystemExit(examine_here(bind, model, as_json=as_json))


@main.command()
@click.option("--quick", is_flag=True, help="Under a minute: fewer rounds, and one number of stations.")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@click.option("--model", type=FILE, default="", help=MODEL)
@click.option("--provider", type=PROVIDERS, default="cpu", show_default=True, help="What runs the model.")
@click.option("--hop", type=HOP, default=40, show_default=True, help="Frames between two answers.")
def bench(quick: bool, as_json: bool, model: str, provider: Any, hop: int) -> None:
    """Measure what genred costs here, beside what others would do.

    It takes half an hour, and wants the machine for itself. Peers that are not installed are named.

    \b
    genred bench > BENCHMARKS.md
    genred bench --quick --json
    """
    from .bench import FULL, QUICK, told
    from .bench import bench as measure
    from .card import find_model

    logging.basicConfig(level="INFO", format="%(message)s")
    click.echo(told(measure(find_model(model), provider, hop, QUICK if quick else FULL), as_json=as_json))


@main.command()
@click.option(
    "--minutes", type=click.FloatRange(min=0.1, max=100_000), default=65.0, show_default=True, help="Wall time."
)
@click.option("--stations", type=click.IntRange(4, 1000), default=24, show_default=True, help="At first.")
@click.option("--seed", type=int, default=0, show_default=True, help="Another one: other faults.")
@click.option("--times", type=click.FloatRange(1, 1000), default=5.0, show_default=True, help="As fast as they play.")
@click.option("--model", type=FILE, default="", help=MODEL)
@click.option("--report", type=PATH, default="SOAK.md", show_default=True, help="Markdown; and JSON beside it.")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def soak(minutes: float, stations: int, seed: int, times: float, model: str, report: Path, as_json: bool) -> None:
    """Let a daemon hear hours of audio, among faults, and check it.

    Stations send many times as fast as they play; they vanish, stall, change codec and send garbage. Readers and the
    daemon itself are stopped, strangers shout at its port, reloads add and remove stations and swap the model. Its
    books are checked in every message; its memory, descriptors and threads are watched. The report is written every
    five minutes.

    It exits with 1 if a count is wrong, a station does not come back, the daemon dies, or its memory grows.

    \b
    genred soak --minutes 65 --stations 24 --report daemon/SOAK.md
    genred soak --minutes 0.5 --stations 6
    """
    from .card import find_model
    from .soak import Settings
    from .soak import soak as run_soak

    found = run_soak(Settings(minutes, stations, seed, times, find_model(model), report))
    for failure in found.failures:
        click.echo(plain(failure), err=True)
    told = f"{found.audio_h:.1f} hours of audio in {found.minutes:.1f} minutes; see {report}"
    click.echo(msgspec.json.encode(found).decode() if as_json else told)
    raise SystemExit(1 if found.failures else 0)
