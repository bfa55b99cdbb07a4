"""Check: whether ``genred run`` could use a configuration, without running it."""

from __future__ import annotations

import os
from pathlib import Path

import click

from .config import Config, load
from .door import check_folder, open_lock
from .errors import BadInputError, SourceLost
from .messages import counted, plain
from .setup import load_model
from .sources import open_source

CREDENTIALS = "/run/credentials/"  # of systemd's services


def check(path: Path) -> int:
    """Say all that is wrong with the configuration at `path`, or that nothing is; return the exit code.

    Raises
    ------
    ConfigError
        If it cannot be read as a configuration at all.
    """
    config = load(path, {})
    mistakes = [*_mistakes_of_stations(config), *_mistakes_of_the_model(config), *_mistakes_of_the_keys(config)]
    for mistake in mistakes:
        click.echo(f"genred: {path}: {plain(mistake)}", err=True)
    if mistakes:
        return BadInputError.exit_code
    stations = counted(len(config.station), "station") if config.station else "no station, so the default input"
    click.echo(f"{path} can be used: {stations}")
    return 0


def _mistakes_of_stations(config: Config) -> list[str]:
    mistakes = []
    for entry in config.station:
        try:
            open_source(entry.uri)
        except SourceLost:
            continue  # well written, but absent now
        except BadInputError as error:
            mistakes.append(f"station {entry.name}: {error}")
    return mistakes


def _mistakes_of_the_keys(config: Config) -> list[str]:
    try:
        if config.key.startswith(CREDENTIALS) and not os.access(config.key, os.F_OK):  # there while the service runs
            check_folder(Path(config.allow))
        else:
            open_lock(config.key, config.allow)
    except BadInputError as error:
        return [str(error)]
    return []


def _mistakes_of_the_model(config: Config) -> list[str]:
    try:
        load_model(config)
    except BadInputError as error:
        return [str(error)]
    return []
