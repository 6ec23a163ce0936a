"""Where JAX runs."""

import jax
import keras


def on_cpu():
    """Whether JAX has no accelerator."""
    return jax.default_backend() == "cpu"


def on_cuda():
    """Whether JAX computes on an Nvidia GPU unless arrays say otherwise."""
    try:
        devices = jax.devices("cuda")
    except RuntimeError:  # there is none
        return False
    default = jax.config.jax_default_device or jax.devices()[0]
    return default in (*devices, "cuda", "gpu")


def batch_shards(batch):
    """Over how many devices the distribution that Keras uses divides a batch; 1 for a batch that it cannot divide."""
    distribution = keras.distribution.distribution()
    if distribution is None or batch % distribution.num_model_replicas:
        return 1
    return distribution.num_model_replicas
