"""The pyramid pooling module (PSPNet, arXiv:1612.01105, section 3.2)."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from keras_convnext.layers.overrides import configured_overrides, override_inner_layers
from keras_convnext.scalars import integer, integers
from keras_convnext.segmentation.adaptive_pooling import adaptive_average_pool
from keras_convnext.segmentation.conv_block import ConvNormRelu
from keras_convnext.segmentation.resize import resize_bilinear
from keras_convnext.typing import Shape, Tensor


@keras.saving.register_keras_serializable(package="keras_convnext")
class PyramidPooling(keras.layers.Layer):
    """Gives each pixel of a map the context of the whole image, at several scales.

    For each scale the map is averaged over that many times that many windows, passes a 1x1 convolution, and is resized
    back. The map and all results, concatenated, pass a 3x3 convolution.

    Args:
        filters: output channels, and channels of each scale.
        pool_scales: numbers of windows along one side. Defaults to `(1, 2, 3, 6)`.
        overrides: settings of inner layers that were changed after they were made; see `layers.overrides`. Defaults to
            None.
        **kwargs: as for `keras.layers.Layer`, such as `name` and `dtype`.

    Shapes: `(batch, height, width, channels)` in, `(batch, height, width, filters)` out.

    Raises:
        ValueError: `filters` or a scale is not a positive integer.

    Example:

    >>> import numpy as np
    >>> from keras_convnext.segmentation.pyramid_pooling import PyramidPooling
    >>> tuple(PyramidPooling(8)(np.zeros((1, 7, 5, 16))).shape)
    (1, 7, 5, 8)
    """

    def __init__(
        self, filters: int, pool_scales: Sequence[int] = (1, 2, 3, 6), overrides: dict | None = None, **kwargs: Any
    ):
        super().__init__(**kwargs)
        self.filters = integer("filters", filters, 1)
        self.pool_scales = integers("pool_scales", pool_scales, 1)
        self.overrides = overrides
        self.scales = [
            ConvNormRelu(self.filters, dtype=self.dtype_policy, name=f"scale_{index}")
            for index, _ in enumerate(self.pool_scales)
        ]
        self.bottleneck = ConvNormRelu(self.filters, 3, dtype=self.dtype_policy, name="bottleneck")

    def build(self, input_shape: Shape) -> None:
        override_inner_layers(self)
        for scale in self.scales:
            scale.build(input_shape)
        channels = (input_shape[-1] or 0) + len(self.scales) * self.filters
        self.bottleneck.build((*input_shape[:-1], channels))

    def call(self, inputs: Tensor, training: bool | None = None) -> Tensor:
        size = ops.shape(inputs)[1:3]
        maps = [inputs]
        for scale, windows in zip(self.scales, self.pool_scales, strict=True):
            pooled = scale(adaptive_average_pool(inputs, windows), training=training)
            maps.append(resize_bilinear(pooled, size))
        return self.bottleneck(ops.concatenate(maps, axis=-1), training=training)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return (*input_shape[:-1], self.filters)

    def get_config(self) -> dict:
        return {
            **super().get_config(),
            "filters": self.filters,
            "pool_scales": self.pool_scales,
            "overrides": configured_overrides(self),
        }
