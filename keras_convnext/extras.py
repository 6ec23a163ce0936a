"""Optional packages: imported where they are used, and asked for by the name of the extra that brings them."""

import importlib


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
