"""From an image of any size to the model's: resizing with Pillow's filters, then a centre crop."""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from keras_convnext.dataclass_fields import check_fields, make_plain
from keras_convnext.extras import require
from keras_convnext.preprocessing.axes import check_channels_last
from keras_convnext.scalars import share

if TYPE_CHECKING:
    from PIL.Image import Image


@dataclass(frozen=True)
class ResizeAndCrop:
    """Resizes an image and crops its centre, as in the evaluation of the published checkpoints.

    Sizes are rounded as timm's and torchvision's transforms round them.

    Attributes:
        height: height of the result in pixels.
        width: width of the result in pixels.
        crop_pct: size of the crop divided by that of the resized image, in (0, 1]. Defaults to 1: the image is resized
            until it just covers the result.
        squash: whether the image is resized to the result's aspect ratio, instead of cropped to it. Defaults to False.
        interpolation: `"bicubic"` or `"bilinear"`. Defaults to `"bicubic"`.

    Call: takes an array of shape `(any, any, channels)` in 0..255, or a PIL image, which is converted to RGB. Returns
    an array of shape `(height, width, channels)`: uint8 for uint8, else float32. The model normalizes it.

    Raises:
        ValueError: a setting out of its range, or an image that is not such an array.

    Example:

    >>> import numpy as np
    >>> from keras_convnext.preprocessing import ResizeAndCrop
    >>> ResizeAndCrop(24, 24, crop_pct=0.875)(np.zeros((32, 48, 3), "uint8")).shape
    (24, 24, 3)
    """

    height: int
    width: int
    crop_pct: float = 1.0
    squash: bool = False
    interpolation: str = "bicubic"

    def __post_init__(self):
        require("PIL.Image", extra="cli")
        make_plain(self)
        check_fields(self)
        check_settings(self.height, self.width, self.crop_pct, self.interpolation)

    def __call__(self, image: "np.ndarray | Image") -> np.ndarray:
        pillow = require("PIL.Image", extra="cli")
        if isinstance(image, pillow.Image):
            if image.mode.startswith(("I", "F")):
                raise ValueError(f"Expected 8 bits per channel. Received: an image of Pillow's mode {image.mode}")
            image = np.asarray(image.convert("RGB"))
        image = _checked(image)
        height, width, top, left = self.placement(*image.shape[:2])
        if (height, width) != image.shape[:2]:
            resampling = pillow.Resampling[self.interpolation.upper()]
            planes = [
                np.asarray(pillow.fromarray(image[..., channel]).resize((width, height), resampling))
                for channel in range(image.shape[-1])
            ]
            image = np.clip(np.stack(planes, axis=-1), 0, 255)  # the filter overshoots; Pillow clips uint8 alone
        return image[top : top + self.height, left : left + self.width]

    def placement(self, height: int, width: int) -> tuple[int, int, int, int]:
        """Where the result lies in an image that is resized.

        Args:
            height: height of the image in pixels, before it is resized.
            width: width of the image in pixels, before it is resized.

        Returns:
            `(resized_height, resized_width, top, left)` in pixels.
        """
        height, width = self._resized(height, width)
        return height, width, round((height - self.height) / 2), round((width - self.width) / 2)

    def _resized(self, height, width):
        """The size before the crop: one side just covers the crop, and the other one keeps the aspect ratio."""
        least_height, least_width = covering_sides(self.height, self.width, self.crop_pct)
        if self.squash:
            return least_height, least_width
        if least_height * width >= least_width * height:
            return least_height, int(least_height * width / height)
        return int(least_width * height / width), least_width


def _checked(image):
    """The image as an array of uint8 or float32, or an error that says what is wrong with it."""
    image = np.asarray(image)
    if image.ndim != 3 or 0 in image.shape or image.dtype.kind not in "uif":
        raise ValueError(
            "Expected an image of shape (height, width, channels) with numbers in 0..255, or a Pillow image. Received: "
            f"an array of {image.dtype} and shape {image.shape}"
        )
    check_channels_last(image.shape)
    if image.dtype == np.uint8:
        return image
    if image.min() < 0 or image.max() > 255:
        raise ValueError(
            "Expected an image with numbers in 0..255. Received: "
            f"an array of {image.dtype} with numbers from {image.min()} to {image.max()}"
        )
    return image.astype("float32")


def check_settings(height: int, width: int, crop_pct: float, interpolation: str) -> None:
    """Raises ValueError if a setting is out of its range."""
    if height < 1 or width < 1:
        raise ValueError(f"`height` and `width` must be positive. Received: {height}, {width}")
    share("crop_pct", crop_pct)
    if interpolation not in ("bicubic", "bilinear"):
        raise ValueError(f"`interpolation` must be bicubic or bilinear. Received: {interpolation!r}")


def covering_sides(height: int, width: int, crop_pct: float) -> tuple[int, int]:
    """The smallest sides at which the resized image contains the crop."""
    return math.floor(height / crop_pct), math.floor(width / crop_pct)
