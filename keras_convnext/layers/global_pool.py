"""The mean over a feature map, before the head (arXiv:2201.03545, section 2.6)."""

import keras
from keras import ops

from keras_convnext.layers.lowering import on_jax_cpu


@keras.saving.register_keras_serializable(package="keras_convnext")
class GlobalPool(keras.layers.GlobalAveragePooling2D):
    """`keras.layers.GlobalAveragePooling2D` of channels-last maps; on JAX's CPU as a product.

    There XLA fuses a plain sum with the whole block before it, which then takes twice as long.

    Args:
        **kwargs: as `keras.layers.Layer`.

    Shapes: `(batch, height, width, channels)` in, `(batch, channels)` out.

    Example:

    >>> import keras
    >>> import numpy as np
    >>> from keras_convnext.layers.global_pool import GlobalPool
    >>> print(keras.ops.convert_to_numpy(GlobalPool()(np.ones((1, 7, 7, 4)))))
    [[1. 1. 1. 1.]]
    """

    def __init__(self, **kwargs):
        super().__init__(**{**kwargs, "data_format": "channels_last"})

    def call(self, inputs):
        if self.keepdims or not on_jax_cpu():
            return super().call(inputs)
        batch, height, width, channels = ops.shape(inputs)
        pixels = ops.reshape(inputs, (batch, height * width, channels))
        return ops.einsum("bpc,p->bc", pixels, ops.ones(height * width, inputs.dtype)) / (height * width)
