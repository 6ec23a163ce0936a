"""Whether TensorFlow's forward mode passes through a tensor.

It looks for a custom gradient's derivative within the gradient, or transposes it, as it finds itself in a graph or not.
Where neither serves, a function asks here, and takes operations that TensorFlow differentiates by itself.
"""

import tensorflow as tf
from tensorflow.python.eager import forwardprop_util


def in_forward_mode(*tensors):
    """Whether a `tf.autodiff.ForwardAccumulator` has a tangent for one of the tensors."""
    return bool(forwardprop_util.pack_tangents([tf.convert_to_tensor(tensor) for tensor in tensors]).tangents)
