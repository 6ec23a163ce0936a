"""Geometric transformations: what a step that moves pixels has sampled for one image.

A transformation does two things: it transforms the image with Pillow, and its matrix says where each point of the
result comes from. `annotations` moves boxes, label maps and keypoints by the matrix.

Coordinates are in pixels, with the origin at the image's upper left corner: the pixel in row 0 and column 0 covers x
and y from 0 to 1.
"""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING

from keras_convnext.extras import require

if TYPE_CHECKING:
    from PIL.Image import Image

Matrix = tuple[float, float, float, float, float, float]
"""`(a, b, c, d, e, f)`: the point `(x, y)` of the result is the point `(ax + by + c, dx + ey + f)` of the image."""


@dataclass(frozen=True)
class Transformation(ABC):
    """Base of the transformations. Most steps need no new one: see `Affine`.

    Attributes:
        height: height of the result in pixels.
        width: width of the result in pixels.

    Example:

    >>> from keras_convnext.preprocessing.augmentation.geometry import FlipLeftRight, Transformation
    >>> flip = FlipLeftRight(height=32, width=48)
    >>> isinstance(flip, Transformation), flip.matrix
    (True, (-1.0, 0.0, 48, 0.0, 1.0, 0.0))
    """

    height: int
    width: int

    @property
    @abstractmethod
    def matrix(self) -> Matrix:
        """Where each point of the result comes from, as Pillow's six coefficients; see `Matrix`."""

    @abstractmethod
    def apply(self, image: "Image") -> "Image":
        """Transforms a PIL image of mode `RGB` or `L`.

        Args:
            image: the image for which the transformation was sampled.
        """


@dataclass(frozen=True)
class FlipLeftRight(Transformation):
    """Mirrors an image left to right.

    Attributes:
        height: height of the image and of the result in pixels.
        width: width of the image and of the result in pixels.

    Example:

    >>> from PIL import Image
    >>> from keras_convnext.preprocessing.augmentation.geometry import FlipLeftRight
    >>> FlipLeftRight(height=32, width=48).apply(Image.new("RGB", (48, 32))).size
    (48, 32)
    """

    @property
    def matrix(self) -> Matrix:
        return -1.0, 0.0, self.width, 0.0, 1.0, 0.0

    def apply(self, image: "Image") -> "Image":
        return image.transpose(require("PIL.Image", extra="cli").Transpose.FLIP_LEFT_RIGHT)


@dataclass(frozen=True)
class CropAndResize(Transformation):
    """Resizes a rectangle of an image.

    Attributes:
        height: height of the result in pixels.
        width: width of the result in pixels.
        top: first row of the rectangle.
        left: first column of the rectangle.
        crop_height: height of the rectangle in pixels.
        crop_width: width of the rectangle in pixels.
        interpolation: `"bicubic"` or `"bilinear"`. Defaults to `"bicubic"`.

    Example:

    >>> from keras_convnext.preprocessing.augmentation.geometry import CropAndResize
    >>> CropAndResize(height=10, width=10, top=0, left=8, crop_height=20, crop_width=5).matrix
    (0.5, 0.0, 8, 0.0, 2.0, 0)
    """

    top: int
    left: int
    crop_height: int
    crop_width: int
    interpolation: str = "bicubic"

    @property
    def matrix(self) -> Matrix:
        return self.crop_width / self.width, 0.0, self.left, 0.0, self.crop_height / self.height, self.top

    def apply(self, image: "Image") -> "Image":
        resampling = require("PIL.Image", extra="cli").Resampling[self.interpolation.upper()]
        part = image.crop((self.left, self.top, self.left + self.crop_width, self.top + self.crop_height))
        return part.resize((self.width, self.height), resampling)


@dataclass(frozen=True)
class Affine(Transformation):
    """An affine transformation, such as a rotation, a shear or a translation, with bicubic interpolation.

    Attributes:
        height: height of the result in pixels.
        width: width of the result in pixels.
        coefficients: `(a, b, c, d, e, f)`: the point `(x, y)` of the result is the point `(ax + by + c, dx + ey + f)`
            of the image. A translation by `t` pixels to the right is `(1, 0, -t, 0, 1, 0)`.
        fill: colour in 0..255 of pixels that come in from outside the image: a tuple for `RGB`, a number for `L`.
            Defaults to None: black.

    Example:

    >>> from PIL import Image
    >>> from keras_convnext.preprocessing.augmentation import Affine
    >>> shifted = Affine(height=32, width=48, coefficients=(1, 0, -5, 0, 1, 0), fill=(255, 0, 0))
    >>> shifted.apply(Image.new("RGB", (48, 32))).getpixel((4, 0))
    (255, 0, 0)
    """

    coefficients: Matrix
    fill: tuple[int, ...] | int | None = None

    @property
    def matrix(self) -> Matrix:
        return self.coefficients

    def apply(self, image: "Image") -> "Image":
        pillow = require("PIL.Image", extra="cli")
        return image.transform(
            (self.width, self.height),
            pillow.Transform.AFFINE,
            self.coefficients,
            pillow.Resampling.BICUBIC,
            fillcolor=self.fill,
        )


def rotation(degrees: float, width: int, height: int) -> Matrix:
    """The coefficients of a counterclockwise rotation about the image's centre, equal to those of Pillow's `rotate`.

    Args:
        degrees: angle in degrees.
        width: width of the image in pixels.
        height: height of the image in pixels.

    Example:

    >>> from keras_convnext.preprocessing.augmentation.geometry import rotation
    >>> rotation(90, width=48, height=32)
    (0.0, -1.0, 40.0, 1.0, 0.0, -8.0)
    """
    cosine, sine = (round(function(math.radians(degrees % 360)), 15) for function in (math.cos, math.sin))
    x, y = width / 2, height / 2
    return cosine, -sine, -x * cosine + y * sine + x, sine, cosine, -x * sine - y * cosine + y
