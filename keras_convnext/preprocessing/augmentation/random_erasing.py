"""Random erasing (arXiv:1708.04896) with noise for each pixel, as timm's mode `pixel`."""

import math
from dataclasses import dataclass

import keras
import numpy as np

from keras_convnext.normalization import IMAGENET_MEAN, IMAGENET_STD
from keras_convnext.preprocessing.augmentation.step import Step

ATTEMPTS = 10


@keras.saving.register_keras_serializable(package="keras_convnext")
@dataclass(frozen=True)
class RandomErasing(Step):
    """Replaces a rectangle of an image by noise: standard normal for an image that is normalized.

    The area is drawn evenly, the logarithm of the proportions too; a rectangle that does not fit is drawn anew, up to
    ten times.

    Attributes:
        rate: float in [0, 1], how often.
        area: least and greatest part of the image's.
        ratio: least and greatest height over width.
        mean, std: in units of 0..1, what the model normalizes with, for each channel or one for all.
    """

    SALT = 4

    rate: float = 0.25
    area: tuple[float, float] = (0.02, 1 / 3)
    ratio: tuple[float, float] = (0.3, 1 / 0.3)
    mean: tuple[float, ...] = IMAGENET_MEAN
    std: tuple[float, ...] = IMAGENET_STD

    def erase(self, pixels, generator):
        """Erases a part of an image, in place.

        Args:
            pixels: float32 array of shape `(height, width, channels)` in 0..255. Noise may pass 0 and 255.
            generator: `numpy.random.Generator`.

        Raises:
            ValueError: images of other channels than `mean` and `std` are for.
        """
        patch = self.drawn(pixels.shape, generator)
        if patch is not None:
            top, left, noise = patch
            pixels[top : top + noise.shape[0], left : left + noise.shape[1]] = noise

    def drawn(self, shape, generator):
        """What an image of a shape gets: `(top, left, noise)`, or None."""
        height, width, channels = shape
        if len(self.mean) not in (1, channels):
            raise ValueError(
                f"Expected a mean and a deviation for each channel, or one for all. Received: mean={self.mean}, "
                f"std={self.std} and images of {channels} channels"
            )
        if generator.random() >= self.rate:
            return None
        top, left, box_height, box_width = self.box(height, width, generator)
        noise = generator.standard_normal((box_height, box_width, channels), dtype="float32")
        noise *= 255 * np.asarray(self.std, "float32")
        noise += 255 * np.asarray(self.mean, "float32")
        return top, left, noise

    def box(self, height, width, generator):
        """The rectangle in an image of some size: `(top, left, height, width)`, of no size where none fits."""
        low, high = (math.log(ratio) for ratio in self.ratio)
        for _ in range(ATTEMPTS):
            pixels = height * width * generator.uniform(*self.area)
            proportion = math.exp(generator.uniform(low, high))
            box_height, box_width = round(math.sqrt(pixels * proportion)), round(math.sqrt(pixels / proportion))
            if box_height < height and box_width < width:
                top = generator.integers(height - box_height + 1)
                return int(top), int(generator.integers(width - box_width + 1)), box_height, box_width
        return 0, 0, 0, 0
