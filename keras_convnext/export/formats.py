"""The formats of exported models: which backend writes each, and which runtime reads it."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from keras_convnext.extras import is_installed

ONNX_OPSET = 20
"""The version of ONNX's operators in files: the first with GELU as one operator."""


@dataclass(frozen=True)
class Format:
    """A format.

    Attributes:
        name: as `keras.Model.export` names it.
        title: the name of the format in messages.
        suffix: the ending of a file's name; empty for a folder.
        writers: the packages that write the format from each backend, besides the backend itself. Other backends save
            the model to a `.keras` file, which a process of one of these backends converts.
        runtime: the package that runs such a file.
    """

    name: str
    title: str
    suffix: str
    writers: Mapping[str, tuple[str, ...]]
    runtime: str

    def missing_packages(self, backend: str) -> list[str]:
        """The packages that are not installed, of those that write this format from a backend and run it."""
        needed = (backend, *self.writers[backend], self.runtime)
        return [package for package in dict.fromkeys(needed) if not is_installed(package)]

    def writer(self, running: str) -> str:
        """Finds the backend that writes this format: the running one if it can, else the first that is installed.

        Args:
            running: the backend that runs.

        Raises:
            ModuleNotFoundError: none that writes this format is installed with its packages and the runtime.
        """
        order = [running] if running in self.writers else []
        order += [backend for backend in self.writers if backend != running]
        missing = {backend: self.missing_packages(backend) for backend in order}
        for backend, packages in missing.items():
            if not packages:
                return backend
        ways = "; or ".join(f"from {backend}, {', '.join(packages)}" for backend, packages in missing.items())
        raise ModuleNotFoundError(
            f'Writing {self.title} needs packages that are not installed: {ways}. pip install "keras-convnext[export]"'
        )


def _format(name, title, suffix, runtime, **writers):
    return name, Format(name, title, suffix, MappingProxyType(writers), runtime)


FORMATS = dict(
    (
        _format(
            *("onnx", "ONNX", ".onnx", "onnxruntime"),
            torch=("onnx", "onnxscript"),
            tensorflow=("onnx", "tf2onnx", "onnxscript"),
        ),
        _format("litert", "LiteRT", ".tflite", "ai_edge_litert", tensorflow=()),
        _format("openvino", "OpenVINO", ".xml", "openvino", torch=(), tensorflow=()),
        _format("torch", "torch.export", ".pt2", "torch", torch=()),
        _format("tf_saved_model", "SavedModel", "", "tensorflow", tensorflow=()),
    )
)
"""The formats by name. If the running backend does not write a format, the first of its writers that is installed
does."""


def find_format(path: str | Path, name: str | None = None) -> Format:
    """Finds the format of a path by its ending, and checks the ending of a format that is given.

    Args:
        path: path of the exported model.
        name: a key of `FORMATS`. Defaults to None, which is the format of the ending.

    Raises:
        ValueError: no such format, or the ending is not that of the format.

    Example:

    >>> from keras_convnext.export.formats import find_format
    >>> find_format("model.tflite").title
    'LiteRT'
    """
    suffix = Path(path).suffix
    endings = ", ".join(f"{format.suffix or 'none (a folder)'} for {format.title}" for format in FORMATS.values())
    if name is None:
        found = next((format for format in FORMATS.values() if format.suffix == suffix), None)
        if found is None:
            raise ValueError(
                f"{path}: the ending does not name a format. Expected {endings}. For a SavedModel in a folder whose "
                "name has a dot, give `format=tf_saved_model`."
            )
        return found
    if name not in FORMATS:
        raise ValueError(f"`format` must be one of {', '.join(FORMATS)}. Received: format={name!r}")
    if FORMATS[name].suffix not in ("", suffix):
        raise ValueError(
            f"{path}: `format={name}` needs a name that ends in {FORMATS[name].suffix}. The endings are {endings}."
        )
    return FORMATS[name]
