"""Global Response Normalization (arXiv:2301.00808, section 4)."""

from typing import Any

import keras
from keras import ops

from keras_convnext import kernels
from keras_convnext.scalars import number
from keras_convnext.typing import Shape, Tensor


@keras.saving.register_keras_serializable(package="keras_convnext")
class GlobalResponseNormalization(keras.layers.Layer):
    """Lets the channels of a feature map compete by their norms over space.

        G = ||x|| over height and width        (batch, 1, 1, channels)
        N = G / (mean of G over channels + epsilon)
        y = x * N * gamma + beta + x

    The squares are summed in float32, whatever the type of the input, because 256 squared overflows float16. The
    gradient of a channel that is all zeros is zero, where that of a plain square root is NaN.

    Args:
        epsilon: keeps the division finite. Defaults to 1e-6.
        **kwargs: as for `keras.layers.Layer`, such as `name` and `dtype`.

    Weights: `gamma` and `beta`, of shape `(channels,)`, initialized to zeros: the layer starts as the identity.

    Shapes: `(batch, height, width, channels)` in and out.

    Example:

    >>> import keras
    >>> import numpy as np
    >>> from keras_convnext.layers import GlobalResponseNormalization
    >>> x = np.random.default_rng(0).normal(size=(2, 4, 4, 8)).astype("float32")
    >>> y = GlobalResponseNormalization()(x)
    >>> bool(np.allclose(keras.ops.convert_to_numpy(y), x))
    True
    """

    def __init__(self, epsilon: float = 1e-6, **kwargs: Any):
        super().__init__(**kwargs)
        self.epsilon = number("epsilon", epsilon, 0)
        self.input_spec = keras.InputSpec(ndim=4)

    def build(self, input_shape: Shape) -> None:
        channels = (input_shape[-1],)
        self.gamma = self.add_weight(name="gamma", shape=channels, initializer="zeros", autocast=False)
        self.beta = self.add_weight(name="beta", shape=channels, initializer="zeros", autocast=False)

    def call(self, inputs: Tensor) -> Tensor:
        gamma, beta = ops.convert_to_tensor(self.gamma), ops.convert_to_tensor(self.beta)
        return kernels.grn(ops.cast(inputs, self.compute_dtype), gamma, beta, epsilon=self.epsilon)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return input_shape

    def get_config(self) -> dict:
        return {**super().get_config(), "epsilon": self.epsilon}
