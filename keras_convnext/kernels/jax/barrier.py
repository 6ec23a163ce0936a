"""A result that XLA on the CPU computes once, and as it is written."""

import jax
from jax import numpy as jnp
from jax.extend.core import jaxpr_as_fun


def computed_once(compute, weight):
    """The result of `compute`, kept: XLA neither fuses it into each place that uses it nor rewrites it with them.

    XLA can't move it out of a condition. The condition is always true unless the weight is NaN.

    Args:
        compute: function without arguments, of an array or a tuple of arrays.
        weight: scalar, an element of a weight.
    """
    computation, shapes = jax.make_jaxpr(compute, return_shape=True)()
    shapes, structure = jax.tree.flatten(shapes)

    def nan_results():
        return [jnp.full(shape.shape, jnp.nan, shape.dtype) for shape in shapes]

    return structure.unflatten(jax.lax.cond(weight == weight, jaxpr_as_fun(computation), nan_results))
