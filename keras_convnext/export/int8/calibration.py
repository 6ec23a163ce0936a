"""Calibration images: checked against the input of a file, and cut into batches that it takes."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

BATCH = 25
"""Images per calibration batch. Quantizers that average the range of activations over batches need the range of many
images in each: with batches of one image, the error of the logits in LiteRT was four times as large."""


def checked_images(images: np.ndarray, metadata: Mapping[str, Any]) -> np.ndarray:
    """Checks images against the input of a file, and returns them as the file takes them.

    Args:
        images: array of shape `(images, height, width, channels)` in 0..255, of the size that the file takes.
        metadata: metadata of the file.

    Returns:
        An array of float32, channels first if the file takes them so.

    Raises:
        ValueError: the shape or the values do not fit.

    Example:

    >>> import numpy as np
    >>> from keras_convnext.export.int8.calibration import checked_images
    >>> file = {"input": {"shape": [None, 3, 8, 8], "layout": "NCHW", "range": [0, 255]}}
    >>> checked_images(np.full((5, 8, 8, 3), 255), file).shape
    (5, 3, 8, 8)
    """
    images = np.asarray(images)
    shape, is_channels_first = metadata["input"]["shape"], metadata["input"]["layout"] == "NCHW"
    wanted = (*shape[2:], shape[1]) if is_channels_first else tuple(shape[1:])
    fits = images.ndim == 4 and all(own in (None, size) for own, size in zip(wanted, images.shape[1:], strict=True))
    if not fits or not len(images) or images.dtype.kind not in "fiu":
        words = ", ".join("any" if size is None else str(size) for size in wanted)
        raise ValueError(
            f"Expected calibration images of shape (images, height, width, channels) = (images, {words}). Received: an "
            f"array of shape {images.shape} and dtype {images.dtype}"
        )
    if images.dtype.kind == "f" and not np.isfinite(images).all():
        raise ValueError("The calibration images have values that are NaN or Inf.")
    if metadata["input"]["range"] is not None:
        least, largest = images.min(), images.max()
        if least < 0 or largest > 255 or largest <= 1:
            raise ValueError(
                "Expected calibration images with values in 0..255, since the file normalizes them itself. Received: "
                f"values from {least} to {largest}"
            )
    images = np.moveaxis(images, -1, 1) if is_channels_first else images
    return np.ascontiguousarray(images, dtype="float32")


def batches(images: np.ndarray, batch_size: int, fixed: int | None = None) -> Iterator[tuple[np.ndarray, int]]:
    """Cuts images into batches.

    Args:
        images: the images.
        batch_size: images per batch.
        fixed: the batch size that the file takes. Defaults to None, for any. The last batch is then filled up with
            copies of its last image.

    Yields:
        A batch, and how many of its images are not copies.
    """
    size = fixed or batch_size
    for start in range(0, len(images), size):
        batch = images[start : start + size]
        count = len(batch)
        if fixed and count < fixed:
            batch = np.concatenate([batch, np.repeat(batch[-1:], fixed - count, axis=0)])
        yield batch, count
