"""Sizes of shapes that are symbols while JAX exports a program."""

from jax import numpy as jnp


def comparable_size(size):
    """See the reference. Symbols as such can't be compared."""
    return size if isinstance(size, int) else jnp.asarray(size)
