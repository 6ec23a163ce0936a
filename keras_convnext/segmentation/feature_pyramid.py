"""The feature pyramid network (arXiv:1612.03144) as UPerNet has it."""

from typing import Any

import keras
from keras import ops

from keras_convnext.layers.overrides import configured_overrides, override_inner_layers
from keras_convnext.scalars import integer
from keras_convnext.segmentation.conv_block import ConvNormRelu
from keras_convnext.segmentation.resize import resize_bilinear
from keras_convnext.typing import Shape, Tensor


@keras.saving.register_keras_serializable(package="keras_convnext")
class FeaturePyramid(keras.layers.Layer):
    """Carries the meaning of deep levels into the finer ones.

    Each level but the deepest passes a 1x1 convolution (`lateral`). From the deepest on, each level is resized to the
    next finer one and added to it. All levels but the deepest then pass a 3x3 convolution (`output`).

    Args:
        filters: channels of all levels that come out, and of the deepest one that goes in.
        overrides: settings of inner layers that were changed after they were made; see `layers.overrides`. Defaults to
            None.
        **kwargs: as for `keras.layers.Layer`, such as `name` and `dtype`.

    Shapes: a list of maps `(batch, height, width, channels)`, finest first, in; maps of the same sizes with `filters`
    channels out.

    Example:

    >>> import numpy as np
    >>> from keras_convnext.segmentation.feature_pyramid import FeaturePyramid
    >>> maps = FeaturePyramid(8)([np.zeros((1, 9, 9, 4)), np.zeros((1, 4, 4, 8))])
    >>> [tuple(one.shape) for one in maps]
    [(1, 9, 9, 8), (1, 4, 4, 8)]
    """

    def __init__(self, filters: int, overrides: dict | None = None, **kwargs: Any):
        super().__init__(**kwargs)
        self.filters = integer("filters", filters, 1)
        self.overrides = overrides
        self.laterals: list[ConvNormRelu] = []
        self.outputs: list[ConvNormRelu] = []

    def build(self, input_shape: list[Shape]) -> None:
        for level in range(len(input_shape) - 1):
            self.laterals.append(ConvNormRelu(self.filters, dtype=self.dtype_policy, name=f"lateral_{level}"))
            self.outputs.append(ConvNormRelu(self.filters, 3, dtype=self.dtype_policy, name=f"output_{level}"))
        override_inner_layers(self)
        for lateral, output, shape in zip(self.laterals, self.outputs, input_shape, strict=False):
            lateral.build(shape)
            output.build((*shape[:-1], self.filters))

    def call(self, inputs: list[Tensor], training: bool | None = None) -> list[Tensor]:
        *finer, deepest = inputs
        maps = [lateral(x, training=training) for lateral, x in zip(self.laterals, finer, strict=True)]
        maps.append(deepest)
        for level in range(len(finer) - 1, -1, -1):
            maps[level] = maps[level] + resize_bilinear(maps[level + 1], ops.shape(maps[level])[1:3])
        return [output(x, training=training) for output, x in zip(self.outputs, maps, strict=False)] + [deepest]

    def compute_output_shape(self, input_shape: list[Shape]) -> list[Shape]:
        return [(*shape[:-1], self.filters) for shape in input_shape]

    def get_config(self) -> dict:
        return {**super().get_config(), "filters": self.filters, "overrides": configured_overrides(self)}
