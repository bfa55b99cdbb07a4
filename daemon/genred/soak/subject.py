"""Subject: the daemon that is soaked, a process of its own, with its configuration and its model."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ..bench.process import END_S
from ..messages import Event, Message
from ..runtime import read

SPARE = 4  # stations that are not there at first
TIMEOUTS_S = (3, 4)  # of network stations; another one is another source
OTHER_TEXT = b"\x32\x01b"  # in protobuf: the text that describes a model. Another file, and the same network
FAULTY = ("Traceback", "please report this")


@dataclass
class _Station:
    uri: str
    radio: bool
    timeout_s: int = TIMEOUTS_S[0]
    tag: int = 0

    def toml(self, name: str) -> str:
        uri = f"{self.uri}#timeout={self.timeout_s}" if self.radio else self.uri
        return f'[[station]]\nname = {json.dumps(name)}\nuri = {json.dumps(uri)}\ntags = ["t{self.tag}"]\n'


@dataclass(frozen=True)
class Reload:
    """What a configuration and a model are to be, and whether the daemon has to refuse that."""

    config: str
    model: bytes
    refused: bool = False


class Subject:
    """Context manager: ``genred run --config``.

    Parameters
    ----------
    folder : Path
        For its configuration, model and log.
    model : Path
    endpoint : str
    radio, others : dict of str
        URIs of its stations by name; radio stations can be reloaded with another time-out.

    Raises
    ------
    ModelError
        If the model cannot be read.

    Attributes
    ----------
    answered, wrong : int
        Reloads that were answered; of them, those that were taken but should not have been, or the other way round.
    """

    def __init__(self, folder: Path, model: Path, endpoint: str, radio: dict[str, str], others: dict[str, str]) -> None:
        self.endpoint, self.answered, self.wrong = endpoint, 0, 0
        self._config, self._model, self._log = folder / "soak.toml", folder / "soak.onnx", folder / "daemon.log"
        self._stations = {name: _Station(uri, radio=False) for name, uri in others.items()}
        self._stations |= {name: _Station(uri, radio=True) for name, uri in radio.items()}
        self._absent = {name: self._stations.pop(name) for name in list(radio)[-SPARE:]}
        own = read(model)
        self._models = deque([own, own + OTHER_TEXT])
        self._waiting: deque[Reload] = deque()
        self._asked: Reload | None = None
        self._process: subprocess.Popen[bytes]

    def __enter__(self) -> Subject:
        self._write(self._as_it_is())
        command = [sys.executable, "-m", "genred", "run", "--no-dashboard", "--config", str(self._config)]
        before = signal.signal(signal.SIGHUP, lambda *_: None)  # nohup has it ignored, by our children too
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=log)
        signal.signal(signal.SIGHUP, before)
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """None while it runs."""
        return self._process.poll()

    @property
    def pending(self) -> int:
        """Reloads that have not been answered yet."""
        return len(self._waiting) + (self._asked is not None)

    def send(self, number: int) -> None:
        """Send it a signal."""
        self._process.send_signal(number)

    def end(self) -> int | None:
        """Ask it to end; return its exit code, None if it does not."""
        self.send(signal.SIGCONT)
        self.send(signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            return self._process.wait(END_S)
        return None

    def complaints(self) -> list[str]:
        """Lines of its log that tell of a fault of its own."""
        lines = self._log.read_text(errors="replace").splitlines()
        return [line for line in lines if any(word in line for word in FAULTY)]

    def log_lines(self) -> int:
        """How many lines its log has."""
        return self._log.read_bytes().count(b"\n")

    def last_words(self) -> str:
        """End of its log."""
        return self._log.read_text(errors="replace")[-2000:]

    def reload(self, kind: str, dice: random.Random) -> None:
        """Ask for a reload of this kind, once those before it have been answered."""
        if kind == "add" and self._absent:
            name = dice.choice(sorted(self._absent))
            self._stations[name] = self._absent.pop(name)
        elif kind == "remove" and len(self._absent) < len(self._stations):
            name = dice.choice(sorted(self._stations))
            self._absent[name] = self._stations.pop(name)
        elif kind == "change":
            self._change(self._stations[dice.choice(sorted(self._stations))], dice)
        elif kind == "model":
            self._models.rotate(-1)
        self._ask(kind)

    def with_unpaced(self, uri: str) -> None:
        """Have a station that cannot be fed too fast."""
        self._stations["unpaced"] = _Station(uri, radio=False)
        self._ask("unpaced")

    def without_unpaced(self) -> None:
        """Have it no more."""
        self._stations.pop("unpaced", None)
        self._absent.pop("unpaced", None)
        self._ask("unpaced")

    def heed(self, message: Message) -> None:
        """Take the answer to a reload, and ask for the next one."""
        if self._asked is None or not isinstance(message, Event) or isinstance(message.station, str):
            return
        if message.event not in ("reload", "error"):
            return
        self.answered += 1
        self.wrong += (message.event == "error") != self._asked.refused
        self._asked = None
        self._ask_next()

    def _change(self, station: _Station, dice: random.Random) -> None:
        """Give it another time-out, and with it a new source; or only other tags."""
        if dice.random() < 0.5:
            station.timeout_s = TIMEOUTS_S[1 - TIMEOUTS_S.index(station.timeout_s)]
        else:
            station.tag += 1

    def _as_it_is(self) -> Reload:
        head = f'bind = {json.dumps(self.endpoint)}\nmodel = {json.dumps(str(self._model))}\nprovider = "cpu"\n'
        return Reload(head + "".join(s.toml(name) for name, s in self._stations.items()), self._models[0])

    def _ask(self, kind: str) -> None:
        wanted = self._as_it_is()
        if kind == "not TOML":
            wanted = Reload(wanted.config + "[[station\n", wanted.model, refused=True)
        elif kind == "garbage for a model":
            wanted = Reload(wanted.config, wanted.model[: len(wanted.model) // 2], refused=True)
        self._waiting.append(wanted)
        self._ask_next()

    def _ask_next(self) -> None:
        if self._asked is None and self._waiting:
            self._asked = self._waiting.popleft()
            self._write(self._asked)
            self.send(signal.SIGHUP)

    def _write(self, reload: Reload) -> None:
        _replace(self._config, reload.config.encode())
        _replace(self._model, reload.model)


def _replace(path: Path, content: bytes) -> None:
    """Write as a whole: the daemon may be reading."""
    beside = path.with_suffix(".new")
    beside.write_bytes(content)
    beside.replace(path)
