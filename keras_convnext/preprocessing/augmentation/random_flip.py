"""Mirroring, left to right."""

import keras
import tensorflow as tf

from keras_convnext.preprocessing.augmentation.seeded import SeededAugmentation


@keras.saving.register_keras_serializable(package="keras_convnext")
class RandomFlip(SeededAugmentation):
    """Mirrors an image left to right.

    Args:
        rate: float in [0, 1], how often. Defaults to 0.5.
    """

    SALT = 1

    def __init__(self, rate=0.5, **kwargs):
        super().__init__(**kwargs)
        self.rate = rate

    def augment_image(self, image, transformation, **kwargs):
        return tf.cond(self.draw(transformation) < self.rate, lambda: tf.reverse(image, [1]), lambda: image)

    def get_config(self):
        return {**super().get_config(), "rate": self.rate}
