"""Random erasing (arXiv:1708.04896) with noise for each pixel, as timm's mode `pixel`."""

import math

import keras
import tensorflow as tf

from keras_convnext.checkpoints import IMAGENET_MEAN, IMAGENET_STD
from keras_convnext.preprocessing.augmentation.seeded import SeededAugmentation

ATTEMPTS = 10


@keras.saving.register_keras_serializable(package="keras_convnext")
class RandomErasing(SeededAugmentation):
    """Replaces a rectangle of an image by noise: standard normal for an image that is normalized.

    The area is drawn evenly, the logarithm of the proportions too; a rectangle that does not fit is drawn anew, up to
    ten times.

    Args:
        rate: float in [0, 1], how often. Defaults to 0.25.
        area: pair of float, least and greatest part of the image's. Defaults to (0.02, 1/3).
        ratio: pair of float, least and greatest height over width. Defaults to (0.3, 1 / 0.3).
        mean, std: tuple of float in units of 0..1, what the model normalizes with. Default to ImageNet's.

    Call: as `SeededAugmentation`; images are in 0..255 of any dtype, and float32 after it. Noise may pass 0 and 255.
    """

    SALT = 4

    def __init__(
        self, rate=0.25, area=(0.02, 1 / 3), ratio=(0.3, 1 / 0.3), mean=IMAGENET_MEAN, std=IMAGENET_STD, **kwargs
    ):
        super().__init__(**kwargs)
        self.rate = rate
        self.area = tuple(area)
        self.ratio = tuple(ratio)
        self.mean = tuple(mean)
        self.std = tuple(std)

    def output_dtype(self, inputs):
        return tf.float32

    def augment_image(self, image, transformation, **kwargs):
        if len(self.mean) not in (1, image.shape[-1]):
            raise ValueError(
                f"Expected a mean and a deviation for each channel, or one for all. Received: mean={self.mean}, "
                f"std={self.std} and images of {image.shape[-1]} channels"
            )
        image = tf.cast(image, tf.float32)
        is_erased = self.draw(transformation) < self.rate
        return tf.ensure_shape(
            tf.cond(is_erased, lambda: self._erased(image, transformation), lambda: image), image.shape
        )

    def _erased(self, image, seed):
        height, width, channels = tf.unstack(tf.shape(image))
        top, left, box_height, box_width = self.box(height, width, seed)
        noise = tf.random.stateless_normal((box_height, box_width, channels), self.fold(seed, 2))
        noise = 255 * (noise * self.std + self.mean)
        margins = [[top, height - top - box_height], [left, width - left - box_width], [0, 0]]
        outside = tf.pad(tf.zeros_like(noise), margins, constant_values=1.0)
        return image * outside + tf.pad(noise, margins)

    def box(self, height, width, seed):
        """The rectangle in an image of some size: `(top, left, height, width)`, of no size where none fits."""
        draws = tf.random.stateless_uniform((4, ATTEMPTS), self.fold(seed, 1))
        pixels = tf.cast(height * width, tf.float32) * (self.area[0] + draws[0] * (self.area[1] - self.area[0]))
        low, high = (math.log(ratio) for ratio in self.ratio)
        proportions = tf.exp(low + draws[1] * (high - low))
        heights = tf.cast(tf.round(tf.sqrt(pixels * proportions)), tf.int32)
        widths = tf.cast(tf.round(tf.sqrt(pixels / proportions)), tf.int32)
        fits = (heights < height) & (widths < width)
        first = tf.argmax(fits, output_type=tf.int32)
        size = tf.where(fits[first], tf.stack([heights[first], widths[first]]), 0)
        room = tf.cast(tf.stack([height, width]) - size + 1, tf.float32)
        top, left = tf.unstack(tf.cast(draws[2:, 0] * room, tf.int32))
        return top, left, size[0], size[1]

    def get_config(self):
        return {
            **super().get_config(),
            "rate": self.rate,
            "area": self.area,
            "ratio": self.ratio,
            "mean": self.mean,
            "std": self.std,
        }
