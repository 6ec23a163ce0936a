"""Crops of random area and aspect ratio, resized: "Inception crop" (arXiv:1409.4842, section 6)."""

import math
from dataclasses import dataclass, replace
from typing import ClassVar

import keras
import numpy as np

from keras_convnext.preprocessing.augmentation.geometry import CropAndResize
from keras_convnext.preprocessing.augmentation.image_format import ImageFormat
from keras_convnext.preprocessing.augmentation.step import GeometricStep
from keras_convnext.scalars import integer, interval

ATTEMPTS = 10
INTERPOLATIONS = ("bicubic", "bilinear")


@keras.saving.register_keras_serializable(package="keras_convnext")
@dataclass(frozen=True)
class RandomResizedCrop(GeometricStep):
    """Crops a random part of an image and resizes it with Pillow.

    The area of the crop is uniform in `scale` times the image's area, and the logarithm of its aspect ratio is uniform
    in `ratio`. A crop that does not fit is sampled again, up to ten times; then the largest centre crop within `ratio`
    is taken. This is what timm and torchvision do.

    Attributes:
        height: height of the result in pixels. Defaults to None: the height of the images in the training.
        width: width of the result in pixels. Defaults to None: the width of the images in the training.
        scale: smallest and largest area of the crop, as a share of the image's area, in (0, 1]. Defaults to
            `(0.08, 1.0)`.
        ratio: smallest and largest aspect ratio (width / height). Defaults to `(3 / 4, 4 / 3)`.
        interpolation: `"bicubic"` or `"bilinear"`. Defaults to `"bicubic"`.

    Raises:
        ValueError: a value out of its range.

    Example:

    >>> import numpy as np
    >>> from keras_convnext.preprocessing.augmentation import RandomResizedCrop, augment_image, to_pil
    >>> image = to_pil(np.zeros((32, 48, 3), "uint8"))
    >>> augment_image(image, (0, 0, 0), [RandomResizedCrop(24, 24, scale=(0.5, 1.0))]).shape
    (24, 24, 3)
    """

    SALT: ClassVar[int] = 2

    height: int | None = None
    width: int | None = None
    scale: tuple[float, float] = (0.08, 1.0)
    ratio: tuple[float, float] = (3 / 4, 4 / 3)
    interpolation: str = "bicubic"

    def __post_init__(self):
        super().__post_init__()
        for name in ("height", "width"):
            if getattr(self, name) is not None:
                integer(name, getattr(self, name), 1)
        interval("scale", self.scale, most=1)
        interval("ratio", self.ratio)
        if self.interpolation not in INTERPOLATIONS:
            raise ValueError(f"`interpolation` must be bicubic or bilinear. Received: {self.interpolation!r}")

    def for_images(self, images: ImageFormat) -> "RandomResizedCrop":
        return replace(self, height=self.height or images.height, width=self.width or images.width)

    def output_size(self, height: int | None, width: int | None) -> tuple[int | None, int | None]:
        return self.height, self.width

    def transformation(self, height: int, width: int, generator: np.random.Generator) -> CropAndResize:
        if self.height is None or self.width is None:
            raise ValueError("RandomResizedCrop needs `height` and `width` if it is used outside of a training.")
        box = random_box(height, width, self.scale, self.ratio, generator)
        return CropAndResize(self.height, self.width, *box, self.interpolation)


def random_box(
    height: int,
    width: int,
    scale: tuple[float, float],
    ratio: tuple[float, float],
    generator: np.random.Generator,
) -> tuple[int, int, int, int]:
    """Samples a random part of an image.

    Args:
        height: height of the image in pixels.
        width: width of the image in pixels.
        scale: as for `RandomResizedCrop`.
        ratio: as for `RandomResizedCrop`.
        generator: source of all random numbers.

    Returns:
        `(top, left, height, width)`.
    """
    low, high = np.log(ratio)
    for area, logarithm in zip(
        height * width * generator.uniform(*scale, ATTEMPTS), generator.uniform(low, high, ATTEMPTS), strict=True
    ):
        proportion = math.exp(logarithm)
        part_width, part_height = round(math.sqrt(area * proportion)), round(math.sqrt(area / proportion))
        if 0 < part_width <= width and 0 < part_height <= height:
            top, left = generator.integers((height - part_height + 1, width - part_width + 1))
            return int(top), int(left), part_height, part_width
    part_width = min(width, round(height * ratio[1]))
    part_height = min(height, round(width / ratio[0]))
    return (height - part_height) // 2, (width - part_width) // 2, part_height, part_width
