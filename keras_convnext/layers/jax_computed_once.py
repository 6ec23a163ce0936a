"""A result that XLA on CPU computes once, and as it stands.

This file imports jax: it is imported where the backend is JAX.
"""

import jax
from jax import numpy as jnp
from jax.extend.core import jaxpr_as_fun


def computed_once(compute, weight):
    """The result of `compute`, kept: XLA neither fuses it into each place that uses it nor rewrites it with them.

    It can't move it out of a condition. This one is true: only a weight that is no number is not itself.

    Args:
        compute: function without arguments, of an array or a tuple of arrays.
        weight: an element of an array, finite unless all is lost.
    """
    computation, shapes = jax.make_jaxpr(compute, return_shape=True)()
    shapes, structure = jax.tree.flatten(shapes)

    def no_numbers():
        return [jnp.full(shape.shape, jnp.nan, shape.dtype) for shape in shapes]

    return structure.unflatten(jax.lax.cond(weight == weight, jaxpr_as_fun(computation), no_numbers))
