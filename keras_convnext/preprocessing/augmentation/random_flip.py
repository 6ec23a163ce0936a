"""Mirroring, left to right."""

import keras
from PIL import Image

from keras_convnext.preprocessing.augmentation.seeded import PillowAugmentation


@keras.saving.register_keras_serializable(package="keras_convnext")
class RandomFlip(PillowAugmentation):
    """Mirrors an image left to right.

    Args:
        rate: float in [0, 1], how often. Defaults to 0.5.
    """

    SALT = 1

    def __init__(self, rate=0.5, **kwargs):
        super().__init__(**kwargs)
        self.rate = rate

    def augment_picture(self, picture, generator):
        return picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if generator.random() < self.rate else picture

    def get_config(self):
        return {**super().get_config(), "rate": self.rate}
