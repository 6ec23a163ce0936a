"""1x1 convolution, as a linear layer over the channels (arXiv:2201.03545, section 2.3)."""

import keras
from keras import ops

from keras_convnext.layers.gelu import gelu, trained_gelu
from keras_convnext.layers.initialization import weight_initializer
from keras_convnext.layers.lowering import on_jax, on_tensorflow, on_torch
from keras_convnext.scalars import integer


@keras.saving.register_keras_serializable(package="keras_convnext")
class PointwiseConv(keras.layers.Dense):
    """`keras.layers.Dense` with the authors' initial weights; bias and activation go with the product where they can.

    Args:
        units: int, channels that come out.
        activation: as in `keras.layers.Dense`.
        **kwargs: as `keras.layers.Dense`.

    Shapes: `(..., channels)` in, `(..., units)` out.

    Example:

    >>> import numpy as np
    >>> from keras_convnext.layers.pointwise_conv import PointwiseConv
    >>> tuple(PointwiseConv(32)(np.ones((1, 14, 14, 8))).shape)
    (1, 14, 14, 32)
    """

    def __init__(self, units, activation=None, **kwargs):
        kwargs = {"kernel_initializer": weight_initializer(), **kwargs}
        super().__init__(integer("units", units, 1), activation=activation, **kwargs)

    def build(self, input_shape):
        lora_alpha = self.lora_alpha
        super().build(input_shape)
        self.lora_alpha = lora_alpha  # which Keras's `Dense` sets to the rank

    def call(self, inputs, training=None):
        activation = self.activation
        if activation is gelu and training and None not in inputs.shape[1:]:
            activation = trained_gelu
        return linear(inputs, ops.convert_to_tensor(self.kernel), ops.convert_to_tensor(self.bias), activation)

    def quantize(self, mode=None, type_check=True, **kwargs):
        """As `keras.layers.Dense`, whose `type_check` refuses the classes that derive from it."""
        super().quantize(mode, type_check=False, **kwargs)


def linear(x, kernel, bias, activation):
    """`activation(x @ kernel + bias)` over the last axis, as it suits the backend; both may be None."""
    if on_torch():
        from keras_convnext.layers.torch_functions import linear
    elif on_tensorflow():
        from keras_convnext.layers.tensorflow_functions import linear
    elif on_jax():
        from keras_convnext.layers.jax_functions import linear
    return linear(x, kernel, bias, activation)
