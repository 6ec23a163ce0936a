"""A result that XLA on CPU computes once, and as it stands.

This file imports jax: it is imported where the backend is JAX.
"""

import jax
from jax import numpy as jnp


def computed_once(compute, weight):
    """The result of `compute`, kept: XLA neither fuses it into each place that uses it nor rewrites it with them.

    It can't move it out of a condition. This one is true: only a weight that is no number is not itself.

    Args:
        compute: function without arguments.
        weight: an element of an array, finite unless all is lost.
    """
    shape = jax.eval_shape(compute)
    return jax.lax.cond(weight == weight, compute, lambda: jnp.full(shape.shape, jnp.nan, shape.dtype))
