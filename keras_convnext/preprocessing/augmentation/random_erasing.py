"""Random erasing (arXiv:1708.04896) with noise for each pixel, as timm's mode `pixel`."""

import math
from dataclasses import dataclass, replace
from typing import ClassVar

import keras
import numpy as np

from keras_convnext.preprocessing.augmentation.image_format import ImageFormat
from keras_convnext.preprocessing.augmentation.step import ArrayStep
from keras_convnext.scalars import between, interval

ATTEMPTS = 10


@keras.saving.register_keras_serializable(package="keras_convnext")
@dataclass(frozen=True)
class RandomErasing(ArrayStep):
    """Replaces a rectangle of an image by noise, which is standard normal after the model's normalization.

    The area of the rectangle and the logarithm of its aspect ratio are uniform. A rectangle that does not fit is
    sampled again, up to ten times.

    Boxes, label maps and keypoints stay as they are, also those of an object that is erased: the model learns to
    recognize it by the rest.

    Attributes:
        probability: probability of erasing, in [0, 1]. Defaults to 0.25.
        area: smallest and largest area of the rectangle, as a share of the image's area. Defaults to `(0.02, 1 / 3)`.
        ratio: smallest and largest aspect ratio (height / width). Defaults to `(0.3, 1 / 0.3)`.
        mean: what the model subtracts, one value per channel in units of 0..1. Defaults to None: in a training, the
            model's own; if the step is used by itself, ImageNet's.
        std: what the model divides by, one value per channel in units of 0..1. Defaults to None: chosen as for `mean`.

    Raises:
        ValueError: a value out of its range.

    Example:

    >>> import numpy as np
    >>> from keras_convnext.preprocessing.augmentation import RandomErasing, augment_image, to_pil
    >>> image = to_pil(np.zeros((32, 48, 3), "uint8"))
    >>> bool(augment_image(image, (0, 0, 0), [RandomErasing(probability=1.0)]).any())
    True
    """

    SALT: ClassVar[int] = 4
    moves_pixels: ClassVar[bool] = False
    STRENGTHS: ClassVar[tuple[str, ...]] = ("probability",)
    RENAMED: ClassVar[dict[str, str]] = {"rate": "probability"}

    probability: float = 0.25
    area: tuple[float, float] = (0.02, 1 / 3)
    ratio: tuple[float, float] = (0.3, 1 / 0.3)
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None

    def __post_init__(self):
        super().__post_init__()
        between("probability", self.probability, 0, 1)
        interval("area", self.area, most=1)
        interval("ratio", self.ratio)

    def for_images(self, images: ImageFormat) -> "RandomErasing":
        return replace(self, mean=self.mean or images.mean, std=self.std or images.std)

    def augment_array(self, pixels: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        patch = self.patch(pixels.shape, generator)
        if patch is None:
            return pixels
        top, left, noise = patch
        pixels = pixels.copy()
        pixels[top : top + noise.shape[0], left : left + noise.shape[1]] = noise
        return pixels

    def patch(self, shape: tuple[int, int, int], generator: np.random.Generator) -> tuple[int, int, np.ndarray] | None:
        """Samples the noise for an image of a given shape, and its place.

        Args:
            shape: `(height, width, channels)`.
            generator: source of all random numbers.

        Returns:
            `(top, left, noise)`, or None if nothing is erased.

        Raises:
            ValueError: `mean` and `std` are for another number of channels.
        """
        height, width, channels = shape
        images = ImageFormat(height, width, channels, self.mean, self.std)
        if generator.random() >= self.probability:
            return None
        top, left, box_height, box_width = self.box(height, width, generator)
        noise = generator.standard_normal((box_height, box_width, channels), dtype="float32")
        noise *= 255 * np.asarray(images.std, "float32")
        noise += 255 * np.asarray(images.mean, "float32")
        return top, left, noise

    def box(self, height: int, width: int, generator: np.random.Generator) -> tuple[int, int, int, int]:
        """Samples the rectangle in an image of a given size.

        Args:
            height: height of the image in pixels.
            width: width of the image in pixels.
            generator: source of all random numbers.

        Returns:
            `(top, left, height, width)`, all 0 if no rectangle fits.
        """
        low, high = (math.log(ratio) for ratio in self.ratio)
        for _ in range(ATTEMPTS):
            pixels = height * width * generator.uniform(*self.area)
            proportion = math.exp(generator.uniform(low, high))
            box_height, box_width = round(math.sqrt(pixels * proportion)), round(math.sqrt(pixels / proportion))
            if box_height < height and box_width < width:
                top = generator.integers(height - box_height + 1)
                return int(top), int(generator.integers(width - box_width + 1)), box_height, box_width
        return 0, 0, 0, 0
