"""Optional packages. They are imported where they are used, and the error for a missing one names its extra."""

import importlib
import importlib.util
import json
import os
import sys
from pathlib import Path

BACKENDS = ("tensorflow", "jax", "torch")
KERAS_BACKENDS = (*BACKENDS, "numpy", "openvino")
BACKENDS_IN_WORDS = "tensorflow, jax or torch"

UNTOUCHED = {"floatx": "float32", "epsilon": 1e-07, "backend": "tensorflow", "image_data_format": "channels_last"}
"""The `keras.json` that Keras writes by itself when it is first imported, whatever backend is installed."""


def require(module, extra):
    """Imports `module`, or raises an error that says which extra to install.

    Args:
        module: str, the name to import.
        extra: str, the extra of this package that installs it.

    Raises:
        ModuleNotFoundError: the module is not installed.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name != module.partition(".")[0]:
            raise
        raise ModuleNotFoundError(
            f'This needs {error.name}, which is not installed: pip install "keras-convnext[{extra}]"', name=error.name
        ) from error


def is_installed(package):
    """Whether a package is installed, without importing it.

    A script or a folder of the same name on `sys.path`, such as a user's own `jax.py`, does not count.

    Args:
        package: str, the name to import, without dots.
    """
    try:
        spec = importlib.util.find_spec(package)
    except (ModuleNotFoundError, ValueError):  # a finder that hides it; a module without a spec
        return False
    return spec is not None and spec.origin is not None and spec.submodule_search_locations is not None


def import_keras():
    """Imports Keras, or raises an error that says why it cannot be imported: a missing backend or an invalid setting.

    Raises:
        ModuleNotFoundError: Keras or its backend is not installed.
        ValueError: `KERAS_BACKEND` or `keras.json` has an invalid value.
        ImportError: Keras or its backend is installed, but cannot be imported.
    """
    try:
        return importlib.import_module("keras")
    except ModuleNotFoundError as error:
        if error.name in (None, "keras"):
            raise
        backend = _backend()[0]
        extra = next((name for name in (error.name, backend) if name in BACKENDS), None)
        raise ModuleNotFoundError(
            f"{_backend_in_words()} needs {error.name}, which is not installed{_what_to_do(extra)}", name=error.name
        ) from error
    except (ImportError, ValueError, TypeError, AttributeError, OSError) as error:
        if problem := _problem_of_settings():
            raise ValueError(problem) from error
        raise ImportError(f"{_backend_in_words()} is installed, but cannot be imported: {error}") from error


def _what_to_do(extra):
    """The end of the message: how to choose a backend that is installed, and which extra to install."""
    install = f'pip install "keras-convnext[{extra}]"' if extra else f"install {BACKENDS_IN_WORDS}"
    installed = [name for name in BACKENDS if name != extra and is_installed(name)]
    if not installed:
        return f": {install}"
    first = installed[0]
    return (
        f". Installed: {', '.join(installed)}. Set it before Keras is imported: KERAS_BACKEND={first} in the "
        f'environment, or `os.environ["KERAS_BACKEND"] = "{first}"` in the program. Or: {install}'
    )


def import_torchvision():
    """Imports torchvision, also where its compiled operators do not load.

    They do not load with another build of torch than they were compiled for, such as one without CUDA. A ConvNeXt does
    not need them, but the import of torchvision fails unless two of them are declared. timm imports torchvision too, so
    call this function before importing timm.

    Returns:
        The module `torchvision`.

    Raises:
        ModuleNotFoundError: torchvision is not installed.
    """
    try:
        return require("torchvision", extra="dev")
    except RuntimeError:
        from torch.library import Library

        for name in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
            del sys.modules[name]
        library = Library("torchvision", "DEF")
        for name in ("nms", "qnms"):
            library.define(f"{name}(Tensor boxes, Tensor scores, float threshold) -> Tensor")
        return importlib.import_module("torchvision")


def chosen_backend() -> str | None:
    """The backend that `KERAS_BACKEND` or `keras.json` names; None if neither names one.

    A `keras.json` that Keras wrote itself, and that nobody changed, does not count.
    """
    name, place = _backend()
    untouched = not os.environ.get("KERAS_BACKEND") and _keras_json()[1] == UNTOUCHED
    return name if place and not untouched else None


def _backend_in_words():
    """The backend that Keras looks for, and where it was set, in words."""
    name, place = _backend()
    return f"Keras's backend {name}{place and f', which {place} names,'}"


def _backend():
    """The backend's name, and what names it: `KERAS_BACKEND`, the path of `keras.json`, or `""` for Keras's default."""
    if os.environ.get("KERAS_BACKEND"):
        return os.environ["KERAS_BACKEND"], "KERAS_BACKEND"
    path, settings = _keras_json()
    if isinstance(settings, dict) and "backend" in settings:
        return settings["backend"], str(path)
    return "tensorflow", ""


def _keras_json():
    """The path of Keras's file of settings, and what it holds; None where it cannot be read."""
    home = os.environ.get("KERAS_HOME") or os.path.join(os.path.expanduser("~"), ".keras")
    path = Path(home).expanduser() / "keras.json"
    try:
        return path, json.loads(path.read_text())
    except (OSError, ValueError):
        return path, None


def _problem_of_settings():
    """Describes an invalid setting of Keras; None if there is none."""
    path, settings = _keras_json()
    if path.exists() and settings is not None and not isinstance(settings, dict):
        return f"{path}: expected an object of Keras's settings. Fix the file, or remove it: Keras writes a new one."
    expected = {
        "floatx": lambda value: value in ("float16", "float32", "float64"),
        "epsilon": lambda value: isinstance(value, float),
        "image_data_format": lambda value: value in ("channels_last", "channels_first"),
    }
    for name, is_right in expected.items():
        if settings and name in settings and not is_right(settings[name]):
            return f"{path}: Keras does not take {name}={settings[name]!r}. Fix the file, or remove it."
    backend, place = _backend()
    if backend not in KERAS_BACKENDS:
        return f"{place}: Keras has no backend {backend!r}. Expected {BACKENDS_IN_WORDS}."
    if path.is_dir() or (path.exists() and settings is None):
        return f"{path}: not a file that Keras can read. Fix it, or remove it: Keras writes a new one."
    return None
