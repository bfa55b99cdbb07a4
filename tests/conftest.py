"""What all tests share: music, small models, sound, and daemons that are run for real."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import wave
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec
import numpy as np
import pytest
from hypothesis import settings

from genred.card import CARD_KEY, Horizon, ModelCard
from genred.features import GainRule, MfccSpec, Samples
from genred.messages import Message
from genred.subscriber import TYPES, Subscriber
from screens import Open, Terminal, genred_command, terminals

ROOT = Path(__file__).parents[1]
LABELS = ("blues", "classical", "country", "disco", "hiphop", "jazz", "metal", "pop", "reggae", "rock")
SMALL_WINDOW = 80  # frames, 1.96 s
EARLY = 24  # frames, 0.65 s

# librosa's compiled functions are cached; two workers that wrote one cache at a time crashed when they read it.
os.environ["NUMBA_CACHE_DIR"] = str(ROOT / ".pytest_cache" / "numba" / os.environ.get("PYTEST_XDIST_WORKER", "main"))

settings.register_profile("genred", deadline=None, max_examples=30, derandomize=True)
settings.load_profile("genred")


def gtzan_folder() -> Path | None:
    """Where the music is: GTZAN_DIR, else beside the checkout."""
    folder = Path(os.environ.get("GTZAN_DIR") or ROOT.parent / "shared" / "gtzan")
    return folder.resolve() if folder.is_dir() else None


def pytest_configure() -> None:
    """Let what the tests start hear signals that a shell in the background, or nohup, ignores for us."""
    for number in (signal.SIGINT, signal.SIGHUP):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, lambda *_: None)  # a handler is not inherited, as ignoring is


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if gtzan_folder() is None:
        for item in items:
            if item.get_closest_marker("gtzan"):
                item.add_marker(pytest.mark.skip(reason="no music: set GTZAN_DIR to a folder with GTZAN"))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say loudly what was skipped, and why."""
    skipped = terminalreporter.stats.get("skipped", [])
    if skipped:
        terminalreporter.section(f"{len(skipped)} TESTS DID NOT RUN", sep="!", red=True)
        for report in skipped:
            reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
            terminalreporter.write_line(f"{report.nodeid}: {reason}")


@pytest.fixture(scope="session")
def gtzan() -> Path:
    """Folder of the music; tests that use it are marked ``gtzan``."""
    folder = gtzan_folder()
    assert folder is not None
    return folder


def make_model(
    path: Path,
    *,
    window: int = SMALL_WINDOW,
    spec: MfccSpec | None = None,
    gain: GainRule | None = None,
    labels: tuple[str, ...] = LABELS,
    outputs: int | None = None,
    softmax: bool = True,
    card: bool = True,
    horizons: tuple[Horizon, ...] = (),
    seed: int = 0,
) -> Path:
    """Write a small model: the mean frame, a random matrix, softmax. Quick, deterministic, and it hears differences."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    spec = spec or MfccSpec()
    rng = np.random.default_rng(seed)
    width = len(labels) if outputs is None else outputs
    weights = (rng.normal(size=(spec.n_mfcc, width)) / 40).astype(np.float32)
    nodes = [
        helper.make_node("ReduceMean", ["mfcc"], ["mean"], axes=[1], keepdims=0),
        helper.make_node("MatMul", ["mean", "weights"], ["logits"]),
        helper.make_node("Softmax" if softmax else "Identity", ["logits"], ["probabilities"]),
    ]
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info("mfcc", TensorProto.FLOAT, ["B", "T", spec.n_mfcc])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["B", width])],
        [numpy_helper.from_array(weights, "weights")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    if card:
        entry = model.metadata_props.add()
        entry.key = CARD_KEY
        entry.value = msgspec.json.encode(
            ModelCard(
                labels=labels,
                spec=spec,
                gain=gain or GainRule(),
                window_frames=window,
                horizons=horizons,
                geometry={},
                training={},
                licence="for tests",
            )
        ).decode()
    onnx.save(model, path)
    return path


@pytest.fixture(scope="session")
def small_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that judges windows of SMALL_WINDOW frames."""
    return make_model(tmp_path_factory.mktemp("model") / "small.onnx")


@pytest.fixture(scope="session")
def early_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same, which answers from EARLY frames on, and judges three horizons each in its own way."""
    horizons = (Horizon(EARLY), Horizon(40, temperature=2.0), Horizon(SMALL_WINDOW, temperature=0.5, unsure_below=0.6))
    return make_model(tmp_path_factory.mktemp("model") / "early.onnx", horizons=horizons)


def music(seconds: float, rate: int = 22050, seed: int = 0) -> Samples:
    """Something like music: changing chords over noise, about -15 dBFS."""
    rng = np.random.default_rng(seed)
    time_s = np.arange(round(seconds * rate)) / rate
    notes = 110.0 * 2.0 ** (rng.integers(0, 36, size=(int(seconds * 2) + 1, 3)) / 12.0)  # [half seconds, voices]
    hz = notes[(time_s * 2).astype(int)]  # [N, voices]
    voices = np.sin(2 * np.pi * np.cumsum(hz, axis=0) / rate).mean(axis=1)
    return (0.3 * voices + 0.03 * rng.normal(size=len(time_s))).astype(np.float32)


def write_wav(path: Path, samples: Samples, rate: int = 22050) -> Path:
    """Write [N] or [N, channels] as 16-bit WAV."""
    table = samples.reshape(len(samples), -1)
    with wave.open(os.fspath(path), "wb") as file:
        file.setnchannels(table.shape[1])
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes((np.clip(table, -1, 1) * 32767).astype("<i2").tobytes())
    return path


@pytest.fixture
def wav(tmp_path: Path) -> Path:
    """Ten seconds of something like music."""
    return write_wav(tmp_path / "music.wav", music(10.0))


@pytest.fixture
def endpoint() -> str:
    """A TCP endpoint that is free at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"tcp://127.0.0.1:{probe.getsockname()[1]}"


def genred(*arguments: str | Path, timeout_s: float = 60, **options: object) -> subprocess.CompletedProcess[str]:
    """Run ``genred`` to its end."""
    command = [sys.executable, "-m", "genred", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=timeout_s, check=False, **options)  # type: ignore[call-overload, no-any-return]


@pytest.fixture
def terminal() -> Iterator[Open]:
    """Open terminals with a program in them; they are closed at the end of the test."""
    with terminals() as open_one:
        yield open_one


@pytest.fixture
def run(terminal: Open, endpoint: str, small_model: Path) -> Open:
    """Start ``genred run`` in a terminal."""

    def start(*sources: str | Path, **options: object) -> Terminal:
        return terminal(*genred_command("run", *sources, "--model", small_model, "--bind", endpoint), **options)

    return start


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built wheel; tests that use it are in the group ``wheel``, so that it is built once."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    subprocess.run(command, check=True, capture_output=True)
    return next(folder.glob("*.whl"))


class Daemon:
    """A running ``genred run``; its stderr goes to a file, so that no pipe can fill.

    `under` is a command that becomes the one it is given, as ``nice`` does.
    """

    def __init__(
        self, log: Path, endpoint: str, *arguments: str | Path, under: Sequence[str] = (), **options: object
    ) -> None:
        self.endpoint, self._log = endpoint, log
        command = [*under, sys.executable, "-m", "genred", "run", "--bind", endpoint, *map(str, arguments)]
        with log.open("w") as stderr:
            self.process = subprocess.Popen(command, stderr=stderr, **options)  # type: ignore[call-overload]

    @property
    def log(self) -> str:
        return self._log.read_text()

    def stop(self, number: int = signal.SIGTERM, timeout_s: float = 20) -> int:
        """Send a signal; return the exit code."""
        self.process.send_signal(number)
        return self.wait(timeout_s)

    def wait(self, timeout_s: float = 60) -> int:
        return int(self.process.wait(timeout_s))


@pytest.fixture
def daemon(tmp_path: Path, endpoint: str) -> Iterator[Callable[..., Daemon]]:
    """Start daemons; those still running at the end of the test are killed."""
    started: list[Daemon] = []

    def start(*arguments: str | Path, **options: object) -> Daemon:
        started.append(Daemon(tmp_path / f"daemon{len(started)}.log", endpoint, *arguments, **options))
        return started[-1]

    yield start
    for one in started:
        if one.process.poll() is None:
            one.process.kill()
        one.process.wait()
        for stream in (one.process.stdin, one.process.stdout):
            if stream is not None:
                stream.close()


@contextmanager
def subscribed(endpoint: str, *types: str, station: str = "", **keys: Path) -> Iterator[Subscriber]:
    with Subscriber(endpoint, types or TYPES, station, **keys) as subscriber:
        yield subscriber


def collect(subscriber: Subscriber, until: Callable[[list[Message]], bool], timeout_s: float = 60) -> list[Message]:
    """Messages up to the one with which `until` comes true; fails if that takes too long."""
    messages: list[Message] = []
    deadline = time.monotonic() + timeout_s
    while not until(messages):
        message = subscriber.receive(max(deadline - time.monotonic(), 0.0))
        if message is None:
            pytest.fail(f"not within {timeout_s} s; the last messages were {messages[-5:]}")
        messages.append(message)
    return messages


def identities_hold(message: Message) -> bool:
    """Whether the books of a status message add up, as DESIGN says they always do."""
    return all(
        c.expected == c.captured + c.lost
        and c.captured == c.fed + c.overwritten + c.discarded + c.waiting
        and c.due == c.published + c.skipped
        for c in (message.this_epoch, message.total)  # type: ignore[union-attr]
    )
