"""Where TensorFlow runs."""

import tensorflow as tf


def on_cpu():
    """Whether TensorFlow sees no GPU. GPUs that were hidden from it do not count."""
    return not tf.config.get_visible_devices("GPU")


def avoids_jit():
    """On the CPU: XLA's depthwise convolution is 50 to 100 times slower there than TensorFlow's own."""
    return on_cpu()
