"""How the images of a published checkpoint's evaluation were prepared."""

from keras_convnext.checkpoints import find_preset
from keras_convnext.preprocessing.resize import ResizeAndCrop
from keras_convnext.variants import get_variant


def preprocessor(preset, image_size=None):
    """The transform that makes a picture an image for a preset's model, as in the evaluation that was published.

    That is Pillow's resizing and a centre crop; what follows, mean and deviation, is the model's own first layer.

    Args:
        preset: str, a name that `list_presets()` has, or the hub's. Of a variant it is the authors' evaluation: 7/8 of
            the shorter side, and from 384 pixels up the whole picture squashed to a square.
        image_size: int, another side in pixels than the preset's.

    Returns:
        `ResizeAndCrop`: call it with an array of shape `(height, width, 3)` in 0..255, or a Pillow image.

    Raises:
        ValueError: an unknown name.

    Example:

    >>> import numpy as np
    >>> transform = preprocessor("convnext_tiny_1k_224_ema")
    >>> transform(np.zeros((480, 640, 3), "uint8")).shape
    (224, 224, 3)
    """
    variant, checkpoint = find_preset(preset)
    if checkpoint:
        side = image_size or checkpoint.image_size
        return ResizeAndCrop(side, side, checkpoint.crop_pct, checkpoint.squash, checkpoint.interpolation)
    side = image_size or get_variant(variant).image_size
    squash = side >= 384
    return ResizeAndCrop(side, side, 1.0 if squash else 0.875, squash)
