"""Recomputing layers: only their inputs and weights are kept for the backward pass (arXiv:1604.06174)."""

from collections.abc import Callable

import keras

from keras_convnext import kernels
from keras_convnext.typing import Tensor


def recomputed(function: Callable, weights: list[keras.Variable], x: Tensor) -> Tensor:
    """Computes `function(x)`, and keeps only x and the weights for the backward pass. The gradient is the same.

    `kernels.remat` takes pure functions; this function takes one that reads variables. Random masks must be sampled
    outside of it: they would be sampled again when it is recomputed.

    Args:
        function: function of x that uses the weights.
        weights: all variables that the function uses.
        x: tensor.
    """

    values = [weight.value for weight in weights]
    has_gradient = ["float" in keras.backend.standardize_dtype(value.dtype) for value in values]

    def pure(x, *floats):
        """The function of x and the float weights. Integer weights, such as quantized kernels, have no gradient."""
        floats = iter(floats)
        state = [next(floats) if one else value for one, value in zip(has_gradient, values, strict=True)]
        with keras.StatelessScope(state_mapping=list(zip(weights, state, strict=True))):
            return function(x)

    return kernels.remat(pure)(x, *[value for one, value in zip(has_gradient, values, strict=True) if one])
