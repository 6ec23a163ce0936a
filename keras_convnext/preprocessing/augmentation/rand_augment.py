"""RandAugment (arXiv:1909.13719) as the authors use it: timm's `rand-m9-mstd0.5-inc1`."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import keras
import numpy as np
from PIL import Image, ImageEnhance, ImageOps

from keras_convnext.normalization import IMAGENET_MEAN
from keras_convnext.preprocessing.augmentation.step import PictureStep

LEVELS = 10.0
"""The greatest magnitude."""


class Operation(NamedTuple):
    """An operation on Pillow images.

    Attributes:
        apply: function of the image, the amount and a colour for what comes in from outside.
        amount: function of the magnitude in 0..1, negative half of the time where `signed`.
        signed: bool.
    """

    apply: Callable
    amount: Callable = lambda magnitude: None
    signed: bool = False


def _affine(matrix):
    """An operation that shifts places: `matrix(amount, width, height)` are Pillow's six coefficients."""

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
    """1 is no change; up to 0.9 to either side."""
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
"""The operations, each as strong as the magnitude is large: timm's "increasing" list, for magnitudes in 0..1."""


_NAMES = tuple(OPERATIONS)


@keras.saving.register_keras_serializable(package="keras_convnext")
@dataclass(frozen=True)
class RandAugment(PictureStep):
    """Applies some of `OPERATIONS`, drawn with replacement, each with a magnitude around a given one.

    Attributes:
        magnitude: float in [0, 10].
        magnitude_std: float, standard deviation of the magnitude, which is cut at 0 and 10.
        count: int, operations an image.
        rate: float in [0, 1], how often an operation that was drawn is applied.
        fill: in 0..255, the colour of what comes in from outside; ImageNet's mean by default.
    """

    SALT = 3

    magnitude: float = 9.0
    magnitude_std: float = 0.5
    count: int = 2
    rate: float = 0.5
    fill: tuple[int, ...] = tuple(round(255 * mean) for mean in IMAGENET_MEAN)

    def drawn(self, generator):
        """What is done to an image: a list of the names of operations and their amounts."""
        indices = generator.integers(len(OPERATIONS), size=self.count)
        rates, signs = generator.random((2, self.count))
        magnitudes = np.clip(generator.normal(self.magnitude, self.magnitude_std, self.count), 0, LEVELS) / LEVELS
        drawn = []
        for index, rate, sign, magnitude in zip(indices, rates, signs, magnitudes.tolist(), strict=True):
            name = _NAMES[index]
            if rate < self.rate:
                is_negative = OPERATIONS[name].signed and sign < 0.5
                drawn.append((name, OPERATIONS[name].amount(-magnitude if is_negative else magnitude)))
        return drawn

    def augment_picture(self, picture, generator):
        fill = self.fill if picture.mode == "RGB" else round(sum(self.fill) / 3)
        for name, amount in self.drawn(generator):
            picture = OPERATIONS[name].apply(picture, amount, fill)
        return picture
