"""The transform of images with which a preset's checkpoint was evaluated."""

from keras_convnext.checkpoints import SQUASH_FROM, find_preset
from keras_convnext.preprocessing.resize import ResizeAndCrop
from keras_convnext.scalars import integer, optional
from keras_convnext.variants import get_variant


def preprocessor(preset: str, image_size: int | None = None) -> ResizeAndCrop:
    """Returns the transform that prepares images for a preset's model, as in its published evaluation.

    It resizes with Pillow and crops the centre. The model's first layer normalizes with mean and standard deviation.

    Args:
        preset: a name that `list_presets()` returns, or its name on the hub.
        image_size: side of the result in pixels. Defaults to None: the preset's own. Other sizes, and variants without
            weights, follow the authors' rule: a centre crop with 7/8 of the shorter side below 384 pixels, and the
            whole image resized to a square from 384 pixels on.

    Returns:
        `ResizeAndCrop`: call it with an array of shape `(height, width, 3)` in 0..255, or a PIL image.

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
