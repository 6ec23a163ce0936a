"""How images are normalized: ImageNet's mean and standard deviation, and one value per channel for any images."""

from collections.abc import Sequence
from numbers import Real
from typing import Any

import keras

from keras_convnext.scalars import number, numbers, plain

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
"""ImageNet's mean and standard deviation of red, green and blue, in units of 0..1."""


def of_channels(rgb: tuple[float, float, float], channels: int) -> tuple[float, ...]:
    """Turns values of red, green and blue into values of another number of channels, which all get the average.

    Args:
        rgb: values of red, green and blue.
        channels: number of channels.

    Returns:
        One value per channel; for three channels the values themselves.

    Example:

    >>> from keras_convnext.normalization import of_channels
    >>> of_channels((0.5, 0.25, 0.75), channels=1)
    (0.5,)
    """
    return tuple(rgb) if channels == 3 else (sum(rgb) / 3,) * channels


def mean_and_std(
    channels: int, mean: float | Sequence[float] | None = None, std: float | Sequence[float] | None = None
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Determines the mean and the standard deviation of each channel.

    Args:
        channels: number of channels.
        mean: one value for all channels, or one per channel, in units of 0..1. Defaults to ImageNet's
            for three channels, and to the average of ImageNet's for another number.
        std: the same for the standard deviation.

    Returns:
        `(mean, std)`, each with one value per channel.

    Raises:
        ValueError: The number of values is not the number of channels, or a standard deviation is not positive.

    Example:

    >>> from keras_convnext.normalization import mean_and_std
    >>> mean_and_std(2, mean=0.5, std=(0.25, 0.125))
    ((0.5, 0.5), (0.25, 0.125))
    """
    mean, std = _per_channel("mean", mean, IMAGENET_MEAN, channels), _per_channel("std", std, IMAGENET_STD, channels)
    if min(std) <= 0:
        raise ValueError(f"`std` must be positive. Received: std={std}")
    return mean, std


def normalization_layer(mean: Sequence[float], std: Sequence[float], **options: Any) -> keras.layers.Normalization:
    """Builds the layer that computes `(x / 255 - mean) / std` for images in 0..255.

    Args:
        mean: one value per channel of the last axis, in units of 0..1.
        std: one value per channel of the last axis, in units of 0..1.
        **options: arguments of the layer, such as its `name`.

    Example:

    >>> import numpy as np
    >>> from keras_convnext.normalization import normalization_layer
    >>> layer = normalization_layer(mean=(0.5,), std=(0.25,))
    >>> float(layer(np.full((1, 2, 2, 1), 255.0))[0, 0, 0, 0])
    2.0
    """
    return keras.layers.Normalization(
        mean=[255 * one for one in mean], variance=[(255 * one) ** 2 for one in std], **options
    )


def _per_channel(name, value, imagenet, channels):
    if value is None:
        return of_channels(imagenet, channels)
    if isinstance(plain(value), Real):
        return (number(name, value),) * channels
    if len(numbers(name, value)) != channels:
        raise ValueError(f"`{name}` must have one number for each of {channels} channels. Received: {name}={value}")
    return numbers(name, value)
