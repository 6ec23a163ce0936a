"""Recomputation: less is kept for the gradient, and computed anew from what was (arXiv:1604.06174)."""

import keras

from keras_convnext.layers.lowering import on_jax_cpu


def recomputed(function, weights, x):
    """`function(x)`, of which only x and the weights are kept for the gradient. The gradient is the same.

    TensorFlow's recomputation does not see variables that a function closes over. Random masks must stay outside: they
    would be drawn again.

    Args:
        function: function of x that uses the weights.
        weights: list of `keras.Variable`, all that it uses.
        x: tensor.
    """

    def pure(x, *values):
        with keras.StatelessScope(state_mapping=list(zip(weights, values, strict=True))):
            return function(x)

    return _remat(pure)(x, *[weight.value for weight in weights])


def _remat(function):
    if not on_jax_cpu():
        return keras.remat(function)
    from keras_convnext.layers.jax_remat import remat

    return remat(function)
