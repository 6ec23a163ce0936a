"""The initial values of convolution and linear weights, as in the authors' code."""

import keras
import numpy as np


@keras.saving.register_keras_serializable("keras_convnext")
class Normal(keras.initializers.RandomNormal):
    """A normal initializer that samples with NumPy: a seed gives the same weights on every backend.

    Keras's initializer samples with the backend. Its values differ between backends, and on JAX it compiles once per
    shape, which takes many seconds for `convnext_tiny`.
    """

    def __call__(self, shape, dtype=None):
        sampled = np.random.default_rng(self.seed).standard_normal(shape, dtype="float32")
        return keras.ops.convert_to_tensor(self.mean + self.stddev * sampled, dtype)


def weight_initializer(scale: float = 1.0) -> Normal:
    """A new normal initializer of standard deviation `0.02 * scale`.

    The authors call `trunc_normal_(std=0.02)`, which truncates at -2 and 2, a hundred standard deviations away: that is
    a plain normal distribution. (Table 5 of arXiv:2201.03545 prints 0.2; the code uses 0.02.) Each call returns a new
    initializer: a shared one would give equal values to all weights of the same shape.

    Args:
        scale: factor of the sampled weights (`head_init_scale`). Defaults to 1.
    """
    return Normal(stddev=0.02 * scale)
