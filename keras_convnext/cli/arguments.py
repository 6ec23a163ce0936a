"""What several commands share: kinds of arguments, checked as they are read, and an exit code."""

import argparse

INTERRUPTED = 130
"""The exit code after Ctrl-C, as shells have it."""


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


def _at_least(least, text):
    if not text.isdecimal() or int(text) < least:
        raise argparse.ArgumentTypeError(f"expected a whole number from {least} up, got {text!r}")
    return int(text)
