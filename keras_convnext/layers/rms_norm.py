"""Root mean square normalization over the channels (arXiv:1910.07467)."""

from typing import Any

import keras
from keras import ops

from keras_convnext import kernels
from keras_convnext.scalars import number
from keras_convnext.typing import Shape, Tensor


@keras.saving.register_keras_serializable(package="keras_convnext")
class RmsNorm(keras.layers.Layer):
    """Divides by the root mean square over the channels. Unlike LayerNorm it subtracts no mean and adds no bias.

        y = x / sqrt(mean(x**2) + epsilon) * gamma

    The squares are summed in float32 or better, whatever the type of the input: 256 squared overflows float16.

    Args:
        epsilon: keeps the division finite. Defaults to 1e-6.
        **kwargs: as for `keras.layers.Layer`, such as `name` and `dtype`.

    Weights: `gamma` of shape `(channels,)`, initialized to ones.

    Shapes: `(..., channels)` in and out.

    Example:

    >>> import keras
    >>> import numpy as np
    >>> from keras_convnext.layers.rms_norm import RmsNorm
    >>> print(keras.ops.convert_to_numpy(RmsNorm()(np.array([[3.0, 4.0, 0.0, 0.0]]))).round(3))
    [[1.2 1.6 0.  0. ]]
    """

    function = staticmethod(kernels.rms_norm)

    def __init__(self, epsilon: float = 1e-6, **kwargs: Any):
        super().__init__(**kwargs)
        self.epsilon = number("epsilon", epsilon, 0)

    def build(self, input_shape: Shape) -> None:
        self.gamma = self.add_weight(name="gamma", shape=(input_shape[-1],), initializer="ones", autocast=False)

    def call(self, inputs: Tensor, training: bool | None = None) -> Tensor:
        gamma, inputs = ops.convert_to_tensor(self.gamma), ops.cast(inputs, self.compute_dtype)
        return self.function(inputs, gamma, epsilon=self.epsilon, training=bool(training))

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return input_shape

    def get_config(self) -> dict:
        return {**super().get_config(), "epsilon": self.epsilon}
