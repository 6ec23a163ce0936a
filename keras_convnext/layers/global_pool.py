"""The pooling of a feature map before the head (arXiv:2201.03545, section 2.6)."""

from typing import Any

import keras
from keras import ops

from keras_convnext import kernels
from keras_convnext.typing import Shape, Tensor

POOLINGS = ("avg", "max", "avgmax", None)


@keras.saving.register_keras_serializable(package="keras_convnext")
class GlobalPool(keras.layers.GlobalAveragePooling2D):
    """Pools a channels-last map over height and width: by its mean, its maximum, or the mean of the two.

    Args:
        pooling: `"avg"`, `"max"`, `"avgmax"` (half the sum of both, as in timm) or None, which returns the map as it
            is. Defaults to `"avg"`.
        **kwargs: `keepdims`, and as for `keras.layers.Layer`.

    Shapes: `(batch, height, width, channels)` in, `(batch, channels)` out, or `(batch, 1, 1, channels)` with
    `keepdims`. With `pooling=None` the shape is unchanged.

    Raises:
        ValueError: `pooling` is unknown.

    Example:

    >>> import numpy as np
    >>> from keras_convnext.layers.global_pool import GlobalPool
    >>> x = np.arange(4.0).reshape(1, 2, 2, 1)
    >>> [float(GlobalPool(pooling)(x)[0, 0]) for pooling in ("avg", "max", "avgmax")]
    [1.5, 3.0, 2.25]
    """

    def __init__(self, pooling: str | None = "avg", **kwargs: Any):
        super().__init__(**{**kwargs, "data_format": "channels_last"})
        if pooling not in POOLINGS:
            raise ValueError(f"`pooling` must be one of {', '.join(map(str, POOLINGS))}. Received: {pooling!r}")
        self.pooling = pooling

    def call(self, inputs: Tensor) -> Tensor:
        if self.pooling is None:
            return inputs
        if self.pooling == "avg":
            return self._mean(inputs)
        highest = ops.max(inputs, axis=(1, 2), keepdims=self.keepdims)
        return highest if self.pooling == "max" else 0.5 * (self._mean(inputs) + highest)

    def _mean(self, inputs):
        mean = kernels.global_mean(inputs)
        return mean[:, None, None] if self.keepdims else mean

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return input_shape if self.pooling is None else super().compute_output_shape(input_shape)

    def get_config(self) -> dict:
        return {**super().get_config(), "pooling": self.pooling}
