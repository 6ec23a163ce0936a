"""Recomputation of layers: only inputs and weights are kept for the gradient (arXiv:1604.06174)."""

from collections.abc import Callable

import keras

from keras_convnext import kernels
from keras_convnext.typing import Tensor


def recomputed(function: Callable, weights: list[keras.Variable], x: Tensor) -> Tensor:
    """`function(x)`, of which only x and the weights are kept for the gradient. The gradient is the same.

    `kernels.remat` takes pure functions; this wraps a function that reads variables. Random masks must stay outside:
    they would be sampled again.

    Args:
        function: function of x that uses the weights.
        weights: all that it uses.
        x: tensor.
    """

    values = [weight.value for weight in weights]
    has_gradient = ["float" in keras.backend.standardize_dtype(value.dtype) for value in values]

    def pure(x, *floats):
        """Integers, such as quantized kernels, have no gradient: they are not among the arguments."""
        floats = iter(floats)
        state = [next(floats) if one else value for one, value in zip(has_gradient, values, strict=True)]
        with keras.StatelessScope(state_mapping=list(zip(weights, state, strict=True))):
            return function(x)

    return kernels.remat(pure)(x, *[value for one, value in zip(has_gradient, values, strict=True) if one])
