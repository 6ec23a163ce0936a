"""MixUp (arXiv:1710.09412) or CutMix (arXiv:1905.04899) of a batch with itself backwards, as timm's batch mode."""

import keras
import tensorflow as tf

from keras_convnext.preprocessing.augmentation.seeded import SeededAugmentation


@keras.saving.register_keras_serializable(package="keras_convnext")
class MixUpOrCutMix(SeededAugmentation):
    """Mixes each image of a batch with the one at the same place from the end, and their labels alike.

    One weight is drawn for the batch: of MixUp from Beta(mixup, mixup), a share of each pixel; of CutMix from
    Beta(cutmix, cutmix), the share of the image outside of a rectangle, which is then taken as it falls within the
    image. Labels are smoothed before.

    Args:
        mixup: float, 0 for none. Defaults to 0.8.
        cutmix: float, 0 for none. Defaults to 1.
        switch_rate: float in [0, 1], how often it is CutMix where there are both. Defaults to 0.5.
        label_smoothing: float in [0, 1). Defaults to 0.1.

    Call: a dict of a batch, with one-hot `labels` of shape `(batch, classes)`. What is drawn follows from the first
    image's seed.
    """

    SALT = 5

    def __init__(self, mixup=0.8, cutmix=1.0, switch_rate=0.5, label_smoothing=0.1, **kwargs):
        super().__init__(**kwargs)
        self.mixup = mixup
        self.cutmix = cutmix
        self.switch_rate = switch_rate
        self.label_smoothing = label_smoothing

    def _augment(self, inputs):
        raise ValueError("Expected a batch of images to mix with each other. Received: a single image")

    def _batch_augment(self, inputs):
        images, labels = tf.cast(inputs["images"], tf.float32), tf.cast(inputs["labels"], tf.float32)
        seed = inputs["seed"][0]
        mixed, weight = images, 1.0
        if self.mixup or self.cutmix:
            is_cutmix = self.draw(seed) < self._cutmix_rate
            mixed, weight = tf.cond(is_cutmix, lambda: self._cut(images, seed), lambda: self._blend(images, seed))
        classes = tf.cast(tf.shape(labels)[-1], tf.float32)
        labels = labels * (1 - self.label_smoothing) + self.label_smoothing / classes
        labels = weight * labels + (1 - weight) * tf.reverse(labels, [0])
        return {**inputs, "images": tf.ensure_shape(mixed, images.shape), "labels": labels}

    @property
    def _cutmix_rate(self):
        if self.mixup and self.cutmix:
            return self.switch_rate
        return 1.0 if self.cutmix else 0.0

    def _blend(self, images, seed):
        weight = self._beta(self.mixup, seed)
        return weight * images + (1 - weight) * tf.reverse(images, [0]), weight

    def _cut(self, images, seed):
        height, width = tf.unstack(tf.shape(images)[1:3])
        top, bottom, left, right = self.box(height, width, self._beta(self.cutmix, seed), seed)
        rows, columns = tf.range(height)[:, None], tf.range(width)[None]
        inside = (rows >= top) & (rows < bottom) & (columns >= left) & (columns < right)
        weight = 1 - tf.cast((bottom - top) * (right - left), tf.float32) / tf.cast(height * width, tf.float32)
        return tf.where(inside[None, :, :, None], tf.reverse(images, [0]), images), weight

    def box(self, height, width, weight, seed):
        """The rectangle of CutMix: as large as `1 - weight` of the image, around any pixel, cut at the borders."""
        draws = tf.random.stateless_uniform((2,), self.fold(seed, 2))
        edges = []
        for side, draw in zip((height, width), tf.unstack(draws), strict=True):
            size = tf.cast(tf.cast(side, tf.float32) * tf.sqrt(1 - weight), tf.int32)
            center = tf.cast(draw * tf.cast(side, tf.float32), tf.int32)
            edges += [tf.maximum(center - size // 2, 0), tf.minimum(center + (size + 1) // 2, side)]
        return edges

    def _beta(self, concentration, seed):
        """A number drawn from Beta(concentration, concentration); 1 where there is none."""
        if not concentration:
            return tf.constant(1.0)
        gammas = tf.random.stateless_gamma((2,), self.fold(seed, 1), concentration)
        return tf.math.divide_no_nan(gammas[0], tf.reduce_sum(gammas))

    def get_config(self):
        return {
            **super().get_config(),
            "mixup": self.mixup,
            "cutmix": self.cutmix,
            "switch_rate": self.switch_rate,
            "label_smoothing": self.label_smoothing,
        }
