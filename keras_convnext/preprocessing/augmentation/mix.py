"""MixUp (arXiv:1710.09412) or CutMix (arXiv:1905.04899) of a batch with its reverse, as in timm's batch mode."""

import math
from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import ClassVar

import keras
import numpy as np

from keras_convnext.preprocessing.augmentation.image_format import ImageFormat
from keras_convnext.preprocessing.augmentation.step import BatchStep
from keras_convnext.scalars import between, number, optional, rate

LABEL_SMOOTHING = 0.1
"""The paper's label smoothing, for a step that is used by itself."""


@keras.saving.register_keras_serializable(package="keras_convnext")
@dataclass(frozen=True)
class MixUpOrCutMix(BatchStep):
    """Mixes each image of a batch with an image of the reversed batch, and their labels in the same proportion.

    One weight is sampled per batch. For MixUp, the weight is from Beta(mixup, mixup), and is the image's share of each
    pixel. For CutMix, the weight is from Beta(cutmix, cutmix), and the other image fills a rectangle that has
    `1 - weight` of the area. The rectangle is clipped to the image, and the labels are mixed by the area that remains.

    CutMix replaces the same rectangle of label maps (`augment_label_maps`). MixUp has no label maps: with them, set
    `mixup=0`. Boxes and keypoints are refused.

    Attributes:
        mixup: MixUp's concentration; 0 for no MixUp. Defaults to 0.8.
        cutmix: CutMix's concentration; 0 for no CutMix. Defaults to 1.
        switch_probability: probability of CutMix rather than MixUp, if both are on, in [0, 1]. Defaults to 0.5.
        label_smoothing: smoothing of the labels before they are mixed, in [0, 1). Defaults to None: 0.1 if the step is
            used by itself, and 0 in a training, where the recipe's `label_smoothing` has smoothed the labels already.

    Raises:
        ValueError: a value out of its range.

    Example:

    >>> import numpy as np
    >>> from keras_convnext.preprocessing.augmentation import MixUpOrCutMix
    >>> images, labels = np.zeros((2, 8, 8, 3), "float32"), np.eye(2)
    >>> images, labels = MixUpOrCutMix(cutmix=0.0).augment_batch(images, labels, np.random.default_rng(0))
    >>> labels.sum(axis=1).round(3)
    array([1., 1.], dtype=float32)
    """

    SALT: ClassVar[int] = 5
    STRENGTHS: ClassVar[tuple[str, ...]] = ("mixup", "cutmix")
    RENAMED: ClassVar[dict[str, str]] = {"switch_rate": "switch_probability"}

    mixup: float = 0.8
    cutmix: float = 1.0
    switch_probability: float = 0.5
    label_smoothing: float | None = None

    def __post_init__(self):
        super().__post_init__()
        for name in ("mixup", "cutmix"):
            value = number(name, getattr(self, name))
            if value != 0 and value < 0.1:
                raise ValueError(f"`{name}` must be 0, or 0.1 and more. Received: {name}={value!r}")
        between("switch_probability", self.switch_probability, 0, 1)
        optional(rate, "label_smoothing", self.label_smoothing)

    def for_images(self, images: ImageFormat) -> "MixUpOrCutMix":
        return replace(self, label_smoothing=0.0 if self.label_smoothing is None else self.label_smoothing)

    def check_annotations(self, names: Collection[str]) -> None:
        refused = [name for name in names if name != "segmentation_masks"]
        if refused:
            raise ValueError(
                f"MixUpOrCutMix cannot mix {', '.join(f'`{name}`' for name in refused)}: CutMix would cut objects. "
                "Take the step or the entry out."
            )
        if names and self.mixup:
            raise ValueError(
                "MixUp cannot mix `segmentation_masks`: a pixel has one class. Set `mixup=0`, so that each batch gets "
                f"CutMix. Received: {self}"
            )

    def augment_batch(
        self, images: np.ndarray, labels: np.ndarray, generator: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        return self._mixed(images, labels, [images], generator)

    def augment_label_maps(
        self, images: np.ndarray, labels: np.ndarray, label_maps: np.ndarray, generator: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        self.check_annotations(("segmentation_masks",))
        return *self._mixed(images, labels, [images, label_maps], generator), label_maps

    def _mixed(self, images, labels, pixels, generator):
        """Mixes each array of `pixels` in place; returns the images and their labels."""
        labels = smooth_labels(labels, LABEL_SMOOTHING if self.label_smoothing is None else self.label_smoothing)
        weight = 1.0
        if self.mixup or self.cutmix:
            is_cutmix = generator.random() < self._cutmix_probability
            weight = self._cut(pixels, generator) if is_cutmix else self._blend(images, generator)
        return images, (weight * labels + (1 - weight) * labels[::-1]).astype("float32")

    @property
    def _cutmix_probability(self):
        if self.mixup and self.cutmix:
            return self.switch_probability
        return 1.0 if self.cutmix else 0.0

    def _blend(self, images, generator):
        weight = generator.beta(self.mixup, self.mixup)
        for first, second in _pairs(images):
            difference = np.float32(1 - weight) * (first - second)
            first -= difference
            second += difference
        return weight

    def _cut(self, pixels, generator):
        height, width = pixels[0].shape[1:3]
        top, bottom, left, right = self.box(height, width, generator.beta(self.cutmix, self.cutmix), generator)
        for array in pixels:
            for first, second in _pairs(array[:, top:bottom, left:right]):
                kept = first.copy()
                first[:] = second
                second[:] = kept
        return 1 - (bottom - top) * (right - left) / (height * width)

    def box(self, height: int, width: int, weight: float, generator: np.random.Generator) -> list[int]:
        """Samples CutMix's rectangle: `1 - weight` of the image's area, centred on any pixel, clipped to the image.

        Args:
            height: height of the image in pixels.
            width: width of the image in pixels.
            weight: share of the image outside of the rectangle, before it is clipped, in [0, 1].
            generator: source of all random numbers.

        Returns:
            `[top, bottom, left, right]`.
        """
        edges = []
        for side in (height, width):
            size, center = int(side * math.sqrt(1 - weight)), int(generator.integers(side))
            edges += [max(center - size // 2, 0), min(center + (size + 1) // 2, side)]
        return edges


def smooth_labels(labels: np.ndarray, smoothing: float) -> np.ndarray:
    """`(1 - smoothing) * labels + smoothing / classes`, of labels of shape `(batch, classes)`."""
    return labels * (1 - smoothing) + smoothing / labels.shape[-1]


def _pairs(images):
    """Pairs of views of the images that are mixed with each other. The middle image of an odd batch is in no pair."""
    return [(images[place], images[-1 - place]) for place in range(len(images) // 2)]
