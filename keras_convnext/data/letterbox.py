"""Resizing an image with its annotations to a fixed size, with its aspect ratio kept."""

import numpy as np

from keras_convnext.data.annotated_images import has_area
from keras_convnext.extras import require
from keras_convnext.preprocessing.augmentation.annotations import NOT_ANNOTATED
from keras_convnext.scalars import integers


def letterbox(sample: dict, size: tuple[int, int]) -> dict:
    """Resizes an image with its annotations so that it just fits into `size`, and pads it at the right and bottom.

    Images are resized by Pillow's bilinear filter and padded with 0; label maps are resized to the nearest pixel and
    padded with 255, "not annotated". Boxes are clipped to the image. Those without area are left out.

    Args:
        sample: dict with the keys of keras-cv: `images`, an array of shape `(height, width, channels)` in 0..255; and
            optionally `bounding_boxes`, a dict of `boxes` of shape `(objects, 4)` (left, top, right, bottom in pixels)
            and `classes` of shape `(objects,)`; `segmentation_masks`, a label map of shape `(height, width)` or
            `(height, width, 1)`; and `keypoints` of shape `(points, 2)`, x and y in pixels, where whole
            numbers are the centres of pixels. Others are kept.
        size: `(height, width)` of the result in pixels.

    Returns:
        A dict with the same keys. `images` are uint8 if they were, and otherwise float32.

    Raises:
        ValueError: a size that is not two positive integers; or a label map of another size than the image.

    Example:

    >>> import numpy as np
    >>> from keras_convnext.data import letterbox
    >>> boxes = {"boxes": np.array([[10, 10, 50, 40]]), "classes": np.array([0])}
    >>> resized = letterbox({"images": np.zeros((50, 100, 3), "uint8"), "bounding_boxes": boxes}, (50, 50))
    >>> resized["images"].shape, resized["bounding_boxes"]["boxes"].tolist()
    ((50, 50, 3), [[5.0, 5.0, 25.0, 20.0]])
    """
    height, width = integers("size", size, 1)
    image = sample["images"]
    before = image.shape[:2]
    inner = inner_size(before, (height, width))
    scale_y, scale_x = inner[0] / before[0], inner[1] / before[1]
    result = {**sample, "images": _padded(_resized(image, inner), (height, width), 0)}
    if "bounding_boxes" in sample:
        result["bounding_boxes"] = _moved_boxes(sample["bounding_boxes"], (scale_x, scale_y), inner)
    if "segmentation_masks" in sample:
        label_map = sample["segmentation_masks"]
        if label_map.shape[:2] != before:
            raise ValueError(
                f"Expected a label map of the image's size, {before[0]}x{before[1]} pixels (height x width). "
                f"Received: {label_map.shape[0]}x{label_map.shape[1]}"
            )
        result["segmentation_masks"] = _padded(resize_nearest(label_map, inner), (height, width), NOT_ANNOTATED)
    if "keypoints" in sample:
        result["keypoints"] = ((np.asarray(sample["keypoints"]) + 0.5) * (scale_x, scale_y) - 0.5).astype("float32")
    return result


def inner_size(before: tuple[int, int], size: tuple[int, int]) -> tuple[int, int]:
    """The part of `letterbox`'s result that is the image: the largest size of its aspect ratio that fits into `size`.

    Args:
        before: `(height, width)` of the image in pixels.
        size: `(height, width)` of the result in pixels.

    Example:

    >>> from keras_convnext.data.letterbox import inner_size
    >>> inner_size((50, 100), (64, 64))
    (32, 64)
    """
    scale = min(size[0] / before[0], size[1] / before[1])
    height, width = (min(most, max(1, round(scale * side))) for side, most in zip(before, size, strict=True))
    return height, width


def _resized(image, size):
    if image.shape[:2] == size:
        return image
    pillow = require("PIL.Image", extra="cli")
    if image.dtype == np.uint8 and image.shape[-1] == 3:
        return np.asarray(pillow.fromarray(image).resize(size[::-1], pillow.Resampling.BILINEAR))
    planes = [
        np.asarray(pillow.fromarray(np.ascontiguousarray(plane)).resize(size[::-1], pillow.Resampling.BILINEAR))
        for plane in np.moveaxis(image if image.dtype == np.uint8 else image.astype("float32"), -1, 0)
    ]
    return np.stack(planes, axis=-1)


def resize_nearest(label_map: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resizes a label map: each pixel of the result has the value at its centre.

    Args:
        label_map: array of shape `(height, width)` or `(height, width, 1)`.
        size: `(height, width)` of the result in pixels.
    """
    if label_map.shape[:2] == size:
        return label_map
    rows, columns = (
        ((np.arange(after) + 0.5) * before / after).astype(int)
        for before, after in zip(label_map.shape[:2], size, strict=True)
    )
    return label_map[rows[:, None], columns]


def _padded(array, size, value):
    if array.shape[:2] == size:
        return array
    padding = [(0, size[0] - array.shape[0]), (0, size[1] - array.shape[1]), *[(0, 0)] * (array.ndim - 2)]
    return np.pad(array, padding, constant_values=value)


def _moved_boxes(bounding_boxes, scales, size):
    boxes = np.asarray(bounding_boxes["boxes"], "float32").reshape(-1, 4) * np.float32([*scales, *scales])
    boxes = clip_boxes(boxes, *size)
    keep = has_area(boxes)
    return {**bounding_boxes, "boxes": boxes[keep], "classes": np.asarray(bounding_boxes["classes"])[keep]}


def clip_boxes(boxes: np.ndarray, height: float, width: float) -> np.ndarray:
    """Boxes of shape `(objects, 4)` clipped to an image; those outside of it are left without area.

    Example:

    >>> import numpy as np
    >>> from keras_convnext.data.letterbox import clip_boxes
    >>> clip_boxes(np.array([[-2, 1, 6, 40]]), 32, 48)
    array([[ 0,  1,  6, 32]])
    """
    return np.clip(boxes, 0, np.array([width, height, width, height], boxes.dtype))
