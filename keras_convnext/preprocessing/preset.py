"""How the images of a published checkpoint's evaluation were prepared."""

from keras_convnext.checkpoints import SQUASH_FROM, find_preset
from keras_convnext.preprocessing.resize import ResizeAndCrop
from keras_convnext.scalars import integer, optional
from keras_convnext.variants import get_variant


def preprocessor(preset, image_size=None):
    """The transform that makes a picture an image for a preset's model, as in the evaluation that was published.

    That is Pillow's resizing and a centre crop; what follows, mean and deviation, is the model's own first layer.

    Args:
        preset: str, a name that `list_presets()` has, or the hub's.
        image_size: int, a side in pixels. At another than the preset's, and for a variant without weights, the authors'
            rule holds: 7/8 of the shorter side, and from 384 pixels up the whole picture squashed to a square.

    Returns:
        `ResizeAndCrop`: call it with an array of shape `(height, width, 3)` in 0..255, or a Pillow image.

    Raises:
        ValueError: an unknown name.

    Example:

    >>> import numpy as np
    >>> from keras_convnext import preprocessor
    >>> transform = preprocessor("convnext_tiny_1k_224_ema")
    >>> transform(np.zeros((480, 640, 3), "uint8")).shape
    (224, 224, 3)
    """
    variant, checkpoint = find_preset(preset)
    published = checkpoint or get_variant(variant)
    side = optional(integer, "image_size", image_size, 1) or published.image_size
    if checkpoint and side == checkpoint.image_size:
        return ResizeAndCrop(side, side, checkpoint.crop_pct, checkpoint.squash, checkpoint.interpolation)
    squash = side >= SQUASH_FROM
    return ResizeAndCrop(
        side, side, 1.0 if squash else 0.875, squash, checkpoint.interpolation if checkpoint else "bicubic"
    )
