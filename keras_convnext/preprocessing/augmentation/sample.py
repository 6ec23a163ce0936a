"""Applies the steps of an augmentation to an image with its annotations: boxes, a label map, keypoints."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np

from keras_convnext.preprocessing.augmentation.annotations import annotations_of, move, refuse_unknown
from keras_convnext.preprocessing.augmentation.geometry import Affine, Transformation
from keras_convnext.preprocessing.augmentation.pipeline import (
    as_bytes,
    through_arrays,
    to_array,
    to_pil,
    with_generators,
)
from keras_convnext.preprocessing.augmentation.step import Step, check_step
from keras_convnext.preprocessing.resize import ResizeAndCrop

SAMPLE = ("images", "labels", "bounding_boxes", "segmentation_masks", "keypoints")
"""The entries of a sample."""


def augment_sample(
    sample: Mapping[str, Any], seed: Sequence[int], steps: Sequence[Step], size: tuple[int, int] | None = None
) -> dict[str, Any]:
    """Applies steps on images, then steps on arrays, to one image, and moves its annotations with the pixels.

    Coordinates are in pixels from the upper left corner of the image. A box that leaves the image is dropped with its
    class, and a cut one is clipped. A box that is rotated or sheared becomes the smallest box that contains its moved
    corners. A label map takes the class of the nearest pixel, and 255 where pixels come in from outside the image. A
    keypoint stays on its pixel, and lies outside if the pixel leaves the image.

    The function needs neither TensorFlow nor keras-cv, and may run in any number of threads and processes.

    Args:
        sample: a dict with `images`, an array of shape `(height, width, channels)` with three channels or one, and any
            of these entries. `bounding_boxes` is a dict of `boxes` of shape `(objects, 4)`, which are left, top, right
            and bottom, and `classes`, one row for each; boxes of the class -1 are padding and left out.
            `segmentation_masks` is a label map of shape `(height, width)` or `(height, width, 1)`. `keypoints` has the
            shape `(points, 2)`, x and y, where whole numbers are the centres of pixels. `labels` and other numbers and
            vectors stay as they are.
        seed: three integers: the training's seed, the epoch, and the index of the image.
        steps: steps on images, then on arrays, in this order, such as those of `Augmentation.for_images`. Steps on
            batches are left out.
        size: `(height, width)` of the result. If the steps give another size, it is resized and cropped as in
            evaluation. Defaults to None: the size that the steps give.

    Returns:
        A new dict with the same entries. `images` is equal to what `augment_image` returns: uint8, or float32 if a step
        on arrays changed the image. Before steps on images, numbers that are not uint8 are rounded and clipped to
        0..255. Boxes and keypoints are float32.

    Raises:
        ValueError: an entry of another form, or one that a step cannot move.

    Example:

    >>> import numpy as np
    >>> from keras_convnext.preprocessing.augmentation import RandomFlip, augment_sample
    >>> boxes = {"boxes": np.array([[0, 0, 10, 20]], "float32"), "classes": np.array([3])}
    >>> sample = {"images": np.zeros((32, 48, 3), "uint8"), "bounding_boxes": boxes}
    >>> augment_sample(sample, (0, 0, 0), [RandomFlip(probability=1.0)])["bounding_boxes"]["boxes"]
    array([[38.,  0., 48., 20.]], dtype=float32)
    """
    for step in steps:
        check_step(step)
    check_sample(sample, steps, size)
    return through_steps(sample, with_generators([one for one in steps if one.works_on != "batches"], seed), size)


def check_sample(sample: Mapping[str, Any], steps: Sequence[Step], size: tuple[int, int] | None = None) -> None:
    """Refuses a sample that the steps cannot augment as a whole, before any work.

    Args:
        sample: as for `augment_sample`.
        steps: as for `augment_sample`.
        size: as for `augment_sample`.

    Raises:
        ValueError: see `augment_sample`.
    """
    if not isinstance(sample, Mapping) or "images" not in sample:
        names = sorted(map(str, sample)) if isinstance(sample, Mapping) else type(sample).__name__
        raise ValueError(f"Expected a dict with `images`. Received: {names}")
    shape = np.shape(sample["images"])
    if len(shape) != 3 or 0 in shape or shape[-1] not in (1, 3):
        raise ValueError(
            "`images` must be one image of shape (height, width, channels), of three channels or one. Received: "
            f"an array of shape {shape}"
        )
    others = {name: np.shape(value) for name, value in sample.items() if name not in SAMPLE}
    on_one = [step for step in steps if step.works_on != "batches"]
    check_entries({name for name in sample if name in SAMPLE}, others, on_one, size is not None)


def check_entries(
    names: Collection[str],
    others: Mapping[str, Collection],
    steps: Sequence[Step],
    resizes: bool = False,
    axes: int = 1,
) -> None:
    """Refuses entries that a step cannot move.

    Args:
        names: the entries that are known.
        others: the shapes of the others.
        steps: steps of any kind.
        resizes: whether the image is resized after the steps. Defaults to False.
        axes: the most axes that another entry may have. Defaults to 1.

    Raises:
        ValueError: the message names the entry.
    """
    annotations = [name for name in SAMPLE[2:] if name in names]
    for step in steps:
        step.check_annotations(annotations)
    if resizes or any(step.moves_pixels for step in steps):
        refuse_unknown(others, SAMPLE, axes)


def through_steps(
    sample: Mapping[str, Any],
    steps: Sequence[tuple[Step, np.random.Generator]],
    size: tuple[int, int] | None = None,
) -> dict[str, Any]:
    """As `augment_sample`, for a sample that was checked, and steps that come with their generators."""
    annotations = annotations_of(sample)
    pixels = np.asarray(sample["images"])
    on_images: list[Any] = [pair for pair in steps if pair[0].works_on == "images"]
    on_arrays: list[Any] = [pair for pair in steps if pair[0].works_on == "arrays"]
    if on_images:
        image = to_pil(as_bytes(pixels))
        for step, generator in on_images:
            image, transformations = (
                step.augment_annotated(image, generator) if annotations else (step.augment_image(image, generator), ())
            )
            for transformation in transformations:
                annotations = move(annotations, transformation)
        pixels = to_array(image)
    if size not in (None, pixels.shape[:2]):
        resize = ResizeAndCrop(*size)
        annotations = move(annotations, transformation_of(resize, *pixels.shape[:2]))
        pixels = resize(as_bytes(pixels))
    return {**sample, **annotations, "images": through_arrays(pixels, on_arrays)}


def transformation_of(resize: ResizeAndCrop, height: int, width: int) -> Transformation:
    """The transformation by which `ResizeAndCrop` moves the pixels of an image of a given size.

    Args:
        resize: the transform.
        height: height of the image in pixels.
        width: width of the image in pixels.

    Example:

    >>> from keras_convnext.preprocessing import ResizeAndCrop
    >>> from keras_convnext.preprocessing.augmentation.sample import transformation_of
    >>> transformation_of(ResizeAndCrop(10, 10), height=20, width=40).matrix
    (2.0, 0.0, 10.0, 0.0, 2.0, 0.0)
    """
    resized_height, resized_width, top, left = resize.placement(height, width)
    x, y = width / resized_width, height / resized_height
    return Affine(resize.height, resize.width, (x, 0.0, x * left, 0.0, y, y * top))
