"""timm's SimpleNorm: division by the standard deviation over the channels, without centering."""

import keras

from keras_convnext import kernels
from keras_convnext.layers.rms_norm import RmsNorm
from keras_convnext.typing import Shape


@keras.saving.register_keras_serializable(package="keras_convnext")
class SimpleNorm(RmsNorm):
    """Divides by the standard deviation over the channels. It subtracts no mean and adds no bias.

        y = x / sqrt(var(x) + epsilon) * gamma,   var(x) = sum((x - mean(x))**2) / (channels - 1)

    timm's `convnext_zepto_rms` uses it, in spite of its name. The variance is the unbiased one, as in `torch.var`.

    Args:
        epsilon: keeps the division finite. Defaults to 1e-6.
        **kwargs: as for `keras.layers.Layer`, such as `name` and `dtype`.

    Weights: `gamma` of shape `(channels,)`, initialized to ones.

    Shapes: `(..., channels)` in and out.

    Raises:
        ValueError: there is a single channel, whose variance is undefined.

    Example:

    >>> import keras
    >>> import numpy as np
    >>> from keras_convnext.layers.simple_norm import SimpleNorm
    >>> print(keras.ops.convert_to_numpy(SimpleNorm()(np.array([[1.0, 2.0, 3.0]]))).round(3))
    [[1. 2. 3.]]
    """

    function = staticmethod(kernels.simple_norm)

    def build(self, input_shape: Shape) -> None:
        if input_shape[-1] == 1:
            raise ValueError(f"SimpleNorm needs two channels or more. Received: input_shape={tuple(input_shape)}")
        super().build(input_shape)
