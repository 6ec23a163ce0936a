"""Optional packages: imported where they are used, and asked for by the name of the extra that brings them."""

import importlib
import importlib.util


def require(module, extra):
    """Imports `module`, or says which extra to install.

    Args:
        module: str, the name to import.
        extra: str, the extra of this package that brings it.

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
    """Whether a package is there, without importing it.

    A script or a folder of the same name that lies on `sys.path`, such as a user's own `jax.py`, is no package.

    Args:
        package: str, the name to import, without dots.
    """
    try:
        spec = importlib.util.find_spec(package)
    except (ModuleNotFoundError, ValueError):  # a finder that hides it; a module without a spec
        return False
    return spec is not None and spec.origin is not None and spec.submodule_search_locations is not None


def import_keras():
    """Imports Keras, or says how to bring the backend that it looks for: TensorFlow, unless it is told another.

    Raises:
        ModuleNotFoundError: Keras or its backend is not installed.
    """
    try:
        return importlib.import_module("keras")
    except ModuleNotFoundError as error:
        if error.name not in ("tensorflow", "jax", "torch"):
            raise
        raise ModuleNotFoundError(
            f"Keras looks for the backend {error.name}, which is not installed: pip install "
            f'"keras-convnext[{error.name}]", or set KERAS_BACKEND to tensorflow, jax or torch, whichever is there.',
            name=error.name,
        ) from error
