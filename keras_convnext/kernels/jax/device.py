"""Where JAX runs."""

import jax


def on_cpu():
    """Whether JAX has no accelerator."""
    return jax.default_backend() == "cpu"
