"""Depthwise convolution: each channel has a separate kernel (arXiv:2201.03545, sections 2.3 and 2.5)."""

from typing import Any

import keras
from keras import ops

from keras_convnext import kernels
from keras_convnext.layers.initialization import weight_initializer
from keras_convnext.scalars import flag, integer
from keras_convnext.typing import Shape, Tensor


@keras.saving.register_keras_serializable(package="keras_convnext")
class DepthwiseConv2D(keras.layers.Layer):
    """Convolves each channel with its own kernel. The input is padded by `dilation_rate * (kernel_size // 2)` zeros.

    On TensorFlow without a GPU, Keras's default `jit_compile="auto"` compiles a model with this layer without XLA,
    because XLA's depthwise convolution is 50 to 100 times slower than TensorFlow's there.

    Args:
        kernel_size: side of the kernel, an odd number. Defaults to 7.
        dilation_rate: distance between the taps of the kernel. Defaults to 1.
        use_bias: whether there is a bias. Defaults to True.
        strides: stride of the output. With 2, every second row and column is dropped after the convolution. Defaults
            to 1.
        **kwargs: as for `keras.layers.Layer`, such as `name` and `dtype`.

    Weights: `kernel` of shape `(kernel_size, kernel_size, channels, 1)`, `bias` of shape `(channels,)`.

    Shapes: `(batch, height, width, channels)` in, `(batch, height / strides, width / strides, channels)` out, rounded
    up.

    Raises:
        ValueError: `kernel_size` is even or not positive.

    Example:

    >>> import numpy as np
    >>> from keras_convnext.layers import DepthwiseConv2D
    >>> tuple(DepthwiseConv2D()(np.zeros((1, 14, 14, 8))).shape)
    (1, 14, 14, 8)
    """

    def __init__(
        self, kernel_size: int = 7, dilation_rate: int = 1, use_bias: bool = True, strides: int = 1, **kwargs: Any
    ):
        super().__init__(**kwargs)
        self.kernel_size = integer("kernel_size", kernel_size, 1)
        self.dilation_rate = integer("dilation_rate", dilation_rate, 1)
        self.use_bias = flag("use_bias", use_bias)
        self.strides = integer("strides", strides, 1)
        if self.kernel_size % 2 == 0:
            raise ValueError(f"`kernel_size` must be odd. Received: kernel_size={kernel_size}")
        self.input_spec = keras.InputSpec(ndim=4)
        if kernels.avoids_jit():
            self.supports_jit = False

    def build(self, input_shape: Shape) -> None:
        channels = input_shape[-1]
        self.kernel = self.add_weight(
            name="kernel",
            shape=(self.kernel_size, self.kernel_size, channels, 1),
            initializer=weight_initializer(),
        )
        if self.use_bias:
            self.bias = self.add_weight(name="bias", shape=(channels,), initializer="zeros")

    def call(self, inputs: Tensor, training: bool | None = None) -> Tensor:
        bias = ops.convert_to_tensor(self.bias) if self.use_bias else None
        kernel = ops.convert_to_tensor(self.kernel)
        outputs = kernels.depthwise_conv(inputs, kernel, bias, dilation=self.dilation_rate, training=bool(training))
        return outputs if self.strides == 1 else outputs[:, :: self.strides, :: self.strides]

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        batch, *sides, channels = input_shape
        return (batch, *(side and -(-side // self.strides) for side in sides), channels)

    def get_config(self) -> dict:
        return {
            **super().get_config(),
            "kernel_size": self.kernel_size,
            "dilation_rate": self.dilation_rate,
            "use_bias": self.use_bias,
            "strides": self.strides,
        }
