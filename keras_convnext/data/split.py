"""Splitting validation images off the training images."""

from dataclasses import replace
from typing import TypeVar

import numpy as np

from keras_convnext.data.annotated_images import AnnotatedImages
from keras_convnext.data.images import ImageData, Images
from keras_convnext.scalars import integer, number

Kind = TypeVar("Kind", Images, AnnotatedImages)
"""A class of images."""


def split_validation(images: Kind, fraction: float = 0.1, seed: int = 0) -> tuple[Kind, Kind]:
    """Samples validation images.

    Of `Images`, they are sampled from each class: at least one if the class has two images, and never all of them. Of
    `AnnotatedImages`, which have objects of several classes each, they are sampled from all images: at least one.

    Args:
        images: `Images` or `AnnotatedImages`.
        fraction: share of the images that becomes validation images, in (0, 1). Defaults to 0.1.
        seed: the same seed samples the same images. Defaults to 0.

    Returns:
        `(train, validation)`, of the same type as `images`.

    Raises:
        ValueError: no class has two images, or there are not two images; or a fraction out of its range.

    Example:

    >>> from keras_convnext.data import load_digits, split_validation
    >>> train, validation = split_validation(load_digits().train)
    >>> len(train), len(validation)
    (1295, 143)
    """
    fraction = number("fraction", fraction)
    if not 0 < fraction < 1:
        raise ValueError(f"`fraction` must be above 0 and below 1. Received: fraction={fraction}")
    random = np.random.default_rng(integer("seed", seed, 0))
    sampled: list[int] = []
    for of_class in _groups(images):
        of_class = random.permutation(of_class)
        count = min(len(of_class) - 1, max(1, round(fraction * len(of_class))))
        sampled.extend(of_class[:count])
    if not sampled:
        what = "No class has" if isinstance(images, Images) else "There are not"
        raise ValueError(f"{what} two images: one to train on and one to validate with.")
    in_validation = np.isin(np.arange(len(images)), sampled)
    return images.take(np.flatnonzero(~in_validation)), images.take(np.flatnonzero(in_validation))


def _groups(images):
    """Arrays of indices of images; of each, the same share becomes validation images."""
    if isinstance(images, AnnotatedImages):
        return [np.arange(len(images))]
    counts = np.bincount(images.labels, minlength=len(images.class_names))
    return np.split(np.argsort(images.labels, kind="stable"), np.cumsum(counts)[:-1])


def with_validation(data: ImageData, seed: int = 0) -> ImageData:
    """Returns the data with validation images: their own, or a tenth of the training images by `split_validation`.

    Args:
        data: any data set.
        seed: as for `split_validation`. Defaults to 0.

    Example:

    >>> from keras_convnext.data import load_digits, with_validation
    >>> data = with_validation(load_digits())
    >>> len(data.train), len(data.validation), len(data.test)
    (1295, 143, 359)
    """
    if data.validation is not None:
        return data
    train, validation = split_validation(data.train, seed=seed)
    return replace(data, train=train, validation=validation)
