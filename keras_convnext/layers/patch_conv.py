"""A convolution whose patches do not overlap, as a linear layer over the patches (arXiv:2010.11929, section 3.1)."""

import keras
from keras import ops

from keras_convnext import kernels
from keras_convnext.layers.initialization import weight_initializer
from keras_convnext.scalars import integer
from keras_convnext.typing import Tensor


@keras.saving.register_keras_serializable(package="keras_convnext")
class PatchConv(keras.layers.Conv2D):
    """A `keras.layers.Conv2D` whose stride equals its kernel size, computed as one matrix product.

    On CPU, the backends' convolutions take up to four times longer, and their gradients even more.

    Args:
        filters: output channels.
        patch_size: side of the kernel and of the patches.
        use_bias: whether there is a bias. Defaults to True.
        trainable: as in `keras.layers.Layer`.
        dtype: as in `keras.layers.Layer`.
        name: as in `keras.layers.Layer`.

    Weights: `kernel` of shape `(patch_size, patch_size, channels, filters)`, `bias` of shape `(filters,)`.

    Shapes: `(batch, height, width, channels)` in, `(batch, height // patch_size, width // patch_size, filters)` out;
    rows and columns that do not fill a patch are dropped.

    Example:

    >>> import numpy as np
    >>> from keras_convnext.layers.patch_conv import PatchConv
    >>> tuple(PatchConv(16, patch_size=4)(np.zeros((1, 30, 28, 3))).shape)
    (1, 7, 7, 16)
    """

    def __init__(
        self,
        filters: int,
        patch_size: int,
        use_bias: bool = True,
        trainable: bool = True,
        dtype: str | dict | keras.DTypePolicy | None = None,
        name: str | None = None,
    ):
        patch_size = integer("patch_size", patch_size, 1)
        super().__init__(
            integer("filters", filters, 1),
            kernel_size=patch_size,
            strides=patch_size,
            padding="valid",
            data_format="channels_last",
            use_bias=use_bias,
            kernel_initializer=weight_initializer(),
            trainable=trainable,
            dtype=dtype,
            name=name,
        )
        self.patch_size = patch_size

    def call(self, inputs: Tensor, training: bool | None = None) -> Tensor:
        bias = ops.convert_to_tensor(self.bias) if self.use_bias else None
        return kernels.patch_embed(inputs, ops.convert_to_tensor(self.kernel), bias, training=bool(training))

    def get_config(self) -> dict:
        config = keras.layers.Layer.get_config(self)
        return {**config, "filters": self.filters, "patch_size": self.patch_size, "use_bias": self.use_bias}
