"""The Gaussian error linear unit (arXiv:1606.08415), exact."""

import keras
from keras import ops

from keras_convnext.layers.lowering import on_jax


@keras.saving.register_keras_serializable(package="keras_convnext")
def gelu(x):
    """`x * Phi(x)`, Phi the normal distribution's cumulative function.

    JAX's own takes it from `erfc`, which keeps more digits where the result is next to nothing, and twice the time.

    Example:

    >>> import numpy as np
    >>> print(keras.ops.convert_to_numpy(gelu(np.array([-1.0, 0.0, 1.0], "float32"))).round(4))
    [-0.1587  0.      0.8413]
    """
    if not on_jax():
        return ops.gelu(x, approximate=False)
    exact = ops.cast(x, keras.backend.result_type(x.dtype, "float32"))
    return ops.cast(0.5 * exact * (1 + ops.erf(exact * 0.5**0.5)), x.dtype)
