"""Validation images out of the training images."""

from dataclasses import replace

import numpy as np

from keras_convnext.scalars import integer, number


def split_validation(images, fraction=0.1, seed=0):
    """Draws a part of each class, at least one image where the class has two.

    Args:
        images: `Images`.
        fraction: float in (0, 1), of each class. Defaults to 0.1.
        seed: int; the same seed draws the same images. Defaults to 0.

    Returns:
        `(train, validation)`, both `Images`.

    Raises:
        ValueError: no class has two images.

    Example:

    >>> from keras_convnext.data import load_digits, split_validation
    >>> train, validation = split_validation(load_digits().train)
    >>> len(train), len(validation)
    (1295, 143)
    """
    fraction = number("fraction", fraction, 0)
    random = np.random.default_rng(integer("seed", seed, 0))
    drawn = []
    for label in range(len(images.class_names)):
        of_class = random.permutation(np.flatnonzero(images.labels == label))
        count = max(1, round(fraction * len(of_class))) if len(of_class) > 1 else 0
        drawn.extend(of_class[:count])
    if not drawn:
        raise ValueError("No class has two images: one to train on and one to validate with.")
    in_validation = np.isin(np.arange(len(images)), drawn)
    return images.take(np.flatnonzero(~in_validation)), images.take(np.flatnonzero(in_validation))


def with_validation(data, seed=0):
    """`ImageData` that has validation images: its own, or a tenth of its training images by `split_validation`."""
    if data.validation is not None:
        return data
    train, validation = split_validation(data.train, seed=seed)
    return replace(data, train=train, validation=validation)
