"""The initial values of convolution and linear weights, as in the authors' code."""

import keras
import numpy as np


@keras.saving.register_keras_serializable("keras_convnext")
class Normal(keras.initializers.RandomNormal):
    """A normal initializer that samples with NumPy: a seed gives the same weights on every backend.

    Keras's samples with the backend: other numbers on each, and on JAX a compilation for each shape, many seconds for
    `convnext_tiny`.
    """

    def __call__(self, shape, dtype=None):
        sampled = np.random.default_rng(self.seed).standard_normal(shape, dtype="float32")
        return keras.ops.convert_to_tensor(self.mean + self.stddev * sampled, dtype)


def weight_initializer(scale: float = 1.0) -> Normal:
    """A new normal initializer of standard deviation `0.02 * scale`.

    The authors call `trunc_normal_(std=0.02)`, which cuts at plus and minus 2, a hundred standard deviations away: a
    plain normal distribution. (Table 5 of arXiv:2201.03545 prints 0.2; the code uses 0.02.) Each call returns a new
    initializer: a shared one would give the same numbers for every weight of a shape.

    Args:
        scale: what the sampled weights are multiplied by (`head_init_scale`).
    """
    return Normal(stddev=0.02 * scale)
