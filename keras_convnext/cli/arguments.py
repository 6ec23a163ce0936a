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


def _at_least(least, text):
    if not text.isdecimal() or int(text) < least:
        raise argparse.ArgumentTypeError(f"expected a whole number from {least} up, got {text!r}")
    return int(text)
