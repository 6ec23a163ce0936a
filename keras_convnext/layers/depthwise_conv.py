"""Depthwise convolution: each channel has a kernel of its own (arXiv:2201.03545, sections 2.3 and 2.5)."""

import keras
from keras import ops

from keras_convnext.layers.initialization import weight_initializer
from keras_convnext.layers.lowering import on_jax_cpu, on_tensorflow, on_tensorflow_cpu, on_torch
from keras_convnext.scalars import flag, integer


@keras.saving.register_keras_serializable(package="keras_convnext")
class DepthwiseConv2D(keras.layers.Layer):
    """Convolves each channel with its own kernel, with `kernel_size // 2` zeros (dilated, more) around the map.

    On TensorFlow without a GPU the layer turns XLA off for every model that it stands in and that is compiled with
    Keras's default `jit_compile="auto"`: there XLA's depthwise convolution is 50 to 100 times slower than TensorFlow's.
    On JAX without a GPU it is a sum of shifted products (`depthwise_shifts`). On torch and TensorFlow the
    convolution adds the bias.

    Args:
        kernel_size: int, an odd side of the kernel. Defaults to 7.
        dilation_rate: int, the distance of the kernel's taps. Defaults to 1.
        use_bias: bool. Defaults to True.
        strides: int; with 2, every second row and column is left out, after they were computed. Defaults to 1.

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

    def __init__(self, kernel_size=7, dilation_rate=1, use_bias=True, strides=1, **kwargs):
        super().__init__(**kwargs)
        self.kernel_size = integer("kernel_size", kernel_size, 1)
        self.dilation_rate = integer("dilation_rate", dilation_rate, 1)
        self.use_bias = flag("use_bias", use_bias)
        self.strides = integer("strides", strides, 1)
        if self.kernel_size % 2 == 0:
            raise ValueError(f"`kernel_size` must be odd. Received: kernel_size={kernel_size}")
        self.input_spec = keras.InputSpec(ndim=4)
        if on_tensorflow_cpu():
            self.supports_jit = False

    def build(self, input_shape):
        channels = input_shape[-1]
        self.kernel = self.add_weight(
            name="kernel",
            shape=(self.kernel_size, self.kernel_size, channels, 1),
            initializer=weight_initializer(),
        )
        if self.use_bias:
            self.bias = self.add_weight(name="bias", shape=(channels,), initializer="zeros")

    def call(self, inputs, training=None):
        outputs = self._at_stride_1(inputs, training)
        return outputs if self.strides == 1 else outputs[:, :: self.strides, :: self.strides]

    def _at_stride_1(self, inputs, training):
        function = self._function(inputs, training)
        if function is None:
            outputs = self._convolved(inputs)
            return outputs + self.bias if self.use_bias else outputs
        bias = ops.convert_to_tensor(self.bias) if self.use_bias else None
        return function(inputs, ops.convert_to_tensor(self.kernel), bias, self.dilation_rate)

    def _function(self, inputs, training):
        """The backend's own, which adds the bias too; None where there is none."""
        if on_torch():
            from keras_convnext.layers import torch_functions

            return torch_functions.depthwise_conv
        if on_tensorflow_cpu() and training and self.dilation_rate == 1:
            from keras_convnext.layers import tensorflow_training

            if tensorflow_training.serves(inputs):
                return tensorflow_training.depthwise_conv
        if on_tensorflow():
            from keras_convnext.layers import tensorflow_functions

            return tensorflow_functions.depthwise_conv
        return None

    def _convolved(self, inputs):
        if on_jax_cpu():
            from keras_convnext.layers.depthwise_shifts import depthwise_conv

            return depthwise_conv(inputs, ops.squeeze(self.kernel, -1), self.dilation_rate)
        return ops.depthwise_conv(
            inputs,
            self.kernel,
            strides=1,
            padding="same",
            data_format="channels_last",
            dilation_rate=self.dilation_rate,
        )

    def compute_output_shape(self, input_shape):
        batch, *sides, channels = input_shape
        return (batch, *(side and -(-side // self.strides) for side in sides), channels)

    def get_config(self):
        return {
            **super().get_config(),
            "kernel_size": self.kernel_size,
            "dilation_rate": self.dilation_rate,
            "use_bias": self.use_bias,
            "strides": self.strides,
        }
