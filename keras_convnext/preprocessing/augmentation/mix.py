"""MixUp (arXiv:1710.09412) or CutMix (arXiv:1905.04899) of a batch with itself backwards, as timm's batch mode."""

import math
from dataclasses import dataclass

import keras
import numpy as np

from keras_convnext.preprocessing.augmentation.step import Step


@keras.saving.register_keras_serializable(package="keras_convnext")
@dataclass(frozen=True)
class MixUpOrCutMix(Step):
    """Mixes each image of a batch with the one at the same place from the end, and their labels alike.

    One weight is drawn for the batch: of MixUp from Beta(mixup, mixup), a share of each pixel; of CutMix from
    Beta(cutmix, cutmix), the share of the image outside of a rectangle, which is then taken as it falls within the
    image. Labels are smoothed before.

    Attributes:
        mixup: float, 0 for none.
        cutmix: float, 0 for none.
        switch_rate: float in [0, 1], how often it is CutMix where there are both.
        label_smoothing: float in [0, 1).
    """

    SALT = 5

    mixup: float = 0.8
    cutmix: float = 1.0
    switch_rate: float = 0.5
    label_smoothing: float = 0.1

    def mix(self, images, labels, generator):
        """Mixes a batch; the images in place.

        Args:
            images: float32 array of shape `(batch, height, width, channels)`.
            labels: one-hot array of shape `(batch, classes)`.
            generator: `numpy.random.Generator`.

        Returns:
            The labels, float32 of shape `(batch, classes)`.
        """
        labels = labels * (1 - self.label_smoothing) + self.label_smoothing / labels.shape[-1]
        weight = 1.0
        if self.mixup or self.cutmix:
            is_cutmix = generator.random() < self._cutmix_rate
            weight = self._cut(images, generator) if is_cutmix else self._blend(images, generator)
        return (weight * labels + (1 - weight) * labels[::-1]).astype("float32")

    @property
    def _cutmix_rate(self):
        if self.mixup and self.cutmix:
            return self.switch_rate
        return 1.0 if self.cutmix else 0.0

    def _blend(self, images, generator):
        weight = generator.beta(self.mixup, self.mixup)
        for first, second in _pairs(images):
            difference = np.float32(1 - weight) * (first - second)
            first -= difference
            second += difference
        return weight

    def _cut(self, images, generator):
        height, width = images.shape[1:3]
        top, bottom, left, right = self.box(height, width, generator.beta(self.cutmix, self.cutmix), generator)
        for first, second in _pairs(images[:, top:bottom, left:right]):
            kept = first.copy()
            first[:] = second
            second[:] = kept
        return 1 - (bottom - top) * (right - left) / (height * width)

    def box(self, height, width, weight, generator):
        """The rectangle of CutMix: as large as `1 - weight` of the image, around any pixel, cut at the borders."""
        edges = []
        for side in (height, width):
            size, center = int(side * math.sqrt(1 - weight)), int(generator.integers(side))
            edges += [max(center - size // 2, 0), min(center + (size + 1) // 2, side)]
        return edges


def _pairs(images):
    """Views of the images that are mixed with each other; one in the middle would be with itself."""
    return [(images[place], images[-1 - place]) for place in range(len(images) // 2)]
