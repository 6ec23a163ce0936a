"""What several commands share: kinds of arguments, checked as they are read, and an exit code."""

import argparse

INTERRUPTED = 130
"""The exit code after Ctrl-C, as shells have it."""


def positive(text):
    """A whole number from 1 up."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number from 1 up, got {text!r}")
    return int(text)
