"""The functions between the norms: convolution, linear layer, activation, scale, mean, and patches of a map."""

from collections.abc import Callable

import keras
from keras import ops

from keras_convnext.kernels.shared.exporting import is_exporting
from keras_convnext.typing import Tensor


def depthwise_conv(x: Tensor, kernel: Tensor, bias: Tensor | None, *, dilation: int, training: bool = False) -> Tensor:
    """Convolves each channel with its own kernel, at stride 1 and with "same" padding.

    Args:
        x: `(batch, height, width, channels)`.
        kernel: `(side, side, channels, 1)`, `side` odd.
        bias: `(channels,)` or None.
        dilation: the distance between the taps of the kernel, in pixels.
        training: whether gradients are likely to follow. Defaults to False.

    Example:

    >>> from keras import ops
    >>> from keras_convnext import kernels
    >>> x, kernel = ops.ones((1, 14, 14, 8)), ops.ones((7, 7, 8, 1))
    >>> tuple(kernels.depthwise_conv(x, kernel, None, dilation=1).shape)
    (1, 14, 14, 8)
    """
    y = ops.depthwise_conv(x, kernel, strides=1, padding="same", data_format="channels_last", dilation_rate=dilation)
    return y if bias is None else y + bias


def linear(
    x: Tensor, kernel: Tensor, bias: Tensor | None, *, activation: Callable | None = None, training: bool = False
) -> Tensor:
    """A linear layer over the last axis: `activation(x @ kernel + bias)`.

    Args:
        x: `(..., inputs)`.
        kernel: `(inputs, units)`.
        bias: `(units,)` or None.
        activation: elementwise function, such as `gelu`; None for no activation. Defaults to None.
        training: whether gradients are likely to follow. Defaults to False.

    Example:

    >>> from keras import ops
    >>> from keras_convnext import kernels
    >>> y = kernels.linear(ops.ones((2, 4)), ops.ones((4, 3)), ops.ones(3), activation=kernels.gelu)
    >>> tuple(y.shape)
    (2, 3)
    """
    y = ops.matmul(x, kernel)
    y = y if bias is None else y + bias
    return y if activation is None else activation(y)


def gelu(x: Tensor, *, training: bool = False) -> Tensor:
    """The exact Gaussian error linear unit `x * Phi(x)`, with the normal distribution's cumulative function `Phi`.

    Args:
        x: of any shape.
        training: whether gradients are likely to follow. Defaults to False.

    Example:

    >>> from keras import ops
    >>> from keras_convnext import kernels
    >>> print(ops.convert_to_numpy(kernels.gelu(ops.array([-1.0, 0.0, 1.0]))).round(3))
    [-0.159  0.     0.841]
    """
    return ops.gelu(x, approximate=False)


def layer_scale(x: Tensor, gamma: Tensor) -> Tensor:
    """Layer scale: `gamma * x`, multiplied in the type of gamma, because float16 has few bits for a scale of 1e-6.

    Args:
        x: `(..., channels)`.
        gamma: `(channels,)`.

    Example:

    >>> from keras import ops
    >>> from keras_convnext import kernels
    >>> print(ops.convert_to_numpy(kernels.layer_scale(ops.array([[2.0, 4.0]]), ops.array([0.5, 0.25]))))
    [[1. 1.]]
    """
    return ops.cast(ops.cast(x, gamma.dtype) * gamma, x.dtype)


def global_mean(x: Tensor) -> Tensor:
    """The mean over height and width.

    Args:
        x: `(batch, height, width, channels)`.

    Returns:
        `(batch, channels)`.

    Example:

    >>> from keras import ops
    >>> from keras_convnext import kernels
    >>> tuple(kernels.global_mean(ops.ones((2, 7, 7, 8))).shape)
    (2, 8)
    """
    if is_exporting():  # another runtime may sum in float16, which overflows
        return ops.cast(ops.mean(ops.cast(x, keras.backend.result_type(x.dtype, "float32")), axis=(1, 2)), x.dtype)
    return ops.mean(x, axis=(1, 2))


def patches(x: Tensor, side: int) -> Tensor:
    """Cuts a map into square patches that do not overlap. Rows and columns that do not fill a patch are dropped.

    Args:
        x: `(batch, height, width, channels)`.
        side: side of a patch in pixels.

    Returns:
        `(batch, height // side, width // side, side * side * channels)`.
    """
    batch, height, width, channels = ops.shape(x)
    down, across = height // side, width // side
    x = x[:, : down * side, : across * side]
    x = ops.reshape(x, (batch, down, side, across, side, channels))
    return ops.reshape(ops.transpose(x, (0, 1, 3, 2, 4, 5)), (batch, down, across, side * side * channels))
