"""The norms, and Global Response Normalization. Their sums are float32 at least."""

import keras
from keras import ops

from keras_convnext.kernels.shared.exporting import is_exporting
from keras_convnext.typing import Tensor


def layer_norm(x: Tensor, gamma: Tensor, beta: Tensor, *, epsilon: float, training: bool = False) -> Tensor:
    """Layer normalization of the last axis: `(x - mean) / sqrt(var + epsilon) * gamma + beta`.

    Sums are float32 at least.

    Args:
        x: `(..., channels)`.
        gamma: `(channels,)`.
        beta: `(channels,)`.
        epsilon: keeps the division finite.
        training: whether gradients are likely to follow. Defaults to False.

    Example:

    >>> from keras import ops
    >>> from keras_convnext import kernels
    >>> x, one, zero = ops.array([[1.0, 3.0]]), ops.ones(2), ops.zeros(2)
    >>> print(ops.convert_to_numpy(kernels.layer_norm(x, one, zero, epsilon=1e-6)).round(3))
    [[-1.  1.]]
    """
    exact = _exact(x)
    centered = exact - ops.mean(exact, axis=-1, keepdims=True)
    variance = ops.mean(ops.square(centered), axis=-1, keepdims=True)
    normalized = centered * ops.rsqrt(variance + epsilon)
    return ops.cast(normalized * ops.cast(gamma, exact.dtype) + ops.cast(beta, exact.dtype), x.dtype)


def rms_norm(x: Tensor, gamma: Tensor, beta: Tensor | None = None, *, epsilon: float, training: bool = False) -> Tensor:
    """Root mean square normalization of the last axis: `x / sqrt(mean(x**2) + epsilon) * gamma`.

    Args:
        x: `(..., channels)`.
        gamma: `(channels,)`.
        beta: must be None. All norms have this argument, so that they are called alike. Defaults to None.
        epsilon: keeps the division finite.
        training: whether gradients are likely to follow. Defaults to False.

    Example:

    >>> from keras import ops
    >>> from keras_convnext import kernels
    >>> x, one = ops.array([[1.0, 3.0]]), ops.ones(2)
    >>> print(ops.convert_to_numpy(kernels.rms_norm(x, one, epsilon=1e-6)).round(3))
    [[0.447 1.342]]
    """
    exact = _exact(x)
    return _divided(exact, ops.mean(ops.square(exact), axis=-1, keepdims=True), gamma, epsilon, x.dtype)


def simple_norm(
    x: Tensor, gamma: Tensor, beta: Tensor | None = None, *, epsilon: float, training: bool = False
) -> Tensor:
    """Division by the standard deviation of the last axis: `x / sqrt(var(x) + epsilon) * gamma`, `var` unbiased.

    Args:
        x: `(..., channels)`, with two channels or more.
        gamma: `(channels,)`.
        beta: must be None, as for `rms_norm`. Defaults to None.
        epsilon: keeps the division finite.
        training: whether gradients are likely to follow. Defaults to False.

    Example:

    >>> from keras import ops
    >>> from keras_convnext import kernels
    >>> x, one = ops.array([[1.0, 3.0]]), ops.ones(2)
    >>> print(ops.convert_to_numpy(kernels.simple_norm(x, one, epsilon=1e-6)).round(3))
    [[0.707 2.121]]
    """
    exact, channels = _exact(x), x.shape[-1]
    variance = ops.var(exact, axis=-1, keepdims=True) * (channels / (channels - 1))
    return _divided(exact, variance, gamma, epsilon, x.dtype)


def _divided(exact, power, gamma, epsilon, dtype):
    return ops.cast(exact * ops.rsqrt(power + epsilon) * ops.cast(gamma, exact.dtype), dtype)


def grn(x: Tensor, gamma: Tensor, beta: Tensor, *, epsilon: float) -> Tensor:
    """Global Response Normalization: `x * (norm / (mean(norm) + epsilon)) * gamma + beta + x`.

    `norm` is taken over height and width, and its mean over the channels. Squares are summed in float32 at least,
    because 256 squared overflows float16. The gradient of a channel of zeros is zero, where that of a plain square root
    is NaN.

    Args:
        x: `(batch, height, width, channels)`.
        gamma: `(channels,)`.
        beta: `(channels,)`.
        epsilon: keeps the division finite.

    Example:

    >>> from keras import ops
    >>> from keras_convnext import kernels
    >>> y = kernels.grn(ops.ones((1, 7, 7, 8)), ops.ones(8), ops.zeros(8), epsilon=1e-6)
    >>> round(float(ops.mean(y)), 3)
    2.0
    """
    square_sum = ops.sum(ops.square(_exact(x)), axis=(1, 2), keepdims=True)
    if is_exporting():
        return scaled_by_response(x, ops.sqrt(square_sum), gamma, beta, epsilon)
    positive = square_sum > 0
    norm = ops.where(positive, ops.sqrt(ops.where(positive, square_sum, 1.0)), 0.0)
    return scaled_by_response(x, norm, gamma, beta, epsilon)


def scaled_by_response(x: Tensor, norm: Tensor, gamma: Tensor, beta: Tensor, epsilon: float) -> Tensor:
    """The second half of GRN, from the norm of each channel.

    Args:
        x: `(batch, height, width, channels)`.
        norm: `(batch, 1, 1, channels)`, float32 at least.
        gamma: `(channels,)`.
        beta: `(channels,)`.
        epsilon: keeps the division finite.
    """
    response = norm / (ops.mean(norm, axis=-1, keepdims=True) + epsilon)
    factor = ops.cast(1.0 + response * ops.cast(gamma, norm.dtype), x.dtype)
    return x * factor + ops.cast(beta, x.dtype)


def _exact(x: Tensor) -> Tensor:
    """x in float32, or in float64 if it is float64."""
    return ops.cast(x, keras.backend.result_type(x.dtype, "float32"))
