"""Where TensorFlow runs."""

import tensorflow as tf


def on_cpu():
    """Whether TensorFlow sees no GPU. GPUs that were hidden from it do not count."""
    return not tf.config.get_visible_devices("GPU")


def avoids_jit():
    """True on the CPU, where XLA's depthwise convolution is 50 to 100 times slower than TensorFlow's own.

    False on a GPU, where TensorFlow itself was not measured. In a report of 2023, XLA's depthwise convolution is 8
    times slower than cuDNN's (tensorflow/tensorflow#59772). Today's XLA, measured through JAX on an H200, takes as long
    as cuDNN for the forward pass of ConvNeXt's convolutions in bfloat16, and less for the gradients, except on maps of
    7x7. XLA also fuses norms, activations and residuals, for each of which TensorFlow alone takes several passes.
    """
    return on_cpu()
