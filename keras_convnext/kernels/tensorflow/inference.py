"""The kernels for inference on TensorFlow's CPU, written so that its graph optimizer fuses them into oneDNN's kernels.

The optimizer fuses a matrix product with the bias and the GELU that follow, but only if all of them have two axes and
the bias is a `bias_add`. It fuses a layer norm if it is written as a batch norm in training. The functions of
`keras.ops` take several passes.
"""

import tensorflow as tf


def depthwise_conv(x, kernel, bias, dilation):
    """Convolves at stride 1 with "same" padding.

    Args:
        x: `(batch, height, width, channels)`.
        kernel: `(side, side, channels, 1)`, `side` odd.
        bias: `(channels,)` or None.
        dilation: int, the distance between the taps.
    """
    y = tf.nn.depthwise_conv2d(x, kernel, (1, 1, 1, 1), "SAME", dilations=(dilation, dilation))
    return y if bias is None else tf.nn.bias_add(y, bias)


LAYER_NORM_TYPES = (tf.float32, tf.bfloat16)


def layer_norm(x, gamma, beta, epsilon):
    """Normalizes the last axis. Each row is treated as a channel of a batch norm.

    The optimizer recognizes a layer norm by the batch norm's scale of ones, but only if that scale is not a constant,
    so the number of rows is hidden from the optimizer. It recognizes float32 only, to which bfloat16 is cast.
    """
    if x.dtype != tf.float32:
        x_32, gamma_32, beta_32 = (tf.cast(tensor, "float32") for tensor in (x, gamma, beta))
        return tf.cast(layer_norm(x_32, gamma_32, beta_32, epsilon), x.dtype)
    channels = gamma.shape[0]
    count = tf.raw_ops.PlaceholderWithDefault(input=tf.size(x) // channels, shape=())
    normalized, _, _ = tf.compat.v1.nn.fused_batch_norm(
        tf.reshape(x, tf.stack((1, count, channels, 1))),
        tf.fill((count,), 1.0),
        tf.fill((count,), 0.0),
        epsilon=epsilon,
        data_format="NCHW",
    )
    return tf.reshape(beta + tf.reshape(normalized, (-1, channels)) * gamma, _shape(x, channels))


def linear(x, kernel, bias, activation):
    """`activation(x @ kernel + bias)` over the last axis; both may be None."""
    inputs, units = kernel.shape
    y = tf.matmul(tf.reshape(x, (-1, inputs)), kernel)
    y = y if bias is None else tf.nn.bias_add(y, bias)
    return tf.reshape(y if activation is None else activation(y), _shape(x, units))


def _shape(x, channels):
    """The shape of x with another last axis. Sizes are numbers if they are known."""
    sizes = tf.shape(x)
    return [sizes[axis] if size is None else size for axis, size in enumerate(x.shape[:-1])] + [channels]
