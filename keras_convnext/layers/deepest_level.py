"""The layer that makes all levels of a feature pyramid part of a model whose output is the deepest one."""

import keras

from keras_convnext.typing import Shape, Tensor


@keras.saving.register_keras_serializable(package="keras_convnext")
class DeepestLevel(keras.layers.Layer):
    """Returns the last of its inputs. This makes all inputs, and the layers that compute them, part of the model."""

    def call(self, inputs: list[Tensor]) -> Tensor:
        return inputs[-1]

    def compute_output_shape(self, input_shape: list[Shape]) -> Shape:
        return input_shape[-1]
