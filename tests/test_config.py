from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import msgspec
import pytest

from genred.config import DEFAULT_ENDPOINT, Config, StationConfig, Thresholds, host_and_port, load
from genred.errors import ConfigError


def write(folder: Path, text: str) -> Path:
    path = folder / "genred.toml"
    path.write_text(text, "utf-8")
    return path


def refusal(path: Path | None = None, **overrides: Any) -> str:
    """The sentence with which settings are refused."""
    with pytest.raises(ConfigError) as caught:
        load(path, {key.replace("_", "-"): value for key, value in overrides.items()})
    assert caught.value.exit_code == 2
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_defaults() -> None:
    """Without a file and without options there is a configuration, and only this machine can read."""
    config = load(None, {})
    assert config == Config()
    assert config.bind == DEFAULT_ENDPOINT == "tcp://127.0.0.1:5557"
    assert config.provider == "auto"
    assert not config.insecure


def test_everything_in_a_file(tmp_path: Path) -> None:
    """Every setting can be in the file, under the name it has on the command line."""
    path = write(
        tmp_path,
        """
        bind = "tcp://127.0.0.1:6000"
        model = "rock.onnx"
        provider = "cpu"
        hop = 20
        require = 30
        log-level = "debug"
        dashboard = false
        insecure = true
        key = "studio.secret"
        allow = "clients"
        metrics = "9557"
        [[station]]
        name = "kitchen"
        uri = "mic:"
        required = false
        [[station]]
        name = "hall"
        uri = "file:Straße.wav?loop=1"
        """,
    )
    assert load(path, {}) == Config(
        station=(StationConfig("kitchen", "mic:", required=False), StationConfig("hall", "file:Straße.wav?loop=1")),
        bind="tcp://127.0.0.1:6000",
        model="rock.onnx",
        provider="cpu",
        hop=20,
        require=30.0,
        log_level="debug",
        dashboard=False,
        insecure=True,
        key="studio.secret",
        allow="clients",
        metrics="9557",
    )


def test_thresholds_and_tags_of_their_own(tmp_path: Path) -> None:
    """What [signal] says holds for every station; a station's own words win, key by key. Tags are the station's."""
    path = write(
        tmp_path,
        """
        [signal]
        silence-dbfs = -50
        silence-s = 20
        [[station]]
        name = "a"
        uri = "mic:"
        [[station]]
        name = "b"
        uri = "demo:"
        tags = ["Wien", "public radio"]
        signal = { silence-s = 60, dead-channel-s = 5 }
        """,
    )
    one, other = load(path, {}).station
    assert one == StationConfig("a", "mic:", signal=Thresholds(silence_dbfs=-50, silence_s=20))
    own = Thresholds(silence_dbfs=-50, silence_s=60, dead_channel_s=5)
    assert other == StationConfig("b", "demo:", ("Wien", "public radio"), signal=own)


def test_thresholds_hold_for_stations_of_the_command_line(tmp_path: Path) -> None:
    """Stations that are named as arguments take [signal] from the file."""
    path = write(tmp_path, "[signal]\nsilence-s = 20")
    (one,) = load(path, {"station": [{"name": "a", "uri": "mic:"}]}).station
    assert one.signal == Thresholds(silence_s=20)


def test_the_command_line_wins(tmp_path: Path) -> None:
    """An option replaces what the file says; the rest of the file holds."""
    path = write(tmp_path, 'hop = 20\nlog-level = "debug"\n[[station]]\nname = "a"\nuri = "mic:"')
    config = load(path, {"hop": 10, "station": [{"name": "b", "uri": "demo:"}]})
    assert (config.hop, config.log_level, config.station) == (10, "debug", (StationConfig("b", "demo:"),))


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("hopp = 20", "hopp"),
        ("log_level = 'debug'", "log_level"),
        ("hop = 0", "$.hop"),
        ("hop = 1.5", "$.hop"),
        ("hop = true", "$.hop"),
        ("hop = '40'", "$.hop"),
        ("require = 0", "$.require"),
        ("require = -1", "$.require"),
        ("require = nan", "$.require"),
        ("provider = 'tpu'", "$.provider"),
        ("log-level = 'loud'", "$.log-level"),
        ("dashboard = 'no'", "$.dashboard"),
        ("bind = 5557", "$.bind"),
        ("metrics = 9557", "$.metrics"),
        ("[[station]]\nname = 'a'\nuri = 'mic:'\nrequired = 1", "$.station[0].required"),
        ("station = 3", "$.station"),
        ("[[station]]\nname = 'a'", "$.station[0]"),
        ("[[station]]\nname = 'a'\nuri = 'mic:'\ngain = 3", "$.station[0]"),
        ("[[station]]\nname = 'a'\nuri = 'mic:'\ntags = 'wien'", "$.station[0].tags"),
        ('[[station]]\nname = "a"\nuri = "mic:"\ntags = ["a\\u001b"]', "$.station[0].tags[0]"),
        ("[[station]]\nname = 'a'\nuri = 'mic:'\nsignal = 3", "$.station[0].signal"),
        ("[[station]]\nname = 'a'\nuri = 'mic:'\nsignal = { silence-s = 0 }", "$.station[0].signal.silence-s"),
        ("[[station]]\nname = 'a'\nuri = 'mic:'\nsignal = { silence = 3 }", "$.station[0].signal"),
        ("[signal]\nsilence-dbfs = 3", "$.signal.silence-dbfs"),
        ("signal = 3", "$.signal"),
        ("[signal]\nfrozen = 3", "$.signal"),
        ("[[station]]\nname = 'a'\nuri = 'mic:'\n[[station]]\nname = 'B'\nuri = 'mic:'", "$.station[1].name"),
        ("[[station]]\nname = ''\nuri = 'mic:'", "$.station[0].name"),
        ('[[station]]\nname = "a\\n"\nuri = "mic:"', "$.station[0].name"),
        ("[[station]]\nname = 'a b'\nuri = 'mic:'", "$.station[0].name"),
        (f"[[station]]\nname = '{65 * 'a'}'\nuri = 'mic:'", "$.station[0].name"),
        ("[[station]]\nname = 'a'\nuri = 'mic:'\n[[station]]\nname = 'a'\nuri = 'demo:'", "names must be unique"),
    ],
)
def test_mistakes_are_refused_where_they_are(tmp_path: Path, text: str, where: str) -> None:
    """A wrong key, type or value is refused, with the file and the place in it."""
    path = write(tmp_path, text)
    refused = refusal(path)
    assert where in refused
    assert str(path) in refused


def test_the_file_is_not_blamed_for_the_command_line(tmp_path: Path) -> None:
    """A mistake of an option is told without the file's name; one that the file alone makes, with it."""
    path = write(tmp_path, "hop = 20")
    with pytest.raises(ConfigError, match=r"^bind 'nowhere'"):
        load(path, {"bind": "nowhere"})
    with pytest.raises(ConfigError, match=f"^{re.escape(str(path))}: "):
        load(write(tmp_path, "hop = 0"), {"bind": "tcp://127.0.0.1:6000"})


@pytest.mark.parametrize(
    "text", ["hop = ", "[[station", "a = 1\na = 2", "\x00", f"a = {5000 * '1'}", f"a = {50_000 * '['}"], ids=range(6)
)
def test_what_is_no_toml(tmp_path: Path, text: str) -> None:
    """A file that is not TOML is refused as such."""
    assert "is not TOML" in refusal(write(tmp_path, text))


def test_what_is_no_text(tmp_path: Path) -> None:
    """Nor is a file of bytes that are no UTF-8."""
    path = tmp_path / "genred.toml"
    path.write_bytes(b"model = '\xff\xfe'")
    assert "is not TOML" in refusal(path)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    """A missing file, or a folder, is named with the reason."""
    assert "No such file" in refusal(tmp_path / "nothing.toml")
    assert "Is a directory" in refusal(tmp_path)


def test_names_that_are_no_files(tmp_path: Path) -> None:
    """A FIFO would make the daemon wait for a writer, and some names no file can have."""
    os.mkfifo(tmp_path / "fifo")
    assert "Not a regular file" in refusal(tmp_path / "fifo")
    assert "No file can have that name" in refusal(Path("\0"))
    assert "too long" in refusal(Path(5000 * "a"))


@pytest.mark.parametrize("bind", ["ipc://a\0b", "ipc://a\udcff"], ids=["NUL", "no UTF-8"])
def test_characters_that_no_endpoint_has(bind: str) -> None:
    """They are refused before ZeroMQ sees them, and are shown escaped."""
    assert "has characters that no endpoint can have" in refusal(bind=bind)


@pytest.mark.parametrize(
    "bind", ["tcp://127.0.0.1:1", "tcp://127.0.0.1:65535", "tcp://localhost:5557", "tcp://[::1]:5557", "ipc://@genred"]
)
def test_endpoints_of_this_machine(bind: str) -> None:
    """Loopback and Unix sockets need no permission."""
    assert load(None, {"bind": bind}).bind == bind


def test_ipc_endpoint(tmp_path: Path) -> None:
    """A Unix socket needs a folder to be in."""
    assert load(None, {"bind": f"ipc://{tmp_path}/genred"}).bind == f"ipc://{tmp_path}/genred"
    assert "not a folder that can be written to" in refusal(bind=f"ipc://{tmp_path}/nowhere/genred")


@pytest.mark.parametrize("bind", ["tcp://0.0.0.0:5557", "tcp://*:5557", "tcp://192.168.1.2:5557", "tcp://[::]:5557"])
def test_endpoints_others_can_reach(bind: str) -> None:
    """An address that others can reach needs keys or --insecure, and the refusal says so."""
    refused = refusal(bind=bind)
    assert "keygen" in refused
    assert "--insecure" in refused
    assert load(None, {"bind": bind, "insecure": True}).bind == bind
    assert load(None, {"bind": bind, "key": "a.secret", "allow": "clients"}).bind == bind


@pytest.mark.parametrize("given", [{"key": "a.secret"}, {"allow": "clients"}])
def test_keys_go_together(given: dict[str, str]) -> None:
    """A secret key without a folder would let nobody in, and a folder without a key everybody."""
    assert "key and allow go together" in refusal(**given)


@pytest.mark.parametrize("metrics", ["9557", "127.0.0.1:9557", "localhost:1", "[::1]:65535", ""])
def test_metrics_of_this_machine(metrics: str) -> None:
    """A port alone is one of this machine; that, and loopback, needs no permission."""
    assert load(None, {"metrics": metrics}).metrics == metrics
    assert host_and_port("9557") == ("127.0.0.1", "9557")


@pytest.mark.parametrize("metrics", ["0.0.0.0:9557", "[::]:9557", "192.168.1.2:9557", "radio.example:9557"])
def test_metrics_others_can_reach(metrics: str) -> None:
    """An address that others can reach needs --insecure, and the refusal says so."""
    assert "--insecure" in refusal(metrics=metrics)
    assert load(None, {"metrics": metrics, "insecure": True}).metrics == metrics


@pytest.mark.parametrize(
    "metrics", [":9557", "0", "65536", "-1", "port", "localhost", "localhost:", "a\0b:1", "\udcff:1"]
)
def test_metrics_that_are_no_address(metrics: str) -> None:
    """They are refused before anything is bound, whatever else is allowed."""
    assert "is neither PORT nor HOST:PORT" in refusal(metrics=metrics, insecure=True)


NO_ENDPOINTS = """
5557
127.0.0.1:5557
tcp://127.0.0.1
tcp://127.0.0.1:
tcp://127.0.0.1:x
tcp://127.0.0.1:0
tcp://127.0.0.1:65536
tcp://127.0.0.1:-1
tcp://127.0.0.1:²
udp://127.0.0.1:5557
http://127.0.0.1:5557
ipc://
ipc://*
"""


@pytest.mark.parametrize("bind", NO_ENDPOINTS.split("\n")[:-1])
@pytest.mark.parametrize("insecure", [False, True])
def test_endpoints_that_are_none(bind: str, insecure: bool) -> None:
    """What is no endpoint is refused, with the value and what one looks like."""
    refused = refusal(bind=bind, insecure=insecure)
    assert repr(bind) in refused
    assert "tcp://HOST:PORT" in refused


def test_configuration_is_frozen() -> None:
    """Nobody changes settings while the daemon runs."""
    with pytest.raises(AttributeError):
        Config().hop = 3  # type: ignore[misc]
    assert msgspec.structs.replace(Config(), hop=3).hop == 3
