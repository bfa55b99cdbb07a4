"""Runtime: ONNX graphs as functions of one array, by ONNX Runtime on the CPU or a GPU."""

from __future__ import annotations

import ctypes
import os
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from .errors import ModelError

# By default ONNX Runtime reports to its maker over the net, and keeps a database for that in the user's cache. It looks
# here when it is imported.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

Provider = Literal["auto", "cuda", "cpu"]
Array = NDArray[np.float32]

CUDA_DRIVER = "libcuda.so.1"
_PROVIDERS = {"cuda": "CUDAExecutionProvider", "cpu": "CPUExecutionProvider"}
_OPTIONS = {_PROVIDERS["cuda"]: {"use_tf32": "0"}}  # 10 bits of mantissa would not do for answers to 1e-3
_EXTERNAL_DATA = b"\x0a\x08location\x12"  # key "location" of TensorProto.external_data, as protobuf writes it
_MOST_BYTES = 2**31  # of any protobuf message
_OUT_OF_MEMORY = ("bad_alloc", "failed to allocate", "out of memory")  # as ONNX Runtime and CUDA say it


def read(path: Path) -> bytes:
    """Content of the model file `path`.

    Raises
    ------
    ModelError
        If it cannot be read, cannot be a model, or keeps its weights in another file.
    """
    try:
        status = path.stat()
        if stat.S_ISCHR(status.st_mode) or stat.S_ISBLK(status.st_mode):  # a pipe has a writer, who ends
            raise ModelError(f"the model {path} is a device, not a file")
        if status.st_size > _MOST_BYTES:
            raise ModelError(f"the model {path} has {status.st_size / 2**30:.1f} GiB, but an ONNX file 2 at most")
        content = path.read_bytes()
    except OSError as error:
        raise ModelError(f"cannot read the model {path}: {error.strerror}") from error
    except ValueError as error:
        raise ModelError(f"cannot read the model {path}: No file can have that name") from error
    if _EXTERNAL_DATA in content:
        raise ModelError(f"the model {path} keeps weights in another file; export it as one self-contained file")
    return content


class Graph:
    """An ONNX graph with one input; calling it runs it.

    Parameters
    ----------
    content : bytes
    path : Path
        Where it comes from, for messages.
    provider : {"cuda", "cpu"}
        ``cuda`` may fall back.

    Attributes
    ----------
    provider : {"cuda", "cpu"}
        What is in use.

    Raises
    ------
    ModelError
        If it is not a graph that can be run.
    """

    def __init__(self, content: bytes, path: Path, provider: str) -> None:
        self._session = _session(content, path, provider)
        self._input, self._output = self._session.get_inputs()[0].name, self._session.get_outputs()[0].name
        self.provider = "cuda" if self._session.get_providers()[0] == _PROVIDERS["cuda"] else "cpu"

    def __call__(self, batch: Array) -> Array:
        """First output for `batch`, whose first axis is the batch: copied once to where it runs, and once back."""
        import onnxruntime as ort

        binding = self._session.io_binding()
        there = ort.OrtValue.ortvalue_from_numpy(np.ascontiguousarray(batch), self.provider, 0)
        binding.bind_ortvalue_input(self._input, there)
        binding.bind_output(self._output)
        self._session.run_with_iobinding(binding)
        answer: Array = binding.copy_outputs_to_cpu()[0]
        return answer

    def metadata(self, key: str) -> str | None:
        """Entry `key` of the file's metadata.

        Raises
        ------
        UnicodeDecodeError
            If it is no text.
        """
        value: str | None = self._session.get_modelmeta().custom_metadata_map.get(key)
        return value


def choose(content: bytes, path: Path, provider: Provider) -> tuple[Graph, str]:
    """Open a graph on what `provider` asks for; and say in words what was chosen, and why.

    Raises
    ------
    ModelError
        If ``cuda`` is asked for and would not truly be in use.
    """
    if provider == "cpu":
        return Graph(content, path, "cpu"), "cpu, as asked"
    if not has_driver():
        if provider == "cuda":
            raise ModelError("--provider cuda: the NVIDIA driver (libcuda) is not installed; use --provider cpu")
        return Graph(content, path, "cpu"), "cpu: no NVIDIA driver (libcuda) on this machine"
    graph = Graph(content, path, "cuda")
    if graph.provider == "cuda":
        return graph, "cuda: libcuda loads and the session uses it"
    if provider == "cuda":
        raise ModelError(
            "--provider cuda: ONNX Runtime could not use it; install NVIDIA's libraries (pip install 'genred[cuda]')"
            " or use --provider cpu"
        )
    return graph, "cpu: libcuda loads, but ONNX Runtime cannot use it (pip install 'genred[cuda]')"


def check_weights(content: bytes, path: Path) -> None:
    """Refuse a graph with weights that are no numbers: some operators hide them, and answer all the same.

    Raises
    ------
    ModelError
    """
    import onnx
    from onnx.numpy_helper import to_array

    for tensor in onnx.load_from_string(content).graph.initializer:
        weights = to_array(tensor)
        if weights.dtype.kind == "f" and np.isnan(weights).any():
            raise ModelError(f"the model {path} has weights that are no numbers ({tensor.name}); export it again")


def cut(content: bytes, tensor: str) -> tuple[bytes, bytes]:
    """Cut a graph of one input and one output in two at `tensor` [B, S, F]: what makes it, and what is made of it.

    Raises
    ------
    ValueError
        If there is no such tensor, or the second part needs more than it.
    """
    import onnx
    from onnx.utils import Extractor

    model = onnx.load_from_string(content)
    model.graph.value_info.append(onnx.helper.make_tensor_value_info(tensor, onnx.TensorProto.FLOAT, ["B", "S", None]))
    if not any(tensor in node.output for node in model.graph.node):
        raise ValueError(f"it has no tensor {tensor!r}")
    extractor, (begin,), (end,) = Extractor(model), model.graph.input, model.graph.output
    first = extractor.extract_model([begin.name], [tensor])
    second = extractor.extract_model([tensor], [end.name])
    return first.SerializeToString(), second.SerializeToString()


def lacks_memory(error: Exception) -> bool:
    """Whether a failure is the machine's, not the model's."""
    text = str(error).lower()
    return isinstance(error, MemoryError) or any(sign in text for sign in _OUT_OF_MEMORY)


def _session(content: bytes, path: Path, provider: str) -> Any:
    with quiet_stderr():  # the library writes there even while it is being imported
        import onnxruntime as ort

        options = ort.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1  # it runs in the thread that calls
        options.enable_cpu_mem_arena = False  # it keeps what the largest batch ever took, and is not faster
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.log_severity_level = 4
        available = set(ort.get_available_providers())
        usable = [_PROVIDERS[name] for name in dict.fromkeys((provider, "cpu")) if _PROVIDERS[name] in available]
        try:  # its own fallback prints on stdout, and hides what is in use
            return ort.InferenceSession(
                content, options, providers=[(name, _OPTIONS.get(name, {})) for name in usable], enable_fallback=0
            )
        except Exception as error:
            if provider == "cuda":
                return _session(content, path, "cpu")
            if lacks_memory(error):
                raise ModelError(f"not enough memory to open the model {path}") from error
            raise ModelError(
                f"{path} is not an ONNX model that can be run: it is damaged or of another kind"
            ) from error


def has_driver(library: str = CUDA_DRIVER) -> bool:
    """Whether the NVIDIA driver's `library` loads."""
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True


@contextmanager
def quiet_stderr() -> Iterator[None]:
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
