"""Recomputation that XLA does not undo on CPU.

`jax.checkpoint` separates the second computation from the first by a barrier. On CPU XLA takes it away early, finds the
two equal, and keeps the first.

This file imports jax: it is imported where the backend is JAX.
"""

import jax
from jax import numpy as jnp


def remat(function):
    """`function`, of whose call only the arguments are kept for the gradient; it may close over nothing that has one.

    The gradient, and with it the recomputation, stands in a condition, into which XLA does not look. The condition is
    true: only a value that is no number is not itself.
    """

    @jax.custom_vjp
    def call(*arguments):
        return function(*arguments)

    def backward(arguments, gradient):
        def gradients():
            return jax.vjp(function, *arguments)[1](gradient)

        def no_numbers():
            return tuple(jnp.full_like(argument, jnp.nan) for argument in arguments)

        value = arguments[-1].ravel()[0]
        return jax.lax.cond(value == value, gradients, no_numbers)

    call.defvjp(lambda *arguments: (function(*arguments), arguments), backward)
    return call
