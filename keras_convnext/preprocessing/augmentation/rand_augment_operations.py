"""The operations of RandAugment on PIL images: timm's "increasing" list. Imports Pillow."""

from collections.abc import Callable
from typing import NamedTuple

from keras_convnext.extras import require
from keras_convnext.preprocessing.augmentation.geometry import Affine, Matrix, rotation

Image, ImageEnhance, ImageOps = (require(f"PIL.{name}", extra="cli") for name in ("Image", "ImageEnhance", "ImageOps"))


class Operation(NamedTuple):
    """An operation.

    Attributes:
        change: function of the PIL image and the amount, for an operation on colours.
        amount: function of the magnitude in 0..1, or in -1..1 if `signed`.
        signed: whether the magnitude is negative half of the time.
        coefficients: function of the amount, the width and the height in pixels, for an operation that moves pixels. It
            returns the matrix of an `Affine`.
    """

    change: Callable | None
    amount: Callable = lambda magnitude: None
    signed: bool = False
    coefficients: Callable[..., Matrix] | None = None

    def transformation(self, image, amount, fill):
        """The transformation of an image; None for an operation on colours.

        Args:
            image: PIL image.
            amount: what `amount` returned.
            fill: colour of pixels that come in from outside the image.
        """
        if self.coefficients is None:
            return None
        return Affine(image.height, image.width, self.coefficients(amount, *image.size), fill)

    def apply(self, image, amount, fill):
        """The image after the operation; the arguments are those of `transformation`."""
        transformation = self.transformation(image, amount, fill)
        return self.change(image, amount) if transformation is None else transformation.apply(image)


def _geometric(coefficients, amount):
    return Operation(None, amount, signed=True, coefficients=coefficients)


def _enhance(kind):
    return lambda image, amount: kind(image).enhance(amount)


def _solarize_add(image, amount):
    table = [min(255, value + amount) if value < 128 else value for value in range(256)]
    return image.point(table * len(image.getbands()))


def _stronger(magnitude):
    """The factor of an enhancement: 1 changes nothing, and the magnitude moves it by up to 0.9 to either side."""
    return max(0.1, 1 + 0.9 * magnitude)


OPERATIONS = {
    "AutoContrast": Operation(lambda image, amount: ImageOps.autocontrast(image)),
    "Equalize": Operation(lambda image, amount: ImageOps.equalize(image)),
    "Invert": Operation(lambda image, amount: ImageOps.invert(image)),
    "Rotate": _geometric(rotation, lambda magnitude: 30 * magnitude),
    "Posterize": Operation(
        lambda image, amount: ImageOps.posterize(image, amount) if amount else Image.new(image.mode, image.size),
        lambda magnitude: 4 - int(4 * magnitude),
    ),
    "Solarize": Operation(
        lambda image, amount: ImageOps.solarize(image, amount), lambda magnitude: 256 - int(256 * magnitude)
    ),
    "SolarizeAdd": Operation(_solarize_add, lambda magnitude: int(110 * magnitude)),
    "Color": Operation(_enhance(ImageEnhance.Color), _stronger, signed=True),
    "Contrast": Operation(_enhance(ImageEnhance.Contrast), _stronger, signed=True),
    "Brightness": Operation(_enhance(ImageEnhance.Brightness), _stronger, signed=True),
    "Sharpness": Operation(_enhance(ImageEnhance.Sharpness), _stronger, signed=True),
    "ShearX": _geometric(lambda amount, width, height: (1, amount, 0, 0, 1, 0), lambda magnitude: 0.3 * magnitude),
    "ShearY": _geometric(lambda amount, width, height: (1, 0, 0, amount, 1, 0), lambda magnitude: 0.3 * magnitude),
    "TranslateX": _geometric(
        lambda amount, width, height: (1, 0, amount * width, 0, 1, 0), lambda magnitude: 0.45 * magnitude
    ),
    "TranslateY": _geometric(
        lambda amount, width, height: (1, 0, 0, 0, 1, amount * height), lambda magnitude: 0.45 * magnitude
    ),
}
"""The operations by name. Each becomes stronger with its magnitude."""
