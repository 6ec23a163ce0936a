"""The operations of RandAugment on PIL images: timm's "increasing" list. Imports Pillow."""

from collections.abc import Callable
from typing import NamedTuple

from keras_convnext.extras import require

Image, ImageEnhance, ImageOps = (require(f"PIL.{name}", extra="cli") for name in ("Image", "ImageEnhance", "ImageOps"))


class Operation(NamedTuple):
    """An operation.

    Attributes:
        apply: function of the PIL image, the amount, and the colour of pixels that come in from outside the image.
        amount: function of the magnitude in 0..1, or in -1..1 if `signed`.
        signed: whether the magnitude is negative half of the time.
    """

    apply: Callable
    amount: Callable = lambda magnitude: None
    signed: bool = False


def _affine(matrix):
    """A geometric operation: `matrix(amount, width, height)` gives Pillow's six coefficients."""

    def apply(image, amount, fill):
        coefficients = matrix(amount, *image.size)
        return image.transform(
            image.size, Image.Transform.AFFINE, coefficients, Image.Resampling.BICUBIC, fillcolor=fill
        )

    return apply


def _enhance(kind):
    return lambda image, amount, fill: kind(image).enhance(amount)


def _rotate(image, amount, fill):
    return image.rotate(amount, Image.Resampling.BICUBIC, fillcolor=fill)


def _solarize_add(image, amount, fill):
    table = [min(255, value + amount) if value < 128 else value for value in range(256)]
    return image.point(table * len(image.getbands()))


def _stronger(magnitude):
    """The factor of an enhancement: 1 changes nothing, and the magnitude moves it by up to 0.9 to either side."""
    return max(0.1, 1 + 0.9 * magnitude)


OPERATIONS = {
    "AutoContrast": Operation(lambda image, amount, fill: ImageOps.autocontrast(image)),
    "Equalize": Operation(lambda image, amount, fill: ImageOps.equalize(image)),
    "Invert": Operation(lambda image, amount, fill: ImageOps.invert(image)),
    "Rotate": Operation(_rotate, lambda magnitude: 30 * magnitude, signed=True),
    "Posterize": Operation(
        lambda image, amount, fill: ImageOps.posterize(image, amount) if amount else Image.new(image.mode, image.size),
        lambda magnitude: 4 - int(4 * magnitude),
    ),
    "Solarize": Operation(
        lambda image, amount, fill: ImageOps.solarize(image, amount), lambda magnitude: 256 - int(256 * magnitude)
    ),
    "SolarizeAdd": Operation(_solarize_add, lambda magnitude: int(110 * magnitude)),
    "Color": Operation(_enhance(ImageEnhance.Color), _stronger, signed=True),
    "Contrast": Operation(_enhance(ImageEnhance.Contrast), _stronger, signed=True),
    "Brightness": Operation(_enhance(ImageEnhance.Brightness), _stronger, signed=True),
    "Sharpness": Operation(_enhance(ImageEnhance.Sharpness), _stronger, signed=True),
    "ShearX": Operation(
        _affine(lambda amount, width, height: (1, amount, 0, 0, 1, 0)), lambda magnitude: 0.3 * magnitude, signed=True
    ),
    "ShearY": Operation(
        _affine(lambda amount, width, height: (1, 0, 0, amount, 1, 0)), lambda magnitude: 0.3 * magnitude, signed=True
    ),
    "TranslateX": Operation(
        _affine(lambda amount, width, height: (1, 0, amount * width, 0, 1, 0)),
        lambda magnitude: 0.45 * magnitude,
        signed=True,
    ),
    "TranslateY": Operation(
        _affine(lambda amount, width, height: (1, 0, 0, 0, 1, amount * height)),
        lambda magnitude: 0.45 * magnitude,
        signed=True,
    ),
}
"""The operations by name. Each becomes stronger with its magnitude."""
