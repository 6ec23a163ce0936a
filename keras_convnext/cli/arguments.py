"""What several commands share: kinds of arguments, checked as they are read, files to write, and an exit code."""

import argparse
import os
from pathlib import Path

from keras_convnext.extras import require
from keras_convnext.startup import INTERRUPTED as INTERRUPTED

CLOSED_PIPE = 141
"""The exit code, as shells have it, where what is printed goes to a command that has ended, such as `head`."""


def positive(text):
    """A whole number from 1 up."""
    return _at_least(1, text)


def not_negative(text):
    """A whole number from 0 up."""
    return _at_least(0, text)


def fraction(text):
    """A number from 0 up, below 1."""
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0 <= number < 1:
        raise argparse.ArgumentTypeError(f"expected a number from 0 up, below 1, got {text!r}")
    return number


def check_picture(path):
    """Refuses a path that no picture can be drawn into by matplotlib.

    Raises:
        ValueError: another ending than .png, .svg or .pdf; and as `check_file`.
        ModuleNotFoundError: matplotlib is not installed.
    """
    require("matplotlib", extra="cli")
    check_file(path, (".png", ".svg", ".pdf"))


def check_file(path, suffixes=None):
    """Refuses a path that no file can be written to. A file that is there will be replaced.

    Args:
        path: str or `Path`.
        suffixes: tuple of str, the endings that the name may have. Defaults to None: any.

    Raises:
        ValueError: an empty name, another ending, no such folder, a folder, or one that cannot be written.
    """
    if not str(path):
        raise ValueError("expected the name of a file to write, got an empty one.")
    path = Path(path)
    if suffixes and path.suffix.lower() not in suffixes:
        raise ValueError(f"{path}: expected a name that ends in {', '.join(suffixes[:-1])} or {suffixes[-1]}.")
    folder = path.absolute().parent
    if not folder.is_dir():
        raise ValueError(f"{path.parent}: no such folder.")
    if path.is_dir():
        raise ValueError(f"{path}: expected the name of a file to write, got a folder.")
    if not os.access(path if path.exists() else folder, os.W_OK):
        raise ValueError(f"{path}: cannot be written.")


def check_new_file(path):
    """The same of a file that must not be there.

    Raises:
        ValueError: there is something already; and as `check_file`.
    """
    if str(path) and Path(path).exists():
        raise ValueError(f"{path}: there is such a file. Give a new name, or move it away.")
    check_file(path)


def _at_least(least, text):
    if not text.isdecimal() or int(text) < least:
        raise argparse.ArgumentTypeError(f"expected a whole number from {least} up, got {text!r}")
    return int(text)
