"""The precision of keras-cv's detectors: their heads compute as the backbone does, and return float32.

The layers of keras-cv take Keras's global dtype policy, and its models do not save theirs. Under a mixed one, anchors
are rounded, and TensorFlow cannot decode boxes. So a detector is made under `float32`, and then its heads are changed.
"""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import keras

from keras_convnext.models.layer_tree import sublayers


def retinanet_heads(model: keras.Model) -> list[keras.layers.Layer]:
    """The layers of `keras_cv.models.RetinaNet` between the backbone and the last convolutions."""
    pyramid = model.feature_pyramid
    inside = [layer for _, layer, _ in sublayers(pyramid)]
    return [pyramid, *inside, *model.classification_head.conv_layers, *model.box_head.conv_layers]


def yolov8_heads(model: keras.Model) -> list[keras.layers.Layer]:
    """The layers of `keras_cv.models.YOLOV8Detector` between the backbone and the last convolutions."""
    names = re.compile(r"pa_fpn_.*|yolo_v8_head_\d_(box|class)_[12](_.*)?")
    return [layer for layer in model.layers if names.fullmatch(layer.name)]


HEADS: dict[str, Callable] = {"keras_cv>RetinaNet": retinanet_heads, "keras_cv>YOLOV8Detector": yolov8_heads}
"""The function that finds the heads, by the name under which Keras finds the model's class."""


@contextmanager
def made_in_float32() -> Iterator[None]:
    """Inside, layers without a dtype policy of their own have `float32`, whatever Keras's global policy is.

    Example:

    >>> import keras
    >>> from keras_convnext.models.head_precision import made_in_float32
    >>> with made_in_float32():
    ...     layer = keras.layers.Dense(2)
    >>> layer.dtype_policy.name
    'float32'
    """
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("float32")
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def set_head_precision(model: keras.Model) -> keras.Model:
    """Gives the heads of a detector of keras-cv the dtype policy of its backbone.

    Args:
        model: the model, which is changed if it is one of those in `HEADS`.

    Returns:
        The same model. Its last layers, which make boxes and classes, keep their policy.

    Example:

    >>> from keras_convnext import detection
    >>> model = detection.retinanet("convnext_atto", num_classes=3, input_shape=(64, 64, 3), dtype="mixed_bfloat16")
    >>> model.feature_pyramid.compute_dtype, model.box_head.prediction_layer.compute_dtype
    ('bfloat16', 'float32')
    """
    find_heads = HEADS.get(keras.saving.get_registered_name(type(model)))
    if find_heads is not None:
        for layer in find_heads(model):
            layer.dtype_policy = model.backbone.dtype_policy
    return model
