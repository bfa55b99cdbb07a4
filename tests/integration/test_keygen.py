"""Keys from the command line: keygen, run, listen, watch, check."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest
from test_listen import listening
from wholly import Start, statuses

from conftest import collect, genred, subscribed
from genred.messages import Event
from guests import Guest, Keys
from screens import Open, genred_command


@pytest.fixture
def keys(tmp_path: Path) -> Keys:
    return Keys(tmp_path)


def options(guest: Guest) -> list[str]:
    return [word for name, path in guest.keys.items() for word in (f"--{name.replace('_', '-')}", str(path))]


def test_listen_with_the_right_key(daemon: Start, keys: Keys, endpoint: str, small_model: Path) -> None:
    """A daemon with keys may bind where others can reach it, without --insecure; who is allowed reads it."""
    laptop = keys.guest("laptop")
    public = endpoint.replace("127.0.0.1", "*")
    one = daemon("demo:", "--model", small_model, "--bind", public, *keys.options)  # the last --bind wins
    result = genred("listen", endpoint, "--count", "5", *options(laptop))
    assert result.returncode == 0, result.stderr
    assert [json.loads(line)["v"] for line in result.stdout.splitlines()] == ["1.0"] * 5
    assert one.stop() == 0


def test_listen_says_why_it_hears_nothing(daemon: Start, keys: Keys, endpoint: str, small_model: Path) -> None:
    """Without a key, with one that is not allowed, with another daemon's: nothing is printed, and why is said once."""
    stranger, laptop = keys.guest("stranger", allowed=False), keys.guest("laptop")
    one = daemon("demo:", "--model", small_model, *keys.options)
    assert genred("listen", endpoint, "--count", "1", *options(laptop)).returncode == 0
    wrong = Guest(laptop.keys | {"server_key": stranger.keys["key"].with_suffix(".public")})
    for guest, why in (
        (Guest({}), "give yours with --key"),
        (stranger, "put its .public file into the folder"),
        (wrong, "has another key"),
    ):
        with listening(endpoint, *options(guest)) as process:
            assert process.stderr is not None
            said = process.stderr.readline()
            assert said.startswith(f"genred: {endpoint} ")
            assert why in said
            process.send_signal(signal.SIGINT)
            assert process.communicate() == ("", "")
    assert one.stop() == 0


def test_watch_with_keys(terminal: Open, daemon: Start, keys: Keys, endpoint: str, small_model: Path) -> None:
    """It says that its key is not allowed; when it is, it shows the daemon."""
    late = keys.guest("late", allowed=False)
    daemon("kitchen=demo:", "--model", small_model, *keys.options)
    one = terminal(*genred_command("watch", endpoint, *options(late)))
    one.sees("does not let the key")
    keys.allow("late")
    one.sees("kitchen  ● running")
    one.type("q")
    assert one.wait() == 0


@pytest.mark.parametrize("command", ["run", "listen", "watch"])
def test_an_open_key_file_is_refused(keys: Keys, endpoint: str, command: str) -> None:
    """A secret that others can read ends the program with 2 and one sentence, before anything is connected."""
    laptop = keys.guest("laptop")
    given = ["--bind", endpoint, *keys.options] if command == "run" else [endpoint, *options(laptop)]
    secret = Path(given[given.index("--key") + 1])
    secret.chmod(0o644)
    result = genred(command, *given, *(["demo:"] if command == "run" else []))
    assert (result.stdout, result.returncode) == ("", 2)
    assert result.stderr.count("\n") == 1
    assert f"genred: the key file {secret} can be read by others (mode 0644); chmod 600" in result.stderr


def test_the_configuration_has_keys(
    daemon: Start, keys: Keys, endpoint: str, tmp_path: Path, small_model: Path
) -> None:
    """Keys can stand in the configuration; a reload with others says that they take effect at the next start."""
    laptop = keys.guest("laptop")
    config = tmp_path / "genred.toml"
    text = f"model = '{small_model}'\nkey = '{keys.options[1]}'\nallow = '{keys.clients}'\n"
    text += "[[station]]\nname = 'demo'\nuri = 'demo:'\n"
    config.write_text(text)
    assert genred("check", config).returncode == 0
    one = daemon("--config", config)
    assert genred("listen", endpoint, "--count", "1", *options(laptop)).returncode == 0
    (tmp_path / "others").mkdir(mode=0o755)
    config.write_text(text.replace(str(keys.clients), str(tmp_path / "others")))
    with subscribed(endpoint, **laptop.keys) as subscriber:
        collect(subscriber, lambda messages: len(statuses(messages)) > 0)
        one.process.send_signal(signal.SIGHUP)
        collect(
            subscriber,
            lambda messages: any(
                "allow as before until the next start" in message.text
                for message in messages
                if isinstance(message, Event)
            ),
        )
    assert one.stop() == 0


def test_check_finds_what_is_wrong_with_keys(keys: Keys, tmp_path: Path, small_model: Path) -> None:
    """`genred check` tells of a key file that cannot be used, or a folder; a service's credential may be absent."""
    config = tmp_path / "genred.toml"
    credential = "/run/credentials/genred.service/keys_daemon.secret"

    def said(key: object, allow: Path) -> tuple[str, int]:
        config.write_text(f"model = '{small_model}'\nkey = '{key}'\nallow = '{allow}'\n")
        result = genred("check", config)
        return result.stderr, result.returncode

    assert said(keys.options[1], keys.clients) == ("", 0)
    assert said(credential, keys.clients) == ("", 0)
    for key, allow, why in (
        (tmp_path / "nowhere", keys.clients, "cannot read the key file"),
        (keys.options[1], tmp_path / "nowhere", "cannot read the folder of allowed keys"),
        (credential, tmp_path / "nowhere", "cannot read the folder of allowed keys"),
    ):
        text, code = said(key, allow)
        assert why in text
        assert (text.count("\n"), code) == (1, 2)
