"""Helper processes of this package. In any folder, they import the same packages as the process that starts them."""

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
"""The program of a helper process. It ignores Ctrl-C from the start, and leaves it to the process that started it."""


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
    """The `sys.path` with which another process finds the same packages as this one.

    Relative paths in `sys.path`, such as the current folder of notebooks and prompts, come last: this process may have
    imported Keras before it changed to that folder, so a `keras.py` there must not hide Keras. If this would find no
    `keras_convnext`, or another copy of it, the folder of this copy comes first.
    """
    entries = [entry for entry in sys.path if isinstance(entry, str)]
    relative = [entry for entry in entries if not os.path.isabs(entry)]
    path = [entry for entry in entries if os.path.isabs(entry)]
    path += [os.path.abspath(entry) if os.path.exists(entry or os.curdir) else entry for entry in relative]
    found = PathFinder.find_spec(PACKAGE.name, path)
    is_this = found is not None and found.origin is not None and Path(found.origin).parent == PACKAGE
    return path if is_this else [str(PACKAGE.parent), *path]
