"""The annotations of one image: how they are checked, and how a transformation moves them.

They are the entries `bounding_boxes`, `segmentation_masks` and `keypoints` of a dict, named as in keras-cv;
`augment_sample` says what each holds.
"""

from collections.abc import Callable, Collection, Mapping
from typing import Any

import numpy as np

from keras_convnext.preprocessing.augmentation.geometry import Matrix, Transformation

ANNOTATIONS = ("bounding_boxes", "segmentation_masks", "keypoints")
"""The entries that move with the pixels."""

PADDING = -1
"""The class of a row that fills up a batch, as in keras-cv."""

NOT_ANNOTATED = 255
"""The class in a label map of pixels that are not annotated, such as those that come in from outside the image."""

SLIVER = 0.01
"""A box whose part in the image is not wider or not higher than this, in pixels, has left the image."""


def annotations_of(sample: Mapping[str, Any]) -> dict[str, Any]:
    """Checks the annotations of an image, and converts them to arrays.

    Args:
        sample: as for `augment_sample`.

    Returns:
        The annotations that the sample has. Boxes of the class -1, which fill up a batch, are left out.

    Raises:
        ValueError: an annotation of another form than `augment_sample` expects; the message names it.
    """
    checks = {"bounding_boxes": _boxes, "segmentation_masks": _label_map, "keypoints": _keypoints}
    size = np.shape(sample["images"])[:2]
    return {name: check(sample[name], size) for name, check in checks.items() if name in sample}


def refuse_unknown(shapes: Mapping[str, Collection], known: Collection[str], axes: int = 1) -> None:
    """Refuses entries beside the known ones that may belong to the pixels, since nothing would move them.

    Numbers and vectors, such as an image's index, are taken.

    Args:
        shapes: the shape of each entry.
        known: names of the entries that are known.
        axes: the most axes that an entry may have. Defaults to 1.

    Raises:
        ValueError: an entry with more axes; the message names it.
    """
    for name, shape in shapes.items():
        if name not in known and len(shape) > axes:
            raise ValueError(
                f"`{name}` cannot be moved with the image. Expected annotations in {', '.join(ANNOTATIONS)}, and "
                f"beside them numbers and vectors. Received: `{name}` of shape {tuple(shape)}. Take it out."
            )


def move(annotations: Mapping[str, Any], transformation: Transformation) -> dict[str, Any]:
    """Moves annotations as a transformation moves the pixels of their image.

    Args:
        annotations: as `annotations_of` returns them.
        transformation: the transformation of the image.
    """
    size = transformation.height, transformation.width
    return {name: MOVES[name](value, transformation.matrix, size) for name, value in annotations.items()}


def move_boxes(bounding_boxes: dict[str, np.ndarray], matrix: Matrix, size: tuple[int, int]) -> dict[str, np.ndarray]:
    """The smallest boxes that contain the moved corners, clipped to the image, without those that have left it.

    Args:
        bounding_boxes: `boxes` of shape `(objects, 4)`, xyxy in pixels, and `classes`, one row for each.
        matrix: where each point of the result comes from.
        size: `(height, width)` of the result in pixels.
    """
    left, top, right, bottom = bounding_boxes["boxes"].T.astype("float64")
    corners = _forward(np.stack([[left, right, left, right], [top, top, bottom, bottom]], axis=-1), matrix)
    height, width = size
    edges = [*corners.min(axis=0).T, *corners.max(axis=0).T]
    boxes = np.stack([np.clip(edge, 0, most) for edge, most in zip(edges, (width, height) * 2, strict=True)], axis=-1)
    stays = (boxes[:, 2:] - boxes[:, :2] > SLIVER).all(axis=1)
    return {"boxes": boxes[stays].astype("float32"), "classes": bounding_boxes["classes"][stays]}


def move_keypoints(keypoints: np.ndarray, matrix: Matrix, size: tuple[int, int]) -> np.ndarray:
    """The moved points; one that leaves the image lies outside of it.

    Args:
        keypoints: array of shape `(points, 2)`, x and y. Whole numbers are the centres of pixels.
        matrix: where each point of the result comes from.
        size: `(height, width)` of the result in pixels, which keypoints do not depend on.
    """
    return (_forward(keypoints.astype("float64") + 0.5, matrix) - 0.5).astype("float32")


def move_label_map(label_map: np.ndarray, matrix: Matrix, size: tuple[int, int]) -> np.ndarray:
    """For each pixel of the result, the class of the pixel that its centre comes from; 255 outside of the image.

    Args:
        label_map: array of shape `(height, width)` or `(height, width, 1)`.
        matrix: where each point of the result comes from.
        size: `(height, width)` of the result in pixels.
    """
    a, b, c, d, e, f = matrix
    y, x = (place + 0.5 for place in np.ogrid[: size[0], : size[1]])
    columns, rows = np.floor(a * x + b * y + c).astype(int), np.floor(d * x + e * y + f).astype(int)
    height, width = label_map.shape[:2]
    inside = (columns >= 0) & (columns < width) & (rows >= 0) & (rows < height)
    moved = label_map[np.clip(rows, 0, height - 1), np.clip(columns, 0, width - 1)]
    moved[~inside] = NOT_ANNOTATED
    return moved


MOVES: dict[str, Callable] = {
    "bounding_boxes": move_boxes,
    "segmentation_masks": move_label_map,
    "keypoints": move_keypoints,
}
"""What moves each kind of annotation."""


def _forward(points, matrix):
    """Where points of the image, of shape `(..., 2)`, are in the result."""
    a, b, c, d, e, f = matrix
    return (points - (c, f)) @ np.linalg.inv([[a, b], [d, e]]).T


def _boxes(given, size):
    if not isinstance(given, Mapping) or set(given) != {"boxes", "classes"}:
        raise ValueError(
            "`bounding_boxes` must be a dict of `boxes` and `classes`. Received: "
            f"{sorted(given) if isinstance(given, Mapping) else type(given).__name__}"
        )
    boxes, classes = np.asarray(given["boxes"], "float32"), np.asarray(given["classes"])
    boxes = boxes.reshape(0, 4) if boxes.size == 0 else boxes
    if boxes.ndim != 2 or boxes.shape[1] != 4 or classes.shape[:1] != boxes.shape[:1]:
        raise ValueError(
            "`boxes` must have the shape (objects, 4), and `classes` one row per box. Received: "
            f"boxes of shape {boxes.shape}, classes of shape {classes.shape}"
        )
    is_object = (classes != PADDING).any(axis=tuple(range(1, classes.ndim)))
    boxes, classes = boxes[is_object], classes[is_object]
    is_wrong = ~np.isfinite(boxes).all(axis=1) | (boxes[:, :2] > boxes[:, 2:]).any(axis=1)
    if is_wrong.any():
        raise ValueError(
            "A box must be left, top, right and bottom in pixels, with left <= right and top <= bottom. Received: "
            f"{boxes[is_wrong][0].tolist()}"
        )
    return {"boxes": boxes, "classes": classes}


def _label_map(given, size):
    label_map = np.asarray(given)
    if label_map.shape not in (size, (*size, 1)):
        raise ValueError(
            "`segmentation_masks` must be a label map of the image's height and width: one class index per pixel. "
            f"Expected the shape {size} or {(*size, 1)}. Received: {label_map.shape}"
        )
    if not np.can_cast(np.uint8, label_map.dtype):
        raise ValueError(
            f"`segmentation_masks` must be of a type that can hold {NOT_ANNOTATED}, the class of pixels that are not "
            f"annotated, such as uint8 or int32. Received: {label_map.dtype}"
        )
    return label_map


def _keypoints(given, size):
    keypoints = np.asarray(given, "float32")
    keypoints = keypoints.reshape(0, 2) if keypoints.size == 0 else keypoints
    if keypoints.ndim != 2 or keypoints.shape[1] != 2:
        raise ValueError(f"`keypoints` must have the shape (points, 2), x and y. Received: {keypoints.shape}")
    return keypoints
