"""Helper processes of this package: they import what the process that starts them imports, in whatever folder."""

import json
import os
import sys
from importlib.machinery import PathFinder
from pathlib import Path

PACKAGE = Path(__file__).absolute().parent

START = (
    "import json, pkgutil, signal, sys; signal.signal(signal.SIGINT, signal.SIG_IGN); "
    "sys.path[:] = json.loads(sys.argv.pop(1)); pkgutil.resolve_name(sys.argv.pop(1))(*sys.argv[1:])"
)
"""Ctrl-C goes to these processes too, from their first moment on: the process that started them answers it."""


def python_command(function, *arguments):
    """The command line of a process that calls a function.

    Args:
        function: str, such as `"keras_convnext.data.augment_workers:serve"`.
        *arguments: str, which the function is called with.

    Returns:
        A list of str, for `subprocess.Popen`.
    """
    return [sys.executable, "-P", "-c", START, json.dumps(import_path()), function, *arguments]


def import_path():
    """`sys.path` for another process, which finds the same packages with it as this one.

    Folders that stand in `sys.path` as relative paths, such as the current one of notebooks and prompts, come last:
    this process may have imported everything before it went there, so a `keras.py` in them must hide nothing. Where
    `keras_convnext` would then not be found, or another copy of it, its own folder comes first.
    """
    entries = [entry for entry in sys.path if isinstance(entry, str)]
    relative = [entry for entry in entries if not os.path.isabs(entry)]
    path = [entry for entry in entries if os.path.isabs(entry)]
    path += [os.path.abspath(entry) if os.path.exists(entry or os.curdir) else entry for entry in relative]
    found = PathFinder.find_spec(PACKAGE.name, path)
    is_this = found is not None and found.origin is not None and Path(found.origin).parent == PACKAGE
    return path if is_this else [str(PACKAGE.parent), *path]
