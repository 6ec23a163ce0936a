"""The errors of TensorFlow's operations, which are not `RuntimeError`s."""

import contextlib

import tensorflow as tf

NODE = "\t [[{{node "
"""How the line begins after the one that says what went wrong; a traceback of the graph is before it."""


@contextlib.contextmanager
def as_runtime_errors():
    try:
        yield
    except tf.errors.OpError as error:
        before, node, _ = error.message.partition(NODE)
        line = before.rstrip().rpartition("\n")[2] if node else before.partition("\n")[0]
        raise RuntimeError(f"{type(error).__name__}: {line}") from error
