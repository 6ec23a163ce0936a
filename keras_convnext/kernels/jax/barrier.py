"""A barrier with which XLA on the CPU computes a result once, and as it is written."""

import jax
from jax import numpy as jnp
from jax.extend.core import jaxpr_as_fun


def computed_once(compute, weight):
    """The result of `compute`, which XLA neither fuses into each operation that uses it, nor rewrites with them.

    The result is computed inside a condition, out of which XLA can't move it. The condition is always true unless the
    weight is NaN.

    Args:
        compute: function without arguments that returns an array or a tuple of arrays.
        weight: scalar, an element of a weight.
    """
    computation, shapes = jax.make_jaxpr(compute, return_shape=True)()
    shapes, structure = jax.tree.flatten(shapes)

    def nan_results():
        return [jnp.full(shape.shape, jnp.nan, shape.dtype) for shape in shapes]

    return structure.unflatten(jax.lax.cond(weight == weight, jaxpr_as_fun(computation), nan_results))
