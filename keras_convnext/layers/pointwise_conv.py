"""1x1 convolution, as a linear layer over the channels (arXiv:2201.03545, section 2.3)."""

from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from keras_convnext import kernels
from keras_convnext.layers.initialization import weight_initializer
from keras_convnext.scalars import integer
from keras_convnext.typing import Shape, Tensor


@keras.saving.register_keras_serializable(package="keras_convnext")
class PointwiseConv(keras.layers.Dense):
    """`keras.layers.Dense` with the authors' initial weights, computed by the backend's kernel.

    Args:
        units: output channels.
        activation: as for `keras.layers.Dense`. Defaults to None.
        **kwargs: as for `keras.layers.Dense`.

    Shapes: `(..., channels)` in, `(..., units)` out.

    Example:

    >>> import numpy as np
    >>> from keras_convnext.layers.pointwise_conv import PointwiseConv
    >>> tuple(PointwiseConv(32)(np.ones((1, 14, 14, 8))).shape)
    (1, 14, 14, 32)
    """

    def __init__(self, units: int, activation: str | dict | Callable | None = None, **kwargs: Any):
        kwargs = {"kernel_initializer": weight_initializer(), **kwargs}
        super().__init__(integer("units", units, 1), activation=activation, **kwargs)

    def build(self, input_shape: Shape) -> None:
        lora_alpha = self.lora_alpha  # type: ignore[has-type]  # Keras's `Dense` sets it
        super().build(input_shape)
        self.lora_alpha = lora_alpha  # Keras's `Dense` sets it to the rank

    def call(self, inputs: Tensor, training: bool | None = None) -> Tensor:
        bias = None if self.bias is None else ops.convert_to_tensor(self.bias)
        kernel = ops.convert_to_tensor(self.kernel)
        return kernels.linear(inputs, kernel, bias, activation=self.activation, training=bool(training))

    def quantize(self, mode: str | None = None, type_check: bool = True, **kwargs: Any) -> None:
        """Quantizes the layer as `keras.layers.Dense` does, whose `type_check` would refuse a subclass."""
        super().quantize(mode, type_check=False, **kwargs)
