"""1x1 convolution, as a linear layer over the channels (arXiv:2201.03545, section 2.3)."""

import keras
from keras import ops

from keras_convnext.layers.initialization import weight_initializer
from keras_convnext.layers.lowering import on_torch


@keras.saving.register_keras_serializable(package="keras_convnext")
class PointwiseConv(keras.layers.Dense):
    """`keras.layers.Dense` with the authors' initial weights; on torch the bias is added by the matrix product.

    Args:
        units: int, channels that come out.
        activation: as in `keras.layers.Dense`.
        **kwargs: as `keras.layers.Dense`.

    Shapes: `(..., channels)` in, `(..., units)` out.

    Example:

    >>> import numpy as np
    >>> tuple(PointwiseConv(32)(np.ones((1, 14, 14, 8))).shape)
    (1, 14, 14, 32)
    """

    def __init__(self, units, activation=None, **kwargs):
        super().__init__(units, activation=activation, **{"kernel_initializer": weight_initializer(), **kwargs})

    def call(self, inputs):
        if not on_torch():
            return super().call(inputs)
        from keras_convnext.layers.torch_functions import linear

        outputs = linear(inputs, ops.convert_to_tensor(self.kernel), ops.convert_to_tensor(self.bias))
        return outputs if self.activation is None else self.activation(outputs)
