"""The layer that makes an auxiliary head part of a model with one output."""

import keras

from keras_convnext.typing import Shape, Tensor


@keras.saving.register_keras_serializable(package="keras_convnext")
class MainOutput(keras.layers.Layer):
    """Returns the first of its inputs. This makes all inputs, and the layers that compute them, part of the model."""

    def call(self, inputs: list[Tensor]) -> Tensor:
        return inputs[0]

    def compute_output_shape(self, input_shape: list[Shape]) -> Shape:
        return input_shape[0]
