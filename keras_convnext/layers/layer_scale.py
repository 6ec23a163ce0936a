"""LayerScale: one learned factor per channel (arXiv:2201.03545, Table 5; from arXiv:2103.17239)."""

from typing import Any

import keras
from keras import ops

from keras_convnext import kernels
from keras_convnext.scalars import number
from keras_convnext.typing import Shape, Tensor


@keras.saving.register_keras_serializable(package="keras_convnext")
class LayerScale(keras.layers.Layer):
    """Multiplies each channel by a learned factor: `y = gamma * x`.

    The product is computed in the dtype of the weight, which is float32 under mixed precision: 1e-6 is below the normal
    range of float16, and would keep only four significant bits there.

    Args:
        init_value: the initial value of every factor. Defaults to 1e-6.
        **kwargs: as for `keras.layers.Layer`, such as `name` and `dtype`.

    Shapes: `(..., channels)` in and out.

    Example:

    >>> import keras
    >>> import numpy as np
    >>> from keras_convnext.layers import LayerScale
    >>> layer = LayerScale(init_value=0.5)
    >>> print(keras.ops.convert_to_numpy(layer(np.array([[2.0, 4.0]]))))
    [[1. 2.]]
    """

    def __init__(self, init_value: float = 1e-6, **kwargs: Any):
        super().__init__(**kwargs)
        self.init_value = number("init_value", init_value)

    def build(self, input_shape: Shape) -> None:
        self.gamma = self.add_weight(
            name="gamma",
            shape=(input_shape[-1],),
            initializer=keras.initializers.Constant(self.init_value),
            autocast=False,
        )

    def call(self, inputs: Tensor) -> Tensor:
        return kernels.layer_scale(ops.cast(inputs, self.compute_dtype), ops.convert_to_tensor(self.gamma))

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return input_shape

    def get_config(self) -> dict:
        return {**super().get_config(), "init_value": self.init_value}
