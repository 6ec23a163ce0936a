"""The kernels for inference on TensorFlow's CPU, written so that its graph optimizer fuses them into oneDNN's kernels.

It fuses a matrix product with the bias and the GELU that follow, but only where all of them have two axes and the bias
is a `bias_add`; and a layer norm where it is written as a batch norm of training. `keras.ops` takes several passes.
"""

import tensorflow as tf


def depthwise_conv(x, kernel, bias, dilation):
    """Convolves at stride 1 with "same" padding.

    Args:
        x: `(batch, height, width, channels)`.
        kernel: `(side, side, channels, 1)`, `side` odd.
        bias: `(channels,)` or None.
        dilation: int, the distance of the taps.
    """
    y = tf.nn.depthwise_conv2d(x, kernel, (1, 1, 1, 1), "SAME", dilations=(dilation, dilation))
    return y if bias is None else tf.nn.bias_add(y, bias)


LAYER_NORM_TYPES = (tf.float32, tf.bfloat16)


def layer_norm(x, gamma, beta, epsilon):
    """Normalizes the last axis: each row as if it were a channel of a batch norm.

    The optimizer knows the layer norm by the scale of ones that the batch norm is given, as long as it is no constant:
    so the number of rows is kept from it. It knows it in float32 alone, to which bfloat16 is cast.
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
    """The shape of x with another last axis: numbers where they are known."""
    sizes = tf.shape(x)
    return [sizes[axis] if size is None else size for axis, size in enumerate(x.shape[:-1])] + [channels]
