"""Recomputation on JAX's CPU: that it saves memory, with equal gradients."""

import jax
import numpy as np
from jax import numpy as jnp

from keras_convnext.kernels.jax.remat import remat

WIDTH = 512


def tower(wrap):
    """The gradients of 8 layers that each hold two large arrays between."""
    layer = wrap(lambda x, weight: jnp.tanh(jnp.sin(x * weight) @ jnp.ones((WIDTH, WIDTH))) @ jnp.eye(WIDTH))

    def loss(x, weights):
        for number in range(8):
            x = layer(x, weights[number])
        return x.sum()

    return jax.jit(jax.grad(loss, argnums=(0, 1)))


def test_less_is_kept_and_the_gradients_are_equal(rng):
    x, weights = rng.normal(size=(WIDTH, WIDTH)), rng.normal(size=(8, WIDTH))
    arguments = jnp.asarray(x, "float32"), jnp.asarray(weights, "float32")
    kept, recomputed = (tower(wrap).lower(*arguments).compile() for wrap in (lambda layer: layer, remat))
    for found, expected in zip(recomputed(*arguments), kept(*arguments), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5 * np.abs(expected).max())
    sizes = [program.memory_analysis().temp_size_in_bytes for program in (kept, recomputed)]
    assert sizes[1] < 0.75 * sizes[0], sizes
