"""The kernels for training on TensorFlow's CPU, compiled by XLA where that is faster.

TensorFlow takes one pass over memory for each operation in a layer norm or a GELU, which makes a dozen for GELU and its
gradient, and keeps the arrays between them. XLA fuses the operations into one loop. Only the inputs are kept for the
gradient.
"""

import math

import tensorflow as tf

from keras_convnext.kernels.shared.depthwise_kernel_gradient import kernel_gradient
from keras_convnext.kernels.tensorflow.forward_mode import in_forward_mode


def serves(x):
    """Whether x is floating-point with known sizes except the batch, because XLA compiles once per shape."""
    return x.dtype.is_floating and None not in x.shape[1:]


def depthwise_conv(x, kernel, bias):
    """Convolves at stride 1 with "same" padding by TensorFlow's convolution. XLA computes the kernel's gradient.

    Args:
        x: `(batch, height, width, channels)`.
        kernel: `(side, side, channels, 1)`, `side` odd.
        bias: `(channels,)` or None.
    """

    @tf.custom_gradient
    def convolved(x, kernel):
        def gradients(gradient):
            grad_kernel = _kernel_gradient_op(x, gradient, kernel.shape[0])
            return _input_gradient(x, kernel, gradient), tf.cast(grad_kernel, kernel.dtype)

        return _convolve(x, kernel), gradients

    y = convolved(x, tf.convert_to_tensor(kernel))
    return y if bias is None else tf.nn.bias_add(y, bias)


@tf.custom_gradient
def gelu(x):
    """`x * Phi(x)`."""
    return _gelu(x), lambda gradient: _gelu_gradient(x, gradient)


def layer_norm(x, gamma, beta, epsilon):
    """Normalizes the last axis; sums are float32 at least.

    Args:
        x: `(..., channels)`.
        gamma: `(channels,)`.
        beta: `(channels,)`.
        epsilon: float.
    """

    @tf.custom_gradient
    def normalized(x, gamma, beta):
        return _layer_norm(x, gamma, beta, epsilon), lambda gradient: _layer_norm_gradient(x, gamma, epsilon, gradient)

    return normalized(x, tf.convert_to_tensor(gamma), tf.convert_to_tensor(beta))


KERNEL_OPTIONS = {"strides": [1, 1, 1, 1], "padding": "SAME"}


def _convolve(x, kernel):
    return tf.raw_ops.DepthwiseConv2dNative(input=x, filter=kernel, **KERNEL_OPTIONS)


def _input_gradient(x, kernel, gradient):
    return tf.raw_ops.DepthwiseConv2dNativeBackpropInput(
        input_sizes=tf.shape(x), filter=kernel, out_backprop=gradient, **KERNEL_OPTIONS
    )


def _kernel_gradient_op(x, gradient, side):
    """The kernel's gradient by XLA. TensorFlow cannot differentiate XLA's loop, so its own gradient is given too."""
    if in_forward_mode(x, gradient):
        sizes = (side, side, x.shape[-1], 1)
        return tf.raw_ops.DepthwiseConv2dNativeBackpropFilter(
            input=x, filter_sizes=sizes, out_backprop=gradient, **KERNEL_OPTIONS
        )

    @tf.custom_gradient
    def by_xla(x, gradient):
        def gradients(grad_result):
            grad_result = tf.cast(grad_result, x.dtype)
            return _input_gradient(x, grad_result, gradient), _convolve(x, grad_result)

        unrecorded = tf.stop_gradient(x), tf.stop_gradient(gradient)
        return _kernel_gradient(*unrecorded, side), gradients

    return by_xla(x, gradient)


@tf.function(jit_compile=True)
def _kernel_gradient(x, gradient, side):
    return kernel_gradient(x, gradient, side, dilation=1)[..., None]


def _phi(x):
    """The normal distribution's cumulative function. XLA's error function does not reach -1, so the tail is cut."""
    return tf.where(x < -5.6, tf.zeros((), x.dtype), 0.5 * (1 + tf.math.erf(x * math.sqrt(0.5))))


@tf.function(jit_compile=True)
def _gelu(x):
    exact = _exact(x)
    return tf.cast(exact * _phi(exact), x.dtype)


@tf.function(jit_compile=True)
def _gelu_gradient(x, gradient):
    exact = _exact(x)
    density = tf.exp(-0.5 * exact * exact) / math.sqrt(2 * math.pi)
    return tf.cast(_exact(gradient) * (_phi(exact) + exact * density), x.dtype)


@tf.function(jit_compile=True)
def _layer_norm(x, gamma, beta, epsilon):
    normalized, _ = _normalized(_exact(x), epsilon)
    return tf.cast(normalized * _exact(gamma) + _exact(beta), x.dtype)


@tf.function(jit_compile=True)
def _layer_norm_gradient(x, gamma, epsilon, gradient):
    channels = x.shape[-1]
    exact = tf.reshape(_exact(gradient), (-1, channels))
    normalized, scale = _normalized(tf.reshape(_exact(x), (-1, channels)), epsilon)
    grad_normalized = exact * _exact(gamma)
    along = tf.reduce_mean(grad_normalized * normalized, -1, keepdims=True)
    grad_x = scale * (grad_normalized - tf.reduce_mean(grad_normalized, -1, keepdims=True) - normalized * along)
    return (
        tf.cast(tf.reshape(grad_x, tf.shape(x)), x.dtype),
        tf.cast(tf.reduce_sum(exact * normalized, 0), gamma.dtype),
        tf.cast(tf.reduce_sum(exact, 0), gamma.dtype),
    )


def _normalized(x, epsilon):
    """x with mean 0 and variance 1, and its factor."""
    centered = x - tf.reduce_mean(x, -1, keepdims=True)
    scale = tf.math.rsqrt(tf.reduce_mean(centered * centered, -1, keepdims=True) + epsilon)
    return centered * scale, scale


def _exact(x):
    """x in float32, or in float64 if it is float64."""
    return tf.cast(x, x.dtype if x.dtype == tf.float64 else tf.float32)
