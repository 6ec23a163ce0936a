"""Recomputation on JAX: on the CPU, a few images at a time.

`jax.checkpoint` separates the recomputation from the first computation by a barrier. On the CPU, XLA removes the
barrier early, finds the two computations equal, and keeps the result of the first one.
"""

import jax
import keras
from jax import numpy as jnp

from keras_convnext.kernels.jax.barrier import computed_once
from keras_convnext.kernels.jax.derivative import with_gradient
from keras_convnext.kernels.jax.device import on_cpu
from keras_convnext.kernels.shared.microbatches import batch_parts


def remat(function):
    """See the reference.

    Args:
        function: as in the reference. It must not close over anything that has a gradient.
    """
    if not on_cpu():
        return keras.remat(function)

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
        images, grad_y = part
        grad_images, *grad_weights = jax.vjp(function, images, *weights)[1](grad_y)
        return [total + one.astype(total.dtype) for total, one in zip(sums, grad_weights, strict=True)], grad_images

    parts = [array.reshape(count, -1, *array.shape[1:]) for array in (x, gradient)]
    zeros = [jnp.zeros(weight.shape, jnp.promote_types(weight.dtype, "float32")) for weight in weights]
    sums, grad_x = jax.lax.scan(add_part, zeros, parts)
    return grad_x.reshape(x.shape), *(total.astype(weight.dtype) for total, weight in zip(sums, weights, strict=True))
