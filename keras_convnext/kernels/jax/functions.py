"""Activation, norm, product and mean on JAX. Their gradients are recomputed from the inputs of each function.

Otherwise XLA keeps several activation-sized residuals, also of the size of the hidden activations. XLA fuses what is
recomputed with the operations that follow.
"""

import functools
import math

import jax
from jax import numpy as jnp

from keras_convnext.kernels import reference
from keras_convnext.kernels.jax.barrier import computed_once
from keras_convnext.kernels.jax.derivative import with_gradient
from keras_convnext.kernels.jax.device import on_cpu
from keras_convnext.kernels.shared.exporting import is_exporting

ERF_END = 3.9
ERF_NUMERATOR = (2.05352799e-06, 0.000287004186, 0.0038177635, 0.0529081481, 0.191498547, 1.12837905)
ERF_DENOMINATOR = (3.82394802e-05, 0.0011770498, 0.0150710657, 0.114575002, 0.50304309, 1.0)
"""Coefficients of polynomials in the square of x, the highest power first."""


def gelu(x, *, training=False):
    """See the reference. JAX's own GELU computes Phi from `erfc`: more exact near zero, but half as fast."""
    return _gelu(jnp.asarray(x)) if is_exporting() else jax.checkpoint(_gelu)(jnp.asarray(x))


def _gelu(x):
    exact = _exact(x)
    if exact.dtype == jnp.float64:
        return jax.nn.gelu(exact, approximate=False)
    return (0.5 * exact * (1 + erf(exact * 0.5**0.5))).astype(x.dtype)


@jax.custom_jvp
def erf(x):
    """The error function in float32, to 4e-7, in operations that exported programs can hold.

    `jax.lax.erf` is as fast, but exports as a composite operation of StableHLO, which TensorFlow 2.21 can't read. This
    is an odd rational function, fitted to the error function by least squares. From `ERF_END` on the result is 1.
    """
    bounded = jnp.clip(x, -ERF_END, ERF_END)
    square = bounded * bounded
    inside = bounded * _polynomial(ERF_NUMERATOR, square) / _polynomial(ERF_DENOMINATOR, square)
    return jnp.where(jnp.abs(x) < ERF_END, inside, jnp.sign(x))


def _polynomial(coefficients, x):
    return functools.reduce(lambda total, coefficient: total * x + coefficient, coefficients, jnp.zeros_like(x))


@erf.defjvp
def _erf_derivative(primals, tangents):
    (x,), (grad_x,) = primals, tangents
    return erf(x), 2 / math.pi**0.5 * jnp.exp(-x * x) * grad_x


def layer_norm(x, gamma, beta, *, epsilon, training=False):
    """See the reference."""
    if is_exporting():
        return reference.layer_norm(x, gamma, beta, epsilon=epsilon)

    def normalized(x, gamma, beta):
        rows, _ = _normalized(x, epsilon)
        return (rows * gamma + beta).reshape(x.shape).astype(x.dtype)

    def gradients(x, gamma, beta, gradient):
        normalized, scale = _normalized(x, epsilon)
        gradient = _exact(gradient).reshape(normalized.shape)
        grad_normalized = gradient * gamma
        grad_rows = scale * (
            grad_normalized - _mean(grad_normalized) - normalized * _mean(grad_normalized * normalized)
        )
        grad_gamma, grad_beta = (gradient * normalized).sum(0), gradient.sum(0)
        return grad_rows.reshape(x.shape).astype(x.dtype), grad_gamma.astype(gamma.dtype), grad_beta.astype(beta.dtype)

    return with_gradient(normalized, gradients)(x, gamma, beta)


def _normalized(x, epsilon):
    """The rows of x with mean 0 and variance 1, and the factor of each row."""
    rows = _exact(x).reshape(-1, x.shape[-1])
    centered = rows - _mean(rows)
    scale = jax.lax.rsqrt(_mean(centered * centered) + epsilon)
    return centered * scale, scale


def _mean(rows):
    """The mean of each row. On the CPU it is a product, because XLA would compute a sum again for each use."""
    if not on_cpu():
        return rows.mean(-1, keepdims=True)
    return rows @ jnp.full((rows.shape[-1], 1), 1 / rows.shape[-1], rows.dtype)


def linear(x, kernel, bias, *, activation=None, training=False):
    """See the reference. With two axes, XLA fuses the activation with the bias; with four, it keeps their input."""
    if is_exporting():
        return reference.linear(x, kernel, bias, activation=activation)
    y = _product(x.reshape(-1, x.shape[-1]), kernel)
    y = y if bias is None else y + bias
    return (y if activation is None else activation(y)).reshape(*x.shape[:-1], kernel.shape[-1])


def _product(x, kernel):
    def gradients(x, kernel, gradient):
        if on_cpu() and kernel.shape[0] > kernel.shape[1]:
            # With the wider factor last, the product takes half the time. XLA would swap the factors back.
            grad_kernel = computed_once(lambda: gradient.T @ x, kernel[0, 0]).T
        else:
            grad_kernel = x.T @ gradient
        return gradient @ kernel.T, grad_kernel

    return with_gradient(lambda x, kernel: x @ kernel, gradients)(x, kernel)


def global_mean(x):
    """See the reference. On the CPU it is a product, because XLA would fuse a sum with the whole block before it."""
    if is_exporting():
        return reference.global_mean(x)
    if not on_cpu():
        return x.mean((1, 2))
    batch, height, width, channels = x.shape
    pixels = x.reshape(batch, height * width, channels)
    return jnp.einsum("bpc,p->bc", pixels, jnp.ones(height * width, x.dtype)) / (height * width)


def _exact(x):
    return x.astype(jnp.promote_types(x.dtype, "float32"))
