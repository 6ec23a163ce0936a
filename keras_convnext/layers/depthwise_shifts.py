"""Depthwise convolution as a sum of shifted products, for JAX on CPU.

    y[h, w, c] = sum over taps (i, j) of x[h + i, w + j, c] * kernel[i, j, c]

XLA's CPU convolution takes 10 to 35 times longer than this sum, which it fuses into one loop. Its automatic gradient is
slow again, so the gradient is given. For the input it is the same sum with the kernel flipped. For the kernel it is
such a sum too, over the pixels of a block of the map:

    gradient[i, j, c] = sum over blocks, and over pixels (u, v) of a block, of x[u + i, v + j, c] * y_gradient[u, v, c]

Taps that reach past the map on every position are left out, so that small maps cost little. Sums are float32 at least.

This file imports jax: it is imported where the backend is JAX.
"""

from functools import partial

import jax
from jax import numpy as jnp

BLOCK = 7
"""Side in pixels of the blocks of a map; those of 224-pixel images are multiples of it."""


@partial(jax.custom_vjp, nondiff_argnums=(2,))
def depthwise_conv(x, kernel, dilation):
    """Convolves at stride 1 with "same" padding.

    Args:
        x: `(batch, height, width, channels)`.
        kernel: `(side, side, channels)`, `side` odd.
        dilation: int, the distance of the taps.

    Returns:
        `(batch, height, width, channels)`.
    """
    return _computed_once(lambda: _convolve(x, kernel, dilation), kernel[0, 0, 0])


def _forward(x, kernel, dilation):
    return depthwise_conv(x, kernel, dilation), (x, kernel)


def _backward(dilation, residuals, gradient):
    x, kernel = residuals
    kernel_gradient = _kernel_gradient(x, gradient, kernel.shape[0], dilation).astype(kernel.dtype)
    return _convolve(gradient, kernel[::-1, ::-1], dilation), kernel_gradient


depthwise_conv.defvjp(_forward, _backward)


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


def _computed_once(compute, weight):
    """The result of `compute`, kept: XLA would fuse the sum into each place that uses it, and so compute it in each.

    It can't move it out of a condition. This one is true: only a weight that is no number is not itself.
    """
    shape = jax.eval_shape(compute)
    return jax.lax.cond(weight == weight, compute, lambda: jnp.full(shape.shape, jnp.nan, shape.dtype))


def _kernel_gradient(x, gradient, side, dilation):
    sum_type = jnp.promote_types(x.dtype, "float32")
    block_height, block_width = min(BLOCK, x.shape[1]), min(BLOCK, x.shape[2])
    margin, reach = side // 2 * dilation, (side - 1) * dilation

    def add_image(total, image):  # image by image, so that the blocks stay in the cache
        x, gradient = image
        padded = jnp.pad(x, ((margin, margin), (margin, margin), (0, 0)))
        patches = _blocks(padded, block_height, block_width, reach).astype(sum_type)
        blocks = _blocks(gradient, block_height, block_width, 0)
        products = sum(
            patches[:, u : u + reach + 1 : dilation, :, v : v + reach + 1 : dilation]
            * blocks[:, u : u + 1, :, v : v + 1]
            for u in range(block_height)
            for v in range(block_width)
        )
        return total + products, None

    down, across = -(-x.shape[1] // block_height), -(-x.shape[2] // block_width)
    start = jnp.zeros((down, side, across, side, x.shape[-1]), sum_type)
    return jax.lax.scan(add_image, start, (x, gradient))[0].sum((0, 2))


def _blocks(x, height, width, reach):
    """The map in blocks of `height` by `width`, each with `reach` rows and columns that it shares with the next ones.

    Args:
        x: `(height, width, channels)`.

    Returns:
        `(blocks down, height + reach, blocks across, width + reach, channels)`; zero beyond the map.
    """
    return _in_blocks(_in_blocks(x, 0, height, reach), 2, width, reach)


def _in_blocks(x, axis, block, reach):
    """The axis as two, `(blocks, block + reach)`: each block, and of those that follow as much as it shares."""
    count, following = -(-(x.shape[axis] - reach) // block), -(-reach // block)
    padding = [(0, 0)] * x.ndim
    padding[axis] = (0, (count + following) * block - x.shape[axis])
    x = jnp.pad(x, padding).reshape(*x.shape[:axis], count + following, block, *x.shape[axis + 1 :])
    parts = [jax.lax.slice_in_dim(x, start, start + count, axis=axis) for start in range(following + 1)]
    return jax.lax.slice_in_dim(jnp.concatenate(parts, axis + 1), 0, block + reach, axis=axis + 1)


def _taps(height, width, side, dilation):
    """Row and column in the kernel of each tap that reaches the map."""
    reach = side // 2
    return [
        (i, j)
        for i in range(side)
        for j in range(side)
        if abs(i - reach) * dilation < height and abs(j - reach) * dilation < width
    ]
