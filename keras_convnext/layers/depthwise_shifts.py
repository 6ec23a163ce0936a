"""Depthwise convolution as a sum of shifted products, for JAX on CPU.

    y[h, w, c] = sum over taps (i, j) of x[h + i, w + j, c] * kernel[i, j, c]

XLA's CPU convolution takes 10 to 35 times longer than this sum, which it fuses into one loop. Its automatic gradient is
slow again, so the gradient is given: for the input the same sum with the kernel flipped, for the kernel a scan over the
batch. Taps that reach past the map on every position are left out, so that small maps cost little. Sums are float32 at
least.

This file imports jax: it is imported where the backend is JAX.
"""

from functools import partial

import jax
from jax import numpy as jnp


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
    height, width = x.shape[1:3]
    reach = kernel.shape[0] // 2 * dilation
    sum_type = jnp.promote_types(x.dtype, "float32")
    padded = jnp.pad(x, ((0, 0), (reach, reach), (reach, reach), (0, 0))).astype(sum_type)
    kernel = kernel.astype(sum_type)
    total = sum(
        padded[:, row : row + height, column : column + width] * kernel[i, j]
        for i, j, row, column in _taps(height, width, kernel.shape[0], dilation)
    )
    return total.astype(x.dtype)


def _forward(x, kernel, dilation):
    return depthwise_conv(x, kernel, dilation), (x, kernel)


def _backward(dilation, residuals, gradient):
    x, kernel = residuals
    side, (height, width) = kernel.shape[0], x.shape[1:3]
    reach = side // 2 * dilation
    padded = jnp.pad(x, ((0, 0), (reach, reach), (reach, reach), (0, 0)))
    sum_type = jnp.promote_types(x.dtype, "float32")
    taps = _taps(height, width, side, dilation)

    def add_sample(total, sample):
        image, image_gradient = sample
        sums = [
            jnp.sum(image[row : row + height, column : column + width] * image_gradient, axis=(0, 1), dtype=sum_type)
            for _, _, row, column in taps
        ]
        return total + jnp.stack(sums), None

    start = jnp.zeros((len(taps), x.shape[-1]), sum_type)
    sums, _ = jax.lax.scan(add_sample, start, (padded, gradient))
    rows, columns = jnp.array([tap[0] for tap in taps]), jnp.array([tap[1] for tap in taps])
    kernel_gradient = jnp.zeros(kernel.shape, kernel.dtype).at[rows, columns].set(sums.astype(kernel.dtype))
    return depthwise_conv(gradient, kernel[::-1, ::-1], dilation), kernel_gradient


depthwise_conv.defvjp(_forward, _backward)


def _taps(height, width, side, dilation):
    """Kernel row and column of each tap that reaches the map, and where its window starts in the padded map."""
    reach = side // 2 * dilation
    return [
        (i, j, i * dilation, j * dilation)
        for i in range(side)
        for j in range(side)
        if abs(i * dilation - reach) < height and abs(j * dilation - reach) < width
    ]
