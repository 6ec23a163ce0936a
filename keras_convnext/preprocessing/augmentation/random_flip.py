"""Mirroring, left to right."""

from dataclasses import dataclass

import keras
from PIL import Image

from keras_convnext.preprocessing.augmentation.step import PictureStep


@keras.saving.register_keras_serializable(package="keras_convnext")
@dataclass(frozen=True)
class RandomFlip(PictureStep):
    """Mirrors an image left to right.

    Attributes:
        rate: float in [0, 1], how often.
    """

    SALT = 1

    rate: float = 0.5

    def augment_picture(self, picture, generator):
        return picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if generator.random() < self.rate else picture
