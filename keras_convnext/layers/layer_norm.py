"""Layer normalization over the channels (arXiv:2201.03545, section 2.6)."""

import keras
from keras import ops

from keras_convnext.layers.lowering import on_torch


@keras.saving.register_keras_serializable(package="keras_convnext")
class LayerNorm(keras.layers.LayerNormalization):
    """`keras.layers.LayerNormalization` of the last axis; on torch in one pass, by torch's own function.

    Args:
        epsilon: float. Defaults to 1e-6.
        **kwargs: as `keras.layers.Layer`.

    Shapes: `(..., channels)` in and out.

    Example:

    >>> import numpy as np
    >>> tuple(LayerNorm()(np.ones((1, 14, 14, 8))).shape)
    (1, 14, 14, 8)
    """

    def __init__(self, epsilon=1e-6, **kwargs):
        super().__init__(epsilon=epsilon, **kwargs)

    def call(self, inputs):
        if not on_torch():
            return super().call(inputs)
        from keras_convnext.layers.torch_functions import layer_norm

        inputs = ops.cast(inputs, self.compute_dtype)
        return layer_norm(inputs, ops.convert_to_tensor(self.gamma), ops.convert_to_tensor(self.beta), self.epsilon)
