"""Applies the steps of an augmentation to images and batches, for the processes that augment.

`sample` does the same for an image with annotations.
"""

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from keras_convnext.extras import require
from keras_convnext.preprocessing.augmentation.step import ArrayStep, BatchStep, ImageStep, Step
from keras_convnext.preprocessing.resize import ResizeAndCrop

if TYPE_CHECKING:
    from PIL.Image import Image

Kind = TypeVar("Kind", bound=Step)
"""A class of steps."""


def to_pil(pixels: np.ndarray) -> "Image":
    """Converts an array to a PIL image of mode `RGB` or `L`.

    Args:
        pixels: uint8 array of shape `(height, width, channels)`, with three channels or one.

    Example:

    >>> import numpy as np
    >>> from keras_convnext.preprocessing.augmentation import to_pil
    >>> image = to_pil(np.zeros((32, 48, 1), "uint8"))
    >>> image.size, image.mode
    ((48, 32), 'L')
    """
    return require("PIL.Image", extra="cli").fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels)


def as_bytes(pixels: np.ndarray) -> np.ndarray:
    """Rounds numbers to integers, and clips them to 0..255.

    Args:
        pixels: array of any shape. One of uint8 is returned as it is.

    Returns:
        A uint8 array of the same shape.
    """
    return pixels if pixels.dtype == np.uint8 else np.clip(np.rint(pixels), 0, 255).astype("uint8")


def with_generators(steps: Sequence[Kind], seed: Sequence[int]) -> list[tuple[Kind, np.random.Generator]]:
    """Pairs each step with its random generator.

    Args:
        steps: the steps of an augmentation, or some of them.
        seed: three integers: the training's seed, the epoch, and the index of the image (of a batch's first image).

    Returns:
        The pairs, in the order of the steps.
    """
    before: Counter[type] = Counter()
    pairs = []
    for step in steps:
        pairs.append((step, step.generator(seed, before[type(step)])))
        before[type(step)] += 1
    return pairs


def through_image_steps(
    image: "Image", seed: Sequence[int], steps: Sequence[ImageStep], size: tuple[int, int] | None = None
) -> np.ndarray:
    """Applies steps on images to a PIL image.

    Args:
        image: PIL image of mode `RGB` or `L`.
        seed: three integers: the training's seed, the epoch, and the index of the image.
        steps: steps on images.
        size: `(height, width)` of the result. If the steps give another size, it is resized and cropped as in
            evaluation. Defaults to None: any size.

    Returns:
        A uint8 array of shape `(height, width, channels)`.
    """
    for step, generator in with_generators(steps, seed):
        image = step.augment_image(image, generator)
    pixels = to_array(image)
    return pixels if size in (None, pixels.shape[:2]) else ResizeAndCrop(*size)(pixels)


def to_array(image: "Image") -> np.ndarray:
    """Converts a PIL image of mode `RGB` or `L` to a uint8 array of shape `(height, width, channels)`."""
    return np.asarray(image).reshape(image.height, image.width, -1)


def through_array_steps(pixels: np.ndarray, seed: Sequence[int], steps: Sequence[ArrayStep]) -> np.ndarray:
    """Applies steps on arrays to an image.

    Args:
        pixels: uint8 or float32 array of shape `(height, width, channels)`.
        seed: three integers: the training's seed, the epoch, and the index of the image.
        steps: steps on arrays.

    Returns:
        A float32 array of the same shape; or `pixels` itself, if no step changed it.

    Raises:
        ValueError: a step returns an array of another shape; the message names the step.
    """
    return through_arrays(pixels, with_generators(steps, seed))


def through_arrays(pixels: np.ndarray, steps: Sequence[tuple[ArrayStep, np.random.Generator]]) -> np.ndarray:
    """As `through_array_steps`, for steps that come with their generators."""
    if not steps:
        return pixels
    unchanged = current = _read_only(pixels)
    for step, generator in steps:
        current = _read_only(step.augment_array(current, generator), current)
        if current.shape != pixels.shape:
            raise ValueError(
                f"{type(step).__name__}.augment_array must return an array of the shape that it is given, "
                f"{pixels.shape}. It returned one of shape {current.shape}"
            )
    return pixels if current is unchanged else current


def _read_only(pixels, before=None):
    """A read-only float32 view of the array; `before` if the array is that same object."""
    if pixels is before:
        return before
    floats = np.asarray(pixels, "float32").view()
    floats.flags.writeable = False
    return floats


def augment_image(
    image: "Image", seed: Sequence[int], steps: Sequence[Step], size: tuple[int, int] | None = None
) -> np.ndarray:
    """Applies steps on images, then steps on arrays, to a PIL image.

    Args:
        image: PIL image of mode `RGB` or `L`.
        seed: three integers: the training's seed, the epoch, and the index of the image.
        steps: steps on images, then on arrays, in this order, such as those of `Augmentation.for_images`. Steps on
            batches are left out.
        size: `(height, width)` of the result. Defaults to None: the size that the steps give.

    Returns:
        An array of shape `(height, width, channels)`: uint8, or float32 if a step on arrays changed the image.

    Example:

    >>> import numpy as np
    >>> from keras_convnext.preprocessing.augmentation import RandomFlip, augment_image, to_pil
    >>> image = to_pil(np.zeros((32, 48, 3), "uint8"))
    >>> augment_image(image, (0, 0, 0), [RandomFlip()]).shape
    (32, 48, 3)
    """
    on_images: list[Any] = [step for step in steps if step.works_on == "images"]
    on_arrays: list[Any] = [step for step in steps if step.works_on == "arrays"]
    return through_array_steps(through_image_steps(image, seed, on_images, size), seed, on_arrays)


def augment_batch(
    images: np.ndarray, labels: np.ndarray, seed: Sequence[int], steps: Sequence[BatchStep]
) -> tuple[np.ndarray, np.ndarray]:
    """Applies steps on batches to a batch.

    Args:
        images: float32 array of shape `(batch, height, width, channels)`, which may be changed in place.
        labels: array of shape `(batch, classes)`.
        seed: three integers: the training's seed, the epoch, and the index of the first image.
        steps: steps on batches.

    Returns:
        `(images, labels)`, both float32 and of the same shapes.

    Example:

    >>> import numpy as np
    >>> from keras_convnext.preprocessing.augmentation import MixUpOrCutMix, augment_batch
    >>> images, labels = np.zeros((4, 8, 8, 3), "float32"), np.eye(4)
    >>> images, labels = augment_batch(images, labels, (0, 0, 0), [MixUpOrCutMix()])
    >>> labels.shape
    (4, 4)
    """
    for step, generator in with_generators(steps, seed):
        images, labels = step.augment_batch(images, labels, generator)
    return images, labels
