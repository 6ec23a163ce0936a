"""The Gaussian error linear unit (arXiv:1606.08415), exact."""

import keras
from keras import ops

from keras_convnext.layers.lowering import on_jax, on_tensorflow_cpu


@keras.saving.register_keras_serializable(package="keras_convnext")
def gelu(x):
    """`x * Phi(x)`, Phi the normal distribution's cumulative function.

    Example:

    >>> import keras
    >>> import numpy as np
    >>> from keras_convnext.layers.gelu import gelu
    >>> print(keras.ops.convert_to_numpy(gelu(np.array([-1.0, 0.0, 1.0], "float32"))).round(4))
    [-0.1587  0.      0.8413]
    """
    if not on_jax():
        return ops.gelu(x, approximate=False)
    from keras_convnext.layers import jax_functions

    return jax_functions.gelu(ops.convert_to_tensor(x))


def trained_gelu(x):
    """`gelu` in the form that is fast in training; TensorFlow fuses the other with the product before it.

    Args:
        x: tensor whose sizes do not change from batch to batch: what is fast is compiled for them.
    """
    if not on_tensorflow_cpu():
        return gelu(x)
    from keras_convnext.layers import tensorflow_training

    return tensorflow_training.gelu(x)
