"""Splitting validation images off the training images."""

from dataclasses import replace

import numpy as np

from keras_convnext.data.images import ImageData, Images
from keras_convnext.scalars import integer, number


def split_validation(images: Images, fraction: float = 0.1, seed: int = 0) -> tuple[Images, Images]:
    """Samples validation images from each class: at least one if the class has two images, and never all of them.

    Args:
        images: `Images`.
        fraction: share of each class that becomes validation images, in (0, 1). Defaults to 0.1.
        seed: the same seed samples the same images. Defaults to 0.

    Returns:
        `(train, validation)`, both `Images`.

    Raises:
        ValueError: no class has two images, or a fraction out of its range.

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
    for label in range(len(images.class_names)):
        of_class = random.permutation(np.flatnonzero(images.labels == label))
        count = min(len(of_class) - 1, max(1, round(fraction * len(of_class))))
        sampled.extend(of_class[:count])
    if not sampled:
        raise ValueError("No class has two images: one to train on and one to validate with.")
    in_validation = np.isin(np.arange(len(images)), sampled)
    return images.take(np.flatnonzero(~in_validation)), images.take(np.flatnonzero(in_validation))


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
