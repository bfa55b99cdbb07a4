"""Classifier: windows of MFCC -> probabilities, by ONNX Runtime.

A model is one self-contained ONNX file. Everything the daemon must know of it is in the file's metadata, under
``genred.card``, as JSON: see ModelCard. A file without a card is refused.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from .card import CARD_KEY, ModelCard, Result
from .epoch import Window
from .errors import BatchError, ModelError
from .features import Doubles, Frames
from .messages import Reason, plain

Provider = Literal["auto", "cuda", "cpu"]
_PROVIDERS = {"cuda": "CUDAExecutionProvider", "cpu": "CPUExecutionProvider"}
_EXTERNAL_DATA = b"\x0a\x08location\x12"  # key "location" of TensorProto.external_data, as protobuf writes it
_OUT_OF_MEMORY = ("bad_alloc", "failed to allocate", "out of memory")  # as ONNX Runtime and CUDA say it
_MAX_BATCH = 32  # windows: bounds memory, and how long others wait


@dataclass(frozen=True)
class Verdict:
    """The answer to one window: a label, or the `reason` why there is none. ``unsure`` has its probabilities."""

    label: str | None = None
    confidence: float | None = None
    probabilities: dict[str, float] | None = None
    reason: Reason | None = None


class Classifier:
    """A loaded and warmed-up model.

    Parameters
    ----------
    path : Path
    provider : {"auto", "cuda", "cpu"}
        ``cuda`` must truly be in use; ``auto`` tries it only where the driver's library loads.
    threads : int
        Of ONNX Runtime.

    Attributes
    ----------
    card : ModelCard
    provider : str
        ``cuda`` or ``cpu``: what runs.
    choice : str
        One line: what was chosen and why.
    digest : str
        SHA-256 of the file, hexadecimal.

    Raises
    ------
    ModelError
        If the file is not a model that genred can trust, or `provider` cannot be had.
    """

    def __init__(self, path: Path, provider: Provider = "auto", threads: int = 1) -> None:
        content = _read(path)
        self.name = plain(path.stem)
        self.digest = hashlib.sha256(content).hexdigest()
        self._session, self.provider, self.choice = _open(content, path, provider, threads)
        self.card = _card(self._session, path)
        self._input = self._session.get_inputs()[0].name
        self._check_shapes(path)

    def probabilities(self, windows: Frames) -> Doubles:
        """Calibrated probabilities [B, K] of `windows` [B, T, C].

        Raises
        ------
        BatchError
            If the network fails, or what it answers is not a set of probabilities.
        """
        raw = self._ask(windows)
        if not np.isfinite(raw).all():
            raise BatchError(f"the model's answer to {len(windows)} windows is not finite")
        if (raw < 0).any() or (np.abs(raw.sum(axis=1) - 1.0) > 1e-3).any():
            raise BatchError(f"the model's answer to {len(windows)} windows does not sum to 1")
        powers = np.log(np.maximum(raw, 1e-12)) / self.card.temperature
        sharpened: Doubles = np.exp(powers - powers.max(axis=1, keepdims=True))
        normalised: Doubles = sharpened / sharpened.sum(axis=1, keepdims=True)
        return normalised

    def _ask(self, windows: Frames) -> Doubles:
        """Return what the network itself says of `windows`."""
        try:
            raw = np.asarray(self._session.run(None, {self._input: windows})[0], np.float64)
        except Exception as error:  # ONNX Runtime has a kind for each of its own faults
            why = plain(str(error).partition("\n")[0])
            raise BatchError(f"the model failed on {len(windows)} windows: {type(error).__name__}: {why}") from error
        if raw.shape != (len(windows), len(self.card.labels)):
            raise BatchError(f"the model's answer to {len(windows)} windows has shape {list(raw.shape)}")
        return raw

    def judge(self, windows: Sequence[Window]) -> list[Verdict | BatchError]:
        """Answer each window; silence is answered without asking the network."""
        verdicts: list[Verdict | BatchError] = [Verdict(reason="silence")] * len(windows)
        sounding = [i for i, window in enumerate(windows) if not window.silent]
        for start in range(0, len(sounding), _MAX_BATCH):
            batch = sounding[start : start + _MAX_BATCH]
            for i, verdict in zip(batch, self._judge_batch([windows[i] for i in batch]), strict=True):
                verdicts[i] = verdict
        return verdicts

    def _judge_batch(self, windows: list[Window]) -> list[Verdict | BatchError]:
        try:
            table = self.probabilities(np.stack([window.mfcc for window in windows]))
        except BatchError as error:
            if len(windows) == 1:
                return [error]
            return [answer for window in windows for answer in self._judge_batch([window])]  # it harms only itself
        return [self.verdict(row) for row in table]

    def verdict(self, probabilities: NDArray[np.float64]) -> Verdict:
        """Label and confidence of `probabilities` [K]; ``unsure`` where the card finds the greatest too small."""
        best = int(probabilities.argmax())
        by_label = dict(zip(self.card.labels, probabilities.tolist(), strict=True))
        if probabilities[best] < self.card.unsure_below:
            return Verdict(probabilities=by_label, reason="unsure")
        return Verdict(self.card.labels[best], float(probabilities[best]), by_label)

    def claim(self) -> Result | None:
        """Return the result that the card puts first."""
        return self.card.results[0] if self.card.results else None

    def _check_shapes(self, path: Path) -> None:
        """Run two windows of zeros: that warms up, and shows what the network really takes and gives."""
        card = self.card
        try:
            windows = np.zeros((2, card.window_frames, card.spec.n_mfcc), np.float32)
            with _quiet_stderr():
                answer = np.asarray(self._session.run(None, {self._input: windows})[0])
        except Exception as error:
            if _lacks_memory(error):
                raise ModelError(f"not enough memory to run the model {path}") from error
            raise ModelError(
                f"{path} does not take batches of {card.window_frames} frames x {card.spec.n_mfcc} coefficients"
                " as its card says; export it again"
            ) from error
        if answer.shape != (2, len(card.labels)):
            raise ModelError(
                f"{path} answers two windows with shape {list(answer.shape)}, but its card has"
                f" {len(card.labels)} labels; export it again"
            )


def _read(path: Path) -> bytes:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ModelError(f"cannot read the model {path}: {error.strerror}") from error
    except ValueError as error:
        raise ModelError(f"cannot read the model {path}: No file can have that name") from error
    if _EXTERNAL_DATA in content:
        raise ModelError(f"the model {path} keeps weights in another file; export it as one self-contained file")
    return content


def _lacks_memory(error: Exception) -> bool:
    text = str(error).lower()
    return isinstance(error, MemoryError) or any(sign in text for sign in _OUT_OF_MEMORY)


def _card(session: Any, path: Path) -> ModelCard:
    text = session.get_modelmeta().custom_metadata_map.get(CARD_KEY)
    if text is None:
        raise ModelError(f"the model {path} has no card ({CARD_KEY} in its metadata); make it with genretrain export")
    try:
        return msgspec.json.decode(text, type=ModelCard)
    except (msgspec.DecodeError, ValueError) as error:
        raise ModelError(f"the card of the model {path} is not valid: {error}") from error


def _open(content: bytes, path: Path, provider: Provider, threads: int) -> tuple[Any, str, str]:
    """Session, provider in use, and why it was chosen."""
    if provider == "cpu":
        return _session(content, path, "cpu", threads), "cpu", "cpu, as asked"
    if not _cuda_driver():
        if provider == "cuda":
            raise ModelError("--provider cuda: the NVIDIA driver (libcuda) is not installed; use --provider cpu")
        return (
            _session(content, path, "cpu", threads),
            "cpu",
            "cpu: no NVIDIA driver (libcuda) on this machine",
        )
    session = _session(content, path, "cuda", threads)
    if session.get_providers()[0] == _PROVIDERS["cuda"]:
        return session, "cuda", "cuda: libcuda loads and the session uses it"
    if provider == "cuda":
        raise ModelError(
            "--provider cuda: ONNX Runtime could not use it; install NVIDIA's libraries (pip install 'genred[cuda]')"
            " or use --provider cpu"
        )
    return session, "cpu", "cpu: libcuda loads, but ONNX Runtime cannot use it (pip install 'genred[cuda]')"


def _session(content: bytes, path: Path, provider: str, threads: int) -> Any:
    with _quiet_stderr():  # the library writes there even while it is being imported
        import onnxruntime as ort

        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.log_severity_level = 4
        wanted = [_PROVIDERS[name] for name in dict.fromkeys((provider, "cpu"))]
        available = set(ort.get_available_providers())
        try:
            return ort.InferenceSession(content, options, providers=[name for name in wanted if name in available])
        except Exception as error:
            raise ModelError(
                f"{path} is not an ONNX model that can be run: it is damaged or of another kind"
            ) from error


def _cuda_driver() -> bool:
    try:
        ctypes.CDLL("libcuda.so.1")
    except OSError:
        return False
    return True


@contextmanager
def _quiet_stderr() -> Iterator[None]:
    """Keep what C libraries write to the process's stderr off the terminal."""
    sys.stderr.flush()
    saved, null = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(null, 2)
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)
        os.close(null)
