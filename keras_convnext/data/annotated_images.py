"""Images with annotations: boxes, instance masks and label maps, for detection and segmentation."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from keras_convnext.data.images import check_images
from keras_convnext.data.order import shuffled_order

MOST_CLASSES = 255
"""The number of classes that a label map can hold beside `NOT_ANNOTATED`."""


class Annotation:
    """What is known about one image.

    Args:
        boxes: boxes of shape `(objects, 4)` in pixels: left, top, right, bottom, with right and bottom exclusive.
            Defaults to None: no objects.
        classes: the class of each box, integers from 0, of shape `(objects,)`. Defaults to None: no objects.
        masks: boolean array of shape `(objects, height, width)`, the pixels of each object; or a function without
            arguments that returns it. Defaults to None: not known.
        label_map: array of shape `(height, width)`, the class of each pixel, and 255 where it is not annotated; or a
            function without arguments that returns it. Defaults to None: not known.
        is_crowd: boolean array of shape `(objects,)`, COCO's `iscrowd`: whether a box surrounds a group of objects.
            Such boxes are left out in training, and not counted as missed in COCO's scores. Defaults to None: none is.

    Attributes:
        boxes: float32 array.
        classes: int64 array.
        is_crowd: boolean array.

    Raises:
        ValueError: arrays whose shapes do not fit; a box with a coordinate that is NaN or infinite, or without area.

    Example:

    >>> from keras_convnext.data import Annotation
    >>> annotation = Annotation([[2, 1, 6, 4]], [0])
    >>> annotation.boxes.shape, annotation.classes, annotation.masks is None
    ((1, 4), array([0]), True)
    """

    def __init__(
        self,
        boxes: np.ndarray | Sequence | None = None,
        classes: np.ndarray | Sequence | None = None,
        masks: np.ndarray | Callable[[], np.ndarray] | None = None,
        label_map: np.ndarray | Callable[[], np.ndarray] | None = None,
        is_crowd: np.ndarray | Sequence | None = None,
    ):
        self.boxes = np.asarray([] if boxes is None else boxes, "float32")
        if not self.boxes.size:
            self.boxes = self.boxes.reshape(0, 4)
        self.classes = np.asarray([] if classes is None else classes, "int64")
        self.is_crowd = np.zeros(len(self.boxes), bool) if is_crowd is None else np.asarray(is_crowd, bool)
        self._masks = masks
        self._label_map = label_map
        self._check()

    def _check(self):
        shapes = self.boxes.shape, self.classes.shape, self.is_crowd.shape
        count = shapes[0][0]
        if shapes != ((count, 4), (count,), (count,)):
            raise ValueError(
                "Expected boxes of shape (objects, 4), and classes and is_crowd of shape (objects,). "
                f"Received: {', '.join(map(str, shapes))}"
            )
        for box in self.boxes[~has_area(self.boxes)][:1]:
            raise ValueError(
                "Expected boxes of finite numbers: left, top, right, bottom, with right > left and bottom > top. "
                f"Received: {box.tolist()}"
            )

    @property
    def has_masks(self) -> bool:
        """Whether the instance masks are known. This does not compute them."""
        return self._masks is not None

    @property
    def has_label_map(self) -> bool:
        """Whether the label map is known. This does not compute it."""
        return self._label_map is not None

    @property
    def masks(self) -> np.ndarray | None:
        """The instance masks, boolean of shape `(objects, height, width)`; None if they are not known."""
        return self._masks() if callable(self._masks) else self._masks

    @property
    def label_map(self) -> np.ndarray | None:
        """The class of each pixel, of shape `(height, width)`; None if it is not known."""
        return self._label_map() if callable(self._label_map) else self._label_map


@dataclass(frozen=True, eq=False)
class AnnotatedImages:
    """Images, each with an `Annotation`.

    Attributes:
        pixels: a uint8 array of shape `(count, height, width, channels)`, or a list of paths of image files.
        annotations: one `Annotation` per image.
        class_names: the name of each class. Boxes and label maps have the same classes.

    Raises:
        ValueError: another number of annotations than of images, an array of another shape, or a class of a box that
            has no name.

    Example:

    >>> import numpy as np
    >>> from keras_convnext.data import AnnotatedImages, Annotation
    >>> annotations = (Annotation([[0, 0, 4, 8]], [1]), Annotation())
    >>> images = AnnotatedImages(np.zeros((2, 8, 8, 3), "uint8"), annotations, ("cat", "dog"))
    >>> len(images), images.take([0]).annotations[0].classes
    (2, array([1]))
    """

    pixels: np.ndarray | list
    annotations: tuple[Annotation, ...]
    class_names: tuple[str, ...]

    def __post_init__(self):
        if isinstance(self.pixels, np.ndarray):
            check_images(self.pixels, "pixels")
        if len(self.pixels) != len(self.annotations):
            raise ValueError(
                "Expected one annotation per image. "
                f"Received: {len(self.annotations)} annotations of {len(self.pixels)} images"
            )
        for index, annotation in enumerate(self.annotations):
            classes = annotation.classes
            if len(classes) and not 0 <= classes.min() <= classes.max() < len(self.class_names):
                raise ValueError(
                    f"Expected classes from 0 to {len(self.class_names) - 1}, the indices of `class_names`. "
                    f"Received: {classes.tolist()} in the annotation of image {index}"
                )

    def __len__(self):
        return len(self.annotations)

    @property
    def are_files(self) -> bool:
        """Whether the images may have any size, and are read one by one when they are used."""
        return not isinstance(self.pixels, np.ndarray)

    def take(self, indices: Sequence[int] | np.ndarray) -> "AnnotatedImages":
        """Returns the images at `indices`, with their annotations.

        Args:
            indices: indices of images, counted from 0, in any order.
        """
        pixels = (
            self.pixels.take(indices, axis=0)
            if isinstance(self.pixels, np.ndarray)
            else [self.pixels[index] for index in indices]
        )
        return AnnotatedImages(pixels, tuple(self.annotations[index] for index in indices), self.class_names)

    def shuffled_order(self, seed: int, epoch: int) -> np.ndarray:
        """The indices of the images in a random order that is deterministic given (seed, epoch).

        Args:
            seed: seed of the order.
            epoch: the epoch, from 0.
        """
        return shuffled_order(seed, epoch, len(self))


def has_area(boxes: np.ndarray) -> np.ndarray:
    """Which boxes, of shape `(objects, 4)`, have finite coordinates and a positive width and height.

    Example:

    >>> import numpy as np
    >>> from keras_convnext.data.annotated_images import has_area
    >>> has_area(np.array([[0, 0, 4, 8], [4, 0, 4, 8], [0, 0, np.nan, 8]]))
    array([ True, False, False])
    """
    return np.isfinite(boxes).all(axis=1) & (boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1])
