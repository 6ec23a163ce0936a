"""Turning the errors of TensorFlow's operations into `RuntimeError`s."""

import contextlib

import tensorflow as tf

NODE = "\t [[{{node "
"""The start of the line after the one with the error. A traceback of the graph precedes both."""


@contextlib.contextmanager
def as_runtime_errors():
    """See the reference."""
    try:
        yield
    except tf.errors.OpError as error:
        before, node, _ = error.message.partition(NODE)
        line = before.rstrip().rpartition("\n")[2] if node else before.partition("\n")[0]
        raise RuntimeError(f"{type(error).__name__}: {line}") from error
