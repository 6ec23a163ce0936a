"""The images that a model takes: where their channels are, their sizes and their range."""

import keras

from keras_convnext.models.inner_backbone import backbone_of
from keras_convnext.models.layer_tree import sublayers


def is_channels_first(model: keras.Model) -> bool:
    """Whether a model takes images with the channels first, as its backbone does."""
    backbone = backbone_of(model)
    if backbone is None:
        return any(layer.name == "to_channels_last" for layer in model.layers)
    return backbone.data_format == "channels_first"


def image_axes(shape: tuple, channels_first: bool) -> tuple:
    """Height, width and channels of the shape of an image.

    Example:

    >>> from keras_convnext.models.image_input import image_axes
    >>> image_axes((3, None, 64), channels_first=True)
    (None, 64, 3)
    """
    return (*shape[1:], shape[0]) if channels_first else tuple(shape)


def value_range(model: keras.Model) -> list[int] | None:
    """The range of the images: `[0, 255]` if the model normalizes them, and None if that is not known."""
    normalizes = any(isinstance(layer, keras.layers.Normalization) for _, layer, _ in sublayers(model))
    return [0, 255] if normalizes else None
