"""A part of an image of any size and nearly any proportions, resized: "Inception crop" (arXiv:1409.4842, section 6)."""

import math

import keras
import numpy as np
from PIL import Image

from keras_convnext.preprocessing.augmentation.seeded import PillowAugmentation

ATTEMPTS = 10


@keras.saving.register_keras_serializable(package="keras_convnext")
class RandomResizedCrop(PillowAugmentation):
    """Crops a random part of an image and resizes it with Pillow.

    The part's area is drawn evenly from `scale` times the image's, the logarithm of its proportions evenly from
    `ratio`; a part that does not fit is drawn anew, up to ten times. Then the centre is taken, as large as `ratio` lets
    it. This is what timm and torchvision do.

    Args:
        height, width: int, pixels of the result.
        scale: pair of float in (0, 1], least and greatest area. Defaults to (0.08, 1).
        ratio: pair of float, least and greatest width over height. Defaults to (3/4, 4/3).
        interpolation: `"bicubic"` or `"bilinear"`. Defaults to `"bicubic"`.

    Call: as `PillowAugmentation`.
    """

    SALT = 2

    def __init__(self, height, width, scale=(0.08, 1.0), ratio=(3 / 4, 4 / 3), interpolation="bicubic", **kwargs):
        super().__init__(**kwargs)
        self.height = height
        self.width = width
        self.scale = tuple(scale)
        self.ratio = tuple(ratio)
        self.interpolation = interpolation
        self._resampling = Image.Resampling[interpolation.upper()]

    def augment_picture(self, picture, generator):
        top, left, height, width = random_box(picture.height, picture.width, self.scale, self.ratio, generator)
        part = picture.crop((left, top, left + width, top + height))
        return part.resize((self.width, self.height), self._resampling)

    def compute_output_shape(self, input_shape):
        return (self.height, self.width, input_shape[-1])

    def get_config(self):
        return {
            **super().get_config(),
            "height": self.height,
            "width": self.width,
            "scale": self.scale,
            "ratio": self.ratio,
            "interpolation": self.interpolation,
        }


def random_box(height, width, scale, ratio, generator):
    """A part of an image of some size.

    Args:
        height, width: int, of the image.
        scale, ratio: as for `RandomResizedCrop`.
        generator: `numpy.random.Generator`.

    Returns:
        `(top, left, height, width)`.
    """
    for area, logarithm in zip(
        height * width * generator.uniform(*scale, ATTEMPTS), generator.uniform(*np.log(ratio), ATTEMPTS), strict=True
    ):
        proportion = math.exp(logarithm)
        part_width, part_height = round(math.sqrt(area * proportion)), round(math.sqrt(area / proportion))
        if 0 < part_width <= width and 0 < part_height <= height:
            top, left = generator.integers((height - part_height + 1, width - part_width + 1))
            return int(top), int(left), part_height, part_width
    part_width = min(width, round(height * ratio[1]))
    part_height = min(height, round(width / ratio[0]))
    return (height - part_height) // 2, (width - part_width) // 2, part_height, part_width
