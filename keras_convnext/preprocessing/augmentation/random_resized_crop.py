"""A part of an image of any size and nearly any proportions, resized: "Inception crop" (arXiv:1409.4842, section 6)."""

import math
from dataclasses import dataclass

import keras
import numpy as np
from PIL import Image

from keras_convnext.preprocessing.augmentation.step import PictureStep

ATTEMPTS = 10


@keras.saving.register_keras_serializable(package="keras_convnext")
@dataclass(frozen=True)
class RandomResizedCrop(PictureStep):
    """Crops a random part of an image and resizes it with Pillow.

    The part's area is drawn evenly from `scale` times the image's, the logarithm of its proportions evenly from
    `ratio`; a part that does not fit is drawn anew, up to ten times. Then the centre is taken, as large as `ratio` lets
    it. This is what timm and torchvision do.

    Attributes:
        height, width: int, pixels of the result.
        scale: least and greatest area, in (0, 1].
        ratio: least and greatest width over height.
        interpolation: `"bicubic"` or `"bilinear"`.
    """

    SALT = 2

    height: int
    width: int
    scale: tuple[float, float] = (0.08, 1.0)
    ratio: tuple[float, float] = (3 / 4, 4 / 3)
    interpolation: str = "bicubic"

    def augment_picture(self, picture, generator):
        top, left, height, width = random_box(picture.height, picture.width, self.scale, self.ratio, generator)
        box = (left, top, left + width, top + height)
        return picture.crop(box).resize((self.width, self.height), Image.Resampling[self.interpolation.upper()])


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
