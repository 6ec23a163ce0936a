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

    values = [weight.value for weight in weights]
    has_gradient = ["float" in keras.backend.standardize_dtype(value.dtype) for value in values]

    def pure(x, *floats):
        """Integers, such as quantized kernels, have no gradient: they are no arguments."""
        floats = iter(floats)
        state = [next(floats) if one else value for one, value in zip(has_gradient, values, strict=True)]
        with keras.StatelessScope(state_mapping=list(zip(weights, state, strict=True))):
            return function(x)

    return _remat(pure)(x, *[value for one, value in zip(has_gradient, values, strict=True) if one])


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
