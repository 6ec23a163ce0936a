"""Layer normalization over the channels (arXiv:2201.03545, section 2.6)."""

from typing import Any

import keras
from keras import ops

from keras_convnext import kernels
from keras_convnext.scalars import number
from keras_convnext.typing import Tensor


@keras.saving.register_keras_serializable(package="keras_convnext")
class LayerNorm(keras.layers.LayerNormalization):
    """`keras.layers.LayerNormalization` over the last axis, computed by the backend's kernel.

    Args:
        epsilon: keeps the division finite. Defaults to 1e-6.
        **kwargs: as for `keras.layers.Layer`, such as `name` and `dtype`.

    Shapes: `(..., channels)` in and out.

    Example:

    >>> import numpy as np
    >>> from keras_convnext.layers.layer_norm import LayerNorm
    >>> tuple(LayerNorm()(np.ones((1, 14, 14, 8))).shape)
    (1, 14, 14, 8)
    """

    function = staticmethod(kernels.layer_norm)

    def __init__(self, epsilon: float = 1e-6, **kwargs: Any):
        super().__init__(epsilon=number("epsilon", epsilon, 0), **kwargs)

    def call(self, inputs: Tensor, training: bool | None = None) -> Tensor:
        gamma, beta = ops.convert_to_tensor(self.gamma), ops.convert_to_tensor(self.beta)
        inputs = ops.cast(inputs, self.compute_dtype)
        return self.function(inputs, gamma, beta, epsilon=self.epsilon, training=bool(training))
