"""Depthwise convolution as a sum of shifted products.

    y[h, w, c] = sum over taps (i, j) of x[h + i, w + j, c] * kernel[i, j, c]

XLA's CPU convolution takes 10 to 35 times longer than this sum, which XLA fuses into one loop. The automatic gradient
of the sum is slow, so the gradient is given: for the input it is the same sum with the kernel flipped; for the kernel,
see `depthwise_kernel_gradient`. Taps that are outside the map at every position are left out, so that small maps cost
little. Sums are float32 at least.
"""

import jax
from jax import numpy as jnp

from keras_convnext.kernels.jax.barrier import computed_once
from keras_convnext.kernels.jax.derivative import with_gradient
from keras_convnext.kernels.jax.device import batch_shards
from keras_convnext.kernels.shared.depthwise_kernel_gradient import kernel_gradient


def shifted_products(x, kernel, dilation):
    """Convolves at stride 1 with "same" padding.

    Args:
        x: `(batch, height, width, channels)`.
        kernel: `(side, side, channels)`, `side` odd.
        dilation: int, the distance between the taps.

    Returns:
        `(batch, height, width, channels)`.
    """

    def convolved(x, kernel):
        # XLA would compute this sum again in each operation that uses it.
        return computed_once(lambda: _convolve(x, kernel, dilation), kernel[0, 0, 0])

    def gradients(x, kernel, gradient):
        return shifted_products_gradients(x, kernel, gradient, dilation)

    return with_gradient(convolved, gradients)(x, kernel)


def shifted_products_gradients(x, kernel, gradient, dilation):
    """The gradients of x and of the kernel, given that of the output. The arguments are those of `shifted_products`."""
    grad_kernel = _kernel_gradient(x, gradient, kernel.shape[0], dilation).astype(kernel.dtype)
    return _convolve(gradient, kernel[::-1, ::-1], dilation), grad_kernel


def _kernel_gradient(x, gradient, side, dilation):
    """The kernel's gradient, on each device from its share of the images: a loop over the batch would exchange them."""
    shards = batch_shards(x.shape[0])
    if shards == 1:
        return kernel_gradient(x, gradient, side, dilation)
    x, gradient = (array.reshape(shards, -1, *array.shape[1:]) for array in (x, gradient))
    return jax.vmap(lambda x, gradient: kernel_gradient(x, gradient, side, dilation))(x, gradient).sum(0)


def _convolve(x, kernel, dilation):
    height, width = x.shape[1:3]
    sum_type = jnp.promote_types(x.dtype, "float32")
    margin = kernel.shape[0] // 2 * dilation
    padded = jnp.pad(x, ((0, 0), (margin, margin), (margin, margin), (0, 0))).astype(sum_type)
    kernel = kernel.astype(sum_type)
    total = sum(
        padded[:, i * dilation : i * dilation + height, j * dilation : j * dilation + width] * kernel[i, j]
        for i, j in _taps(height, width, kernel.shape[0], dilation)
    )
    return total.astype(x.dtype)


def _taps(height, width, side, dilation):
    """Row and column in the kernel of each tap that reaches the map. For a map of symbolic size, these are all taps."""

    def reaching(size):
        return [tap for tap in range(side) if not isinstance(size, int) or abs(tap - side // 2) * dilation < size]

    return [(i, j) for i in reaching(height) for j in reaching(width)]
