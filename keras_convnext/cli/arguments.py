"""What several commands share: kinds of arguments, checked as they are read."""

import argparse
from pathlib import Path

from keras_convnext.extras import require
from keras_convnext.startup import INTERRUPTED as INTERRUPTED


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
    """Refuses a path that no picture can be drawn into.

    Raises:
        ValueError: another ending than .png, .svg or .pdf, or no such folder.
        ModuleNotFoundError: matplotlib is not installed.
    """
    require("matplotlib", extra="cli")
    if Path(path).suffix.lower() not in (".png", ".svg", ".pdf"):
        raise ValueError(f"{path or 'an empty name'}: expected a name that ends in .png, .svg or .pdf.")
    if not Path(path).absolute().parent.is_dir():
        raise ValueError(f"{Path(path).parent}: no such folder.")


def _at_least(least, text):
    if not text.isdecimal() or int(text) < least:
        raise argparse.ArgumentTypeError(f"expected a whole number from {least} up, got {text!r}")
    return int(text)
