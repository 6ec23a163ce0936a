"""Where JAX runs."""

import jax
import keras


def on_cpu():
    """Whether JAX has no accelerator."""
    return jax.default_backend() == "cpu"


def batch_shards(batch):
    """Over how many devices the distribution that Keras uses divides a batch; 1 for a batch that it cannot divide."""
    distribution = keras.distribution.distribution()
    if distribution is None or batch % distribution.num_model_replicas:
        return 1
    return distribution.num_model_replicas
