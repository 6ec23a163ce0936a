"""The building block of UPerNet's heads: a convolution, batch normalization and ReLU."""

from typing import Any

import keras
from keras import ops

from keras_convnext.layers.initialization import Normal
from keras_convnext.layers.overrides import configured_overrides, override_inner_layers
from keras_convnext.scalars import integer
from keras_convnext.segmentation.batch_norm import BatchNorm
from keras_convnext.typing import Shape, Tensor


@keras.saving.register_keras_serializable(package="keras_convnext")
class ConvNormRelu(keras.layers.Layer):
    """A convolution without bias that keeps the size of the map, batch normalization and ReLU.

    The initial kernels are normally distributed with variance `2 / (kernel_size**2 * filters)` (Kaiming's rule for the
    outputs of a convolution, as in mmsegmentation).

    Args:
        filters: output channels.
        kernel_size: side of the kernel, an odd number. Defaults to 1.
        overrides: settings of inner layers that were changed after they were made; see `layers.overrides`. Defaults to
            None.
        **kwargs: as for `keras.layers.Layer`, such as `name` and `dtype`.

    Shapes: `(batch, height, width, channels)` in, `(batch, height, width, filters)` out.

    Example:

    >>> import numpy as np
    >>> from keras_convnext.segmentation.conv_block import ConvNormRelu
    >>> tuple(ConvNormRelu(16, kernel_size=3)(np.zeros((1, 8, 8, 4))).shape)
    (1, 8, 8, 16)
    """

    def __init__(self, filters: int, kernel_size: int = 1, overrides: dict | None = None, **kwargs: Any):
        super().__init__(**kwargs)
        self.filters = integer("filters", filters, 1)
        self.kernel_size = integer("kernel_size", kernel_size, 1)
        self.overrides = overrides
        self.conv = keras.layers.Conv2D(
            self.filters,
            self.kernel_size,
            padding="same",
            data_format="channels_last",
            use_bias=False,
            kernel_initializer=Normal(stddev=(2 / (self.kernel_size**2 * self.filters)) ** 0.5),
            dtype=self.dtype_policy,
            name="conv",
        )
        self.norm = BatchNorm(dtype=self.dtype_policy, name="norm")

    def build(self, input_shape: Shape) -> None:
        override_inner_layers(self)
        self.conv.build(input_shape)
        self.norm.build(self.conv.compute_output_shape(input_shape))

    def call(self, inputs: Tensor, training: bool | None = None) -> Tensor:
        return ops.relu(self.norm(self.conv(inputs), training=training))

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return (*input_shape[:-1], self.filters)

    def get_config(self) -> dict:
        return {
            **super().get_config(),
            "filters": self.filters,
            "kernel_size": self.kernel_size,
            "overrides": configured_overrides(self),
        }
