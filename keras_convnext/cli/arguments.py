"""What several commands share: types of arguments with their checks, options in messages, and files to write."""

import argparse
import contextlib
import os
import re
import signal
import threading
from pathlib import Path

from keras_convnext.extras import require
from keras_convnext.new_paths import check_new_path
from keras_convnext.startup import INTERRUPTED as INTERRUPTED
from keras_convnext.training.failures import original_errors

FAILURES = (OSError, RuntimeError, MemoryError)
"""What ends a training from outside: a disk, a process, too little memory. It can be resumed."""

CLOSED_PIPE = 141
"""The exit code, as in shells, if the output goes to a command that has ended, such as `head`."""

OPTIONS = {
    "batch_size": "--batch",
    "learning_rate": "--lr",
    "drop_path_rate": "--drop-path",
    "image_size": "--size",
    "skip_bad": "--skip-unreadable",
    **{
        name: f"--{name.replace('_', '-')}"
        for name in [
            "accumulate",
            "checkpoint",
            "cutmix",
            "data",
            "distribute",
            "dtype",
            "ema",
            "epochs",
            "format",
            "freeze",
            "mixup",
            "output",
            "preprocess",
            "recipe",
            "remat",
            "seed",
            "seeds",
            "size",
            "skip_unreadable",
            "softmax",
            "stem",
            "steps",
            "tensorboard",
            "variant",
            "width_divisor",
        ]
    },
}
"""The option of the command line for each argument of the library."""

QUOTES = "\"'"

DESTINATIONS = {"image_size": "size", "skip_bad": "skip_unreadable"}
"""The attributes of the parsed arguments, where their names differ from the library's."""


class BackendError(Exception):
    """An error of the backend while it computed, such as too little memory. It becomes one line and exit code 1."""


@contextlib.contextmanager
def backend_errors():
    """A context for computing with a model outside of a training, which catches the backend's errors itself.

    Raises:
        BackendError: the backend failed, for example with too little memory.
    """
    try:
        with original_errors():
            yield
    except RuntimeError as error:
        raise BackendError(str(error)) from error


@contextlib.contextmanager
def terminated_as_interrupted():
    """A context in which SIGTERM, as `kill` and `docker stop` send it, is a `KeyboardInterrupt`: files are removed.

    In a thread other than the main one, where Python handles no signals, it has no effect.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def in_options(message, args):
    """A message of the library, with options where it names arguments: ``--lr`` for `` `learning_rate` ``.

    Arguments stay as they are if the command has no option for them, or if they are in a file of `--settings`.

    Args:
        message: str, in which the names of arguments are between backquotes, alone or with their values.
        args: `argparse.Namespace` of the command.
    """
    from_file = getattr(args, "settings", None)
    known = {
        name: option
        for name, option in OPTIONS.items()
        if hasattr(args, destination := DESTINATIONS.get(name, name))
        and (not from_file or getattr(args, destination) not in (None, False))
    }

    def option(match):
        name, value = match["name"], match["value"]
        if name not in known:
            return match[0]
        return known[name] if value in (None, "True") else f"{known[name]} {value.strip(QUOTES)}"

    return re.sub(r"`(?P<name>\w+)(?:=(?P<value>[^`]*))?`", option, message)


def sentence(error):
    """The message of an error, with a full stop."""
    message = "not enough memory" if isinstance(error, MemoryError) else str(error)
    return f"{message.rstrip('.')}."


def positive(text):
    """A whole number from 1 up."""
    return _at_least(1, text)


def not_negative(text):
    """A whole number from 0 up."""
    return _at_least(0, text)


def fraction(text):
    """A number from 0 up, below 1."""
    number = _number(text)
    if not 0 <= number < 1:
        raise argparse.ArgumentTypeError(f"expected a number from 0 up, below 1, got {text!r}")
    return number


def rate(text):
    """A number from 0 up."""
    number = _number(text)
    if not 0 <= number < float("inf"):
        raise argparse.ArgumentTypeError(f"expected a number from 0 up, got {text!r}")
    return number


def add_skip_unreadable(parser):
    """Adds the option of all commands that read image files."""
    parser.add_argument(
        "--skip-unreadable",
        action="store_true",
        help="leave out image files that cannot be read and annotations that cannot be used, and name them",
    )


def check_new_figure(path):
    """Refuses a path to which matplotlib cannot write a new figure.

    Raises:
        ValueError: another ending than .png, .svg or .pdf; and as for `check_new_file`.
        ModuleNotFoundError: matplotlib is not installed.
    """
    require("matplotlib", extra="cli")
    check_new_file(path, (".png", ".svg", ".pdf"))


def check_new_file(path, suffixes=None):
    """Refuses a path to which no new file can be written. No command overwrites a file.

    Args:
        path: str or `Path`.
        suffixes: tuple of str, the endings that the name may have. Defaults to None: any.

    Raises:
        ValueError: an empty name, another ending, a path that exists already, or a folder that does not exist or
            cannot be written.
    """
    if not str(path):
        raise ValueError("expected the name of a file to write, got an empty one.")
    path = Path(path)
    if suffixes and path.suffix.lower() not in suffixes:
        raise ValueError(f"{path}: expected a name that ends in {', '.join(suffixes[:-1])} or {suffixes[-1]}.")
    check_new_path(path)
    folder = path.absolute().parent
    if not folder.is_dir():
        raise ValueError(f"{path.parent}: no such folder.")
    if not os.access(folder, os.W_OK):
        raise ValueError(f"{path}: cannot be written.")


def _number(text):
    """The number, or -1 if the text is not a number."""
    try:
        return float(text)
    except ValueError:
        return -1.0


def _at_least(least, text):
    if not text.isdecimal() or int(text) < least:
        raise argparse.ArgumentTypeError(f"expected a whole number from {least} up, got {text!r}")
    return int(text)
