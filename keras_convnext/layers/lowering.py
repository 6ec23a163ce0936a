"""Where the layers run: what decides which lowering suits them."""

import keras


def on_torch():
    """Whether the backend is torch, on any device."""
    return keras.backend.backend() == "torch"


def on_tensorflow():
    """Whether the backend is TensorFlow, on any device."""
    return keras.backend.backend() == "tensorflow"


def on_jax():
    """Whether the backend is JAX, on any device."""
    return keras.backend.backend() == "jax"


def on_tensorflow_cpu():
    """Whether the backend is TensorFlow, without a GPU."""
    if not on_tensorflow():
        return False
    import tensorflow as tf

    return not tf.config.list_physical_devices("GPU")


def on_jax_cpu():
    """Whether the backend is JAX, without an accelerator."""
    if not on_jax():
        return False
    import jax

    return jax.default_backend() == "cpu"
