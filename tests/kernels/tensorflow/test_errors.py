"""Errors of TensorFlow's operations as `RuntimeError`s, with the line that says what went wrong."""

import pytest
import tensorflow as tf

from keras_convnext.kernels.tensorflow.errors import as_runtime_errors

MESSAGES = [
    "OOM when allocating tensor with shape[8] [Op:Fill]\nHint: a list",
    "Graph execution error:\n\nDetected at node zeros\n\nOOM when allocating tensor with shape[8] [Op:Fill]\n"
    "\t [[{{node zeros}}]]\nHint: a list",
]


@pytest.mark.parametrize("message", MESSAGES, ids=["eager", "graph"])
def test_says_what_went_wrong(message):
    with pytest.raises(RuntimeError) as caught, as_runtime_errors():
        raise tf.errors.ResourceExhaustedError(None, None, message)
    assert str(caught.value) == "ResourceExhaustedError: OOM when allocating tensor with shape[8] [Op:Fill]"


def test_other_errors_stay():
    with pytest.raises(ValueError, match="other"), as_runtime_errors():
        raise ValueError("other")
