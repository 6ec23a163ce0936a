"""Whether TensorFlow's forward mode differentiates a tensor.

Inside a graph and outside of one, forward mode finds the derivative of a custom gradient in different ways. A function
whose gradient supports neither asks here, and in forward mode uses operations that TensorFlow differentiates itself.
"""

import tensorflow as tf
from tensorflow.python.eager import forwardprop_util


def in_forward_mode(*tensors):
    """Whether a `tf.autodiff.ForwardAccumulator` has a tangent for one of the tensors."""
    return bool(forwardprop_util.pack_tangents([tf.convert_to_tensor(tensor) for tensor in tensors]).tangents)
