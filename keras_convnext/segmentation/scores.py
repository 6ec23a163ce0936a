"""Scores of label maps: mean intersection over union (IoU) and accuracy, from a matrix of confused pixels.

The convention is mmsegmentation's (`IoUMetric`): one matrix for all pixels of all images; a class that is neither true
nor predicted anywhere has no IoU and is left out of the mean.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import keras
import numpy as np

from keras_convnext.preprocessing.augmentation.annotations import NOT_ANNOTATED
from keras_convnext.scalars import integer
from keras_convnext.typing import Tensor


@keras.saving.register_keras_serializable(package="keras_convnext")
class MeanIoU(keras.metrics.MeanIoU):
    """The mean over classes of the intersection over union of label maps, from a model's logits.

        IoU of a class = pixels where it is true and predicted / pixels where it is true or predicted

    It is `keras.metrics.MeanIoU` for logits on any axis, without pixels that are not annotated. It keeps a matrix of
    shape `(num_classes, num_classes)` and no images. A class that is neither true nor predicted is left out of the
    mean.

    Args:
        num_classes: number of classes.
        ignore_class: the class index of pixels that do not count. Defaults to 255.
        axis: the axis of the classes in the logits: -1, or 1 for `"channels_first"`. Defaults to -1.
        name: name of the metric. Defaults to `"miou"`.
        dtype: type of the counts. Defaults to None: the backend's integers, which can count 2 billion pixels.

    Labels have shape `(batch, height, width)` or `(batch, height, width, 1)`, logits `(batch, height, width, classes)`.
    Pixels whose label is out of range do not count either; `segmentation_scores` refuses them.

    Example:

    >>> import numpy as np
    >>> from keras_convnext.segmentation import MeanIoU
    >>> metric = MeanIoU(3)
    >>> logits = np.eye(3)[[[[0, 1], [1, 1]]]]
    >>> metric.update_state(np.array([[[0, 0], [1, 255]]]), logits)
    >>> float(metric.result()), metric.scores()["pixel_accuracy"]
    (0.5, 0.6666666666666666)
    """

    def __init__(
        self,
        num_classes: int,
        ignore_class: int | None = NOT_ANNOTATED,
        axis: int = -1,
        name: str = "miou",
        dtype: str | None = None,
    ):
        super().__init__(integer("num_classes", num_classes, 1), name=name, dtype=dtype, ignore_class=ignore_class)
        self.logits_axis = axis

    def update_state(self, y_true: Tensor, y_pred: Tensor, sample_weight: Tensor | None = None) -> None:
        """Counts the pixels of a batch of label maps and logits. Sample weights are refused."""
        if sample_weight is not None:
            raise ValueError("This metric counts pixels: it takes no `sample_weight`.")
        true = keras.ops.reshape(keras.ops.cast(y_true, "int32"), (-1,))
        predicted = keras.ops.reshape(keras.ops.cast(keras.ops.argmax(y_pred, self.logits_axis), "int32"), (-1,))
        counts = (true >= 0) & (true < self.num_classes)
        if self.ignore_class is not None:
            counts = counts & (true != self.ignore_class)
        pairs = keras.ops.where(counts, true * self.num_classes + predicted, 0)
        confusion = keras.ops.segment_sum(keras.ops.cast(counts, self.dtype), pairs, self.num_classes**2)
        self.total_cm.assign_add(keras.ops.reshape(confusion, self.total_cm.shape))

    @property
    def confusion(self) -> np.ndarray:
        """How many pixels of each class (rows) were predicted as each class (columns), an int64 array."""
        return keras.ops.convert_to_numpy(self.total_cm).astype("int64")

    def scores(self, class_names: Sequence[str] | None = None) -> dict:
        """Returns all scores of the pixels so far, as `segmentation_scores` does.

        Args:
            class_names: the name of each class. Defaults to None: their indices.
        """
        return scores_of(self.confusion, class_names)

    def get_config(self) -> dict:
        config = super().get_config()
        return {name: config[name] for name in ("num_classes", "ignore_class", "name", "dtype")} | {
            "axis": self.logits_axis
        }


def segmentation_scores(
    label_maps: Iterable[Any],
    predictions: Iterable[Any],
    class_names: Sequence[str],
    ignore_class: int | None = NOT_ANNOTATED,
) -> dict:
    """Computes mean IoU and accuracies of label maps, over all pixels of all images together.

    Args:
        label_maps: the true class index of each pixel, per image, of shape `(height, width)` or `(height, width, 1)`.
            Sizes may differ. An iterable that makes them one by one saves memory.
        predictions: the predicted class indices, per image, of the same shape.
        class_names: the name of each class.
        ignore_class: the index in `label_maps` of pixels that do not count. Defaults to 255.

    Returns:
        A dict of numbers in 0..1: `miou` (the mean of the classes' IoU), `pixel_accuracy` (the share of the pixels
        that are right) and `mean_accuracy` (the mean of the classes' accuracies). Under `classes` there is a dict with
        `iou`, `accuracy` (the share of the class's pixels that are right) and `pixels` for each class name. `iou` is
        None where a class is neither true nor predicted, and `accuracy` where it is not true. Both are then left out
        of the means. All are None if no pixel counts.

    Raises:
        ValueError: shapes or the numbers of images differ, or a class index is out of range.

    Example:

    >>> import numpy as np
    >>> from keras_convnext.segmentation import segmentation_scores
    >>> scores = segmentation_scores([np.array([[0, 0, 1, 255]])], [np.array([[0, 1, 1, 1]])], ["sky", "sea", "land"])
    >>> scores["miou"], scores["classes"]["sea"], scores["classes"]["land"]["iou"]
    (0.5, {'iou': 0.5, 'accuracy': 1.0, 'pixels': 1}, None)
    """
    count = len(class_names)
    confusion = np.zeros((count, count), "int64")
    for image, (true, predicted) in enumerate(zip(label_maps, predictions, strict=True)):
        confusion += confusion_of(image, true, predicted, count, ignore_class)
    return scores_of(confusion, class_names)


def confusion_of(image: int, true: Any, predicted: Any, count: int, ignore_class: int | None) -> np.ndarray:
    """Returns the confusion matrix of the label maps of one image, int64 of shape `(count, count)`.

    Args:
        image: its number, for messages.
        true: the true label map.
        predicted: the predicted one.
        count: number of classes.
        ignore_class: the true index of pixels that do not count.
    """
    true, predicted = (_label_map(one) for one in (true, predicted))
    if true.shape != predicted.shape:
        raise ValueError(
            f"`predictions[{image}]` must have the shape of `label_maps[{image}]`, {true.shape}. Received: "
            f"{predicted.shape}"
        )
    counts = np.ones(true.shape, bool) if ignore_class is None else true != ignore_class
    true, predicted = true[counts], predicted[counts]
    for name, values in (("label_maps", true), ("predictions", predicted)):
        wrong = values[(values < 0) | (values >= count)]
        if len(wrong):
            raise ValueError(
                f"`{name}[{image}]` must have class indices from 0 to {count - 1}, the last of `class_names`. "
                f"Received: {wrong[0]}"
            )
    return np.bincount(true.astype("int64") * count + predicted, minlength=count**2).reshape(count, count)


def _label_map(values):
    array = np.asarray(keras.ops.convert_to_numpy(values))
    if array.ndim == 3 and array.shape[-1] == 1:
        array = array[..., 0]
    if array.ndim != 2 or not np.issubdtype(array.dtype, np.integer):
        raise ValueError(
            f"Expected a label map of integers of shape (height, width). Received: {array.dtype} of shape {array.shape}"
        )
    return array


def scores_of(confusion: np.ndarray, class_names: Sequence[str] | None) -> dict:
    """Returns what `segmentation_scores` returns, from a confusion matrix.

    Args:
        confusion: integers of shape `(classes, classes)`: rows are true classes, columns predicted ones.
        class_names: the name of each class; None for their indices.
    """
    names = list(range(len(confusion))) if class_names is None else list(class_names)
    if len(names) != len(confusion):
        raise ValueError(f"`class_names` must have {len(confusion)} names. Received: {len(names)}")
    if twice := sorted(str(name) for name, times in Counter(names).items() if times > 1):
        raise ValueError(f"`class_names` must differ from one another. Received more than once: {', '.join(twice)}")
    right, true, predicted = np.diag(confusion), confusion.sum(axis=1), confusion.sum(axis=0)
    ious, accuracies = _ratios(right, true + predicted - right), _ratios(right, true)
    return {
        "miou": _mean(ious),
        "pixel_accuracy": _ratios([right.sum()], [true.sum()])[0],
        "mean_accuracy": _mean(accuracies),
        "classes": {
            name: {"iou": iou, "accuracy": accuracy, "pixels": int(pixels)}
            for name, iou, accuracy, pixels in zip(names, ious, accuracies, true, strict=True)
        },
    }


def _ratios(parts, wholes):
    return [float(part / whole) if whole else None for part, whole in zip(parts, wholes, strict=True)]


def _mean(values):
    given = [value for value in values if value is not None]
    return float(np.mean(given)) if given else None
