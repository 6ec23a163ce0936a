"""The kernels that TensorFlow's converters recognize: LiteRT's, OpenVINO's and tf2onnx's.

They make one fully connected layer, GELU or layer norm of each, also where sizes are unknown.
"""

import math

import tensorflow as tf

from keras_convnext.kernels.shared.exporting import is_exporting_for


def linear(x, kernel, bias, activation):
    """`activation(x @ kernel + bias)` over the last axis; both may be None."""
    if is_exporting_for("onnxruntime") and x.shape.rank == 4:
        y = tf.nn.conv2d(x, kernel[None, None], 1, "VALID")
        y = y if bias is None else tf.nn.bias_add(y, bias)
        return y if activation is None else activation(y)
    y = tf.matmul(x, kernel)
    y = y if bias is None else y + bias
    return y if activation is None else activation(y)


def gelu(x):
    """`x * Phi(x)`, by the error function. The complementary one, which Keras uses, is unknown to ONNX."""
    return 0.5 * x * (1.0 + tf.math.erf(x * math.sqrt(0.5)))


def layer_norm(x, gamma, beta, epsilon):
    """Normalizes the last axis; sums are float32 at least."""
    exact = tf.cast(x, tf.float64 if x.dtype == tf.float64 else tf.float32)
    centered = exact - tf.reduce_mean(exact, -1, keepdims=True)
    variance = tf.reduce_mean(tf.square(centered), -1, keepdims=True)
    normalized = centered / tf.sqrt(variance + epsilon)
    return tf.cast(normalized * tf.cast(gamma, exact.dtype) + tf.cast(beta, exact.dtype), x.dtype)
