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
