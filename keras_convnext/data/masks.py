"""Instance masks: the boxes around them, and the label maps that are painted from them."""

from dataclasses import replace
from functools import partial

import numpy as np

from keras_convnext.data.annotated_images import MOST_CLASSES, AnnotatedImages, Annotation
from keras_convnext.data.images import ImageData

BACKGROUND = "background"
"""The name of the class of all pixels that belong to no object."""

TARGETS = ("boxes", "label_map")
"""What a model learns from annotated images: boxes for detection, a label map for segmentation."""


def mask_boxes(masks: np.ndarray) -> np.ndarray:
    """The bounding boxes of masks: float32 of shape `(objects, 4)`.

    Args:
        masks: boolean array of shape `(objects, height, width)`, each with a pixel or more.

    Raises:
        ValueError: a mask without pixels.

    Example:

    >>> import numpy as np
    >>> from keras_convnext.data import mask_boxes
    >>> masks = np.zeros((1, 8, 8), bool)
    >>> masks[0, 2:5, 1:4] = True
    >>> mask_boxes(masks)
    array([[1., 2., 4., 5.]], dtype=float32)
    """
    rows, columns = np.any(masks, axis=2), np.any(masks, axis=1)
    if not rows.any(axis=1).all():
        raise ValueError("Expected masks with one pixel or more. Received: a mask without pixels")
    height, width = masks.shape[1:]
    edges = (
        *(columns.argmax(axis=1), rows.argmax(axis=1)),
        *(width - columns[:, ::-1].argmax(axis=1), height - rows[:, ::-1].argmax(axis=1)),
    )
    return np.stack(edges, axis=-1).astype("float32").reshape(-1, 4)


def paint_label_map(masks: np.ndarray, classes: np.ndarray, background: int = 0) -> np.ndarray:
    """Paints instance masks into one map, the largest first, so that small objects stay visible on large ones.

    Args:
        masks: boolean array of shape `(objects, height, width)`.
        classes: the value to paint for each mask, from 0 to 254, of shape `(objects,)`.
        background: the value of pixels in no mask. Defaults to 0.

    Returns:
        A uint8 array of shape `(height, width)`.

    Example:

    >>> import numpy as np
    >>> from keras_convnext.data import paint_label_map
    >>> masks = np.array([[[0, 1, 0, 0]], [[1, 1, 1, 0]]], bool)
    >>> paint_label_map(masks, np.array([2, 1]))
    array([[1, 2, 1, 0]], dtype=uint8)
    """
    painted = np.full(masks.shape[1:], background, "uint8")
    for index in np.argsort(-masks.sum(axis=(1, 2)), kind="stable"):
        painted[masks[index]] = classes[index]
    return painted


def as_segmentation(data: ImageData) -> ImageData:
    """The segmentation view of a data set with boxes and instance masks: the same images with label maps.

    Class 0 of the result is the background. The other classes follow in their order, in `class_names`, in label maps
    and in boxes alike. Label maps are painted when they are used, see `paint_label_map`; groups of objects
    (`is_crowd`) are painted too.

    Args:
        data: `ImageData` of `AnnotatedImages`. If its images have label maps already, it is returned as it is.

    Raises:
        ValueError: an image with neither a label map nor masks for all of its objects; more than 254 classes.

    Example:

    >>> from keras_convnext.data import as_segmentation, digit_scenes
    >>> data = as_segmentation(digit_scenes(count=2, size=64))
    >>> data.class_names[:3], data.train.annotations[0].label_map.shape
    (('background', '0', '1'), (64, 64))
    """
    parts = {part: getattr(data, part) for part in ("train", "validation", "test")}
    found = [images for images in parts.values() if images is not None]
    have_maps = [one.has_label_map for images in found for one in images.annotations]
    if all(have_maps):
        return data
    if len(data.class_names) >= MOST_CLASSES:
        raise ValueError(f"A label map has at most {MOST_CLASSES - 1} classes. Received: {len(data.class_names)}")
    names = (BACKGROUND, *data.class_names)
    return replace(data, **{part: images and _with_maps(images, names, part) for part, images in parts.items()})


def for_target(data: ImageData, target: str) -> ImageData:
    """Returns a data set with boxes and masks as it is for the target `"boxes"`; for `"label_map"`, `as_segmentation`.

    Raises:
        ValueError: another target, or as `as_segmentation` does.
    """
    return as_segmentation(data) if check_target(target) == "label_map" else data


def check_target(target: str) -> str:
    """Returns the target. Raises ValueError if it is neither `"boxes"` nor `"label_map"`."""
    if target not in TARGETS:
        raise ValueError(f"`target` must be boxes or label_map. Received: target={target!r}")
    return target


def _with_maps(images, names, part):
    annotations = []
    for index, one in enumerate(images.annotations):
        if not one.has_masks:
            where = images.pixels[index] if images.are_files else f"image {index} of the {part} part"
            raise ValueError(
                f"{where}: expected a mask for each object, from which a label map is painted. Found boxes without "
                "masks: use this data set for detection, or leave the image out."
            )
        classes = one.classes + 1
        annotations.append(Annotation(one.boxes, classes, partial(_masks, one), partial(_painted, one), one.is_crowd))
    return AnnotatedImages(images.pixels, tuple(annotations), names)


def _masks(annotation):
    return annotation.masks


def _painted(annotation):
    """The label map of an annotation whose classes have no background: class 0 becomes 1."""
    return paint_label_map(annotation.masks, annotation.classes + 1)
