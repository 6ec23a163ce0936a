"""Recomputation on JAX's CPU, some images after the other.

`jax.checkpoint` separates the second computation from the first by a barrier. On CPU XLA takes it away early, finds the
two equal, and keeps the first.

This file imports jax: it is imported where the backend is JAX.
"""

import jax
from jax import numpy as jnp

from keras_convnext.layers.batch_parts import batch_parts
from keras_convnext.layers.jax_computed_once import computed_once
from keras_convnext.layers.jax_gradient import with_gradient


def remat(function):
    """`function(x, *weights)`, of whose call only the arguments are kept for the gradient.

    Args:
        function: of x and arrays; what it makes of an image of x is not to depend on the others. It may close over
            nothing that has a gradient.
    """

    def gradients(*operands):
        arguments, gradient = operands[:-1], operands[-1]
        return computed_once(lambda: _gradients(function, arguments, gradient), arguments[-1].ravel()[0])

    return with_gradient(function, gradients)


def _gradients(function, arguments, gradient):
    x, *weights = arguments
    count = batch_parts(x.shape[0], x.size * x.dtype.itemsize)
    if count == 1:
        return jax.vjp(function, *arguments)[1](gradient)

    def add_part(sums, part):
        images, in_y = part
        in_images, *in_weights = jax.vjp(function, images, *weights)[1](in_y)
        return [total + one.astype(total.dtype) for total, one in zip(sums, in_weights, strict=True)], in_images

    parts = [array.reshape(count, -1, *array.shape[1:]) for array in (x, gradient)]
    zeros = [jnp.zeros(weight.shape, jnp.promote_types(weight.dtype, "float32")) for weight in weights]
    sums, in_x = jax.lax.scan(add_part, zeros, parts)
    return in_x.reshape(x.shape), *(total.astype(weight.dtype) for total, weight in zip(sums, weights, strict=True))
