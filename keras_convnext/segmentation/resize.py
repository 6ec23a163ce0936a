"""Bilinear resizing of feature maps and logits, equal to torch's with `align_corners=False`."""

from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from keras_convnext import kernels
from keras_convnext.segmentation.resampling import exact_dtype, resample
from keras_convnext.typing import Shape, Tensor


def resize_bilinear(x: Tensor, size: tuple) -> Tensor:
    """Resizes a map bilinearly, without antialiasing, with the centres of its pixels at half-integers.

    Args:
        x: tensor of shape `(batch, height, width, channels)`.
        size: the new height and width: integers, or scalar tensors where they are known only when the graph runs, as on
            TensorFlow.

    Returns:
        A tensor of the dtype of `x`.

    Example:

    >>> import numpy as np
    >>> from keras_convnext.segmentation.resize import resize_bilinear
    >>> np.asarray(resize_bilinear(np.array([[0.0, 4.0]], "float32").reshape(1, 1, 2, 1), (1, 4))).ravel().tolist()
    [0.0, 1.0, 3.0, 4.0]
    """
    own = ops.shape(x)[1:3]
    if not all(isinstance(side, int) for side in (*size, *own)):
        # Keras resizes to integers alone. The same weights as matrices work for sizes known when the graph runs.
        rows, columns = (_weights(*sides, exact_dtype(x)) for sides in zip(own, size, strict=True))
        return resample(x, rows, columns)
    if tuple(own) == tuple(size):
        return x
    exact = ops.cast(x, exact_dtype(x))  # as TensorFlow does by itself, unseen by converters to ONNX
    resized = ops.image.resize(exact, size, interpolation="bilinear", antialias=False, data_format="channels_last")
    return ops.cast(resized, x.dtype)


def _weights(count, new_count, dtype):
    """The matrix that interpolates linearly between `count` values to give `new_count`."""
    old, new = (ops.cast(kernels.comparable_size(one), dtype) for one in (count, new_count))
    place = (ops.arange(new_count, dtype=dtype) + 0.5) * (old / new) - 0.5
    place = ops.minimum(ops.maximum(place, 0), old - 1)
    return ops.relu(1 - ops.abs(place[:, None] - ops.arange(count, dtype=dtype)[None]))


@keras.saving.register_keras_serializable(package="keras_convnext")
class ResizeToImage(keras.layers.Layer):
    """Resizes logits to the size of an image, and applies the activation of the output.

    Args:
        activation: activation after the resizing. Defaults to None, for none.
        data_format: `"channels_last"` or `"channels_first"`, of the image and of the output. Defaults to
            `"channels_last"`.
        **kwargs: as for `keras.layers.Layer`, such as `name` and `dtype`.

    Shapes: logits `(batch, height, width, classes)` and an image in; classes at the image's size, in `data_format`,
    out.

    Example:

    >>> import numpy as np
    >>> from keras_convnext.segmentation.resize import ResizeToImage
    >>> tuple(ResizeToImage()([np.zeros((1, 4, 4, 5)), np.zeros((1, 15, 16, 3))]).shape)
    (1, 15, 16, 5)
    """

    def __init__(
        self, activation: str | dict | Callable | None = None, data_format: str = "channels_last", **kwargs: Any
    ):
        super().__init__(**kwargs)
        self.activation = keras.activations.get(activation)
        self.data_format = data_format

    def call(self, inputs: list[Tensor]) -> Tensor:
        logits, image = inputs
        outputs = self.activation(resize_bilinear(logits, self._size(ops.shape(image))))
        return ops.transpose(outputs, (0, 3, 1, 2)) if self.data_format == "channels_first" else outputs

    def _size(self, shape):
        return tuple(shape[2:] if self.data_format == "channels_first" else shape[1:3])

    def compute_output_shape(self, input_shape: list[Shape]) -> Shape:
        logits, image = input_shape
        size = self._size(image)
        channels_first = self.data_format == "channels_first"
        return (logits[0], logits[-1], *size) if channels_first else (logits[0], *size, logits[-1])

    def get_config(self) -> dict:
        return {
            **super().get_config(),
            "activation": keras.activations.serialize(self.activation),
            "data_format": self.data_format,
        }
