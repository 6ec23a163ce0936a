"""Recomputation: less is kept for the gradient, and computed anew from what was (arXiv:1604.06174)."""

import keras

from keras_convnext.layers.lowering import on_jax_cpu, on_tensorflow_cpu, on_torch


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
    if on_torch():
        from keras_convnext.layers.torch_remat import remat
    elif on_jax_cpu():
        from keras_convnext.layers.jax_remat import remat
    elif on_tensorflow_cpu():
        from keras_convnext.layers.tensorflow_remat import remat
    else:
        remat = keras.remat
    return remat(function)
