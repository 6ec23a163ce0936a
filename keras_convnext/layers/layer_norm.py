"""Layer normalization over the channels (arXiv:2201.03545, section 2.6)."""

import keras
from keras import ops

from keras_convnext.layers.lowering import on_jax, on_tensorflow_cpu, on_torch
from keras_convnext.scalars import number


@keras.saving.register_keras_serializable(package="keras_convnext")
class LayerNorm(keras.layers.LayerNormalization):
    """`keras.layers.LayerNormalization` of the last axis, in one pass on torch and for inference on TensorFlow's CPU.

    Args:
        epsilon: float. Defaults to 1e-6.
        **kwargs: as `keras.layers.Layer`.

    Shapes: `(..., channels)` in and out.

    Example:

    >>> import numpy as np
    >>> from keras_convnext.layers.layer_norm import LayerNorm
    >>> tuple(LayerNorm()(np.ones((1, 14, 14, 8))).shape)
    (1, 14, 14, 8)
    """

    def __init__(self, epsilon=1e-6, **kwargs):
        super().__init__(epsilon=number("epsilon", epsilon, 0), **kwargs)

    def call(self, inputs, training=None):
        inputs = ops.cast(inputs, self.compute_dtype)
        function = self._function(inputs, training)
        if function is None:
            return super().call(inputs)
        return function(inputs, ops.convert_to_tensor(self.gamma), ops.convert_to_tensor(self.beta), self.epsilon)

    def _function(self, inputs, training):
        """The backend's own; None where Keras's is as good."""
        if on_jax():
            from keras_convnext.layers import jax_functions

            return jax_functions.layer_norm
        if on_torch():
            from keras_convnext.layers import torch_functions

            return torch_functions.layer_norm
        if on_tensorflow_cpu() and training:
            from keras_convnext.layers import tensorflow_training

            return tensorflow_training.layer_norm if tensorflow_training.serves(inputs) else None
        if on_tensorflow_cpu() and self.compute_dtype in ("float32", "bfloat16"):
            from keras_convnext.layers import tensorflow_functions

            return tensorflow_functions.layer_norm
        return None
