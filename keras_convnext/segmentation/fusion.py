"""The fusion of the levels of a feature pyramid into one map (UPerNet, arXiv:1807.10221, section 3.1)."""

from typing import Any

import keras
from keras import ops

from keras_convnext.layers.overrides import configured_overrides, override_inner_layers
from keras_convnext.scalars import integer
from keras_convnext.segmentation.conv_block import ConvNormRelu
from keras_convnext.segmentation.resize import resize_bilinear
from keras_convnext.typing import Shape, Tensor


@keras.saving.register_keras_serializable(package="keras_convnext")
class LevelFusion(keras.layers.Layer):
    """Resizes all levels to the finest one, concatenates them, and applies a 3x3 convolution.

    Args:
        filters: output channels.
        overrides: settings of inner layers that were changed after they were made; see `layers.overrides`. Defaults to
            None.
        **kwargs: as for `keras.layers.Layer`, such as `name` and `dtype`.

    Shapes: a list of maps `(batch, height, width, channels)`, finest first, in; one map of the finest one's size with
    `filters` channels out.

    Example:

    >>> import numpy as np
    >>> from keras_convnext.segmentation.fusion import LevelFusion
    >>> tuple(LevelFusion(6)([np.zeros((1, 9, 9, 8)), np.zeros((1, 4, 4, 8))]).shape)
    (1, 9, 9, 6)
    """

    def __init__(self, filters: int, overrides: dict | None = None, **kwargs: Any):
        super().__init__(**kwargs)
        self.filters = integer("filters", filters, 1)
        self.overrides = overrides
        self.bottleneck = ConvNormRelu(self.filters, 3, dtype=self.dtype_policy, name="bottleneck")

    def build(self, input_shape: list[Shape]) -> None:
        override_inner_layers(self)
        self.bottleneck.build((*input_shape[0][:-1], sum(shape[-1] or 0 for shape in input_shape)))

    def call(self, inputs: list[Tensor], training: bool | None = None) -> Tensor:
        size = ops.shape(inputs[0])[1:3]
        maps = [resize_bilinear(x, size) for x in inputs]
        return self.bottleneck(ops.concatenate(maps, axis=-1), training=training)

    def compute_output_shape(self, input_shape: list[Shape]) -> Shape:
        return (*input_shape[0][:-1], self.filters)

    def get_config(self) -> dict:
        return {**super().get_config(), "filters": self.filters, "overrides": configured_overrides(self)}
