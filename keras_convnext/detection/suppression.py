"""Greedy non-maximum suppression with `keras.ops`: static shapes, a whole batch at once, on every backend."""

import keras
from keras import ops

from keras_convnext.typing import Tensor

EPSILON = 1e-8
"""Added to the area of the union, as in TensorFlow's function: two boxes without area overlap by 0."""


def non_max_suppression(
    boxes: Tensor,
    scores: Tensor,
    classes: Tensor | None = None,
    iou_threshold: float = 0.5,
    score_threshold: float = 0.5,
    max_detections: int = 100,
) -> tuple[Tensor, Tensor]:
    """Chooses boxes by descending score, and leaves out each box that overlaps one that was chosen before.

    One step chooses one box of every image, and compares it with all others. The loop ends after `max_detections`
    steps, or when no box is left. The result is that of `tf.image.non_max_suppression_padded`.

    Args:
        boxes: `(batch, boxes, 4)`, two opposite corners each: `xyxy` or `yxyx`, in any unit. Boxes without a positive
            coordinate, which are outside of the image, are left out, as in TensorFlow's function.
        scores: `(batch, boxes)`. NaN counts as below the threshold.
        classes: `(batch, boxes)`: boxes of different classes do not suppress each other. Defaults to None, where every
            box may suppress every other.
        iou_threshold: the intersection over union, in [0, 1], from which on two boxes overlap. Defaults to 0.5.
        score_threshold: boxes with this score or less are left out. Defaults to 0.5.
        max_detections: how many boxes are chosen at most. Defaults to 100.

    Returns:
        `(indices, counts)`: int32 of shape `(batch, max_detections)`, by descending score and padded with -1; and int32
        of shape `(batch,)`, the number of boxes chosen.

    Example:

    >>> import numpy as np
    >>> from keras_convnext.detection import non_max_suppression
    >>> boxes = np.array([[[0, 0, 10, 10], [0, 0, 10, 9], [20, 20, 30, 30]]], "float32")
    >>> indices, counts = non_max_suppression(boxes, np.array([[0.8, 0.9, 0.7]], "float32"), max_detections=3)
    >>> indices.tolist(), counts.tolist()
    ([[1, 2, -1]], [2])
    """
    boxes, scores = ops.cast(boxes, "float32"), ops.cast(scores, "float32")
    left, top, right, bottom = (boxes[..., side] for side in range(4))
    areas = (right - left) * (bottom - top)
    places = ops.expand_dims(ops.arange(ops.shape(scores)[1], dtype="int32"), 0)
    steps = ops.expand_dims(ops.arange(max_detections, dtype="int32"), 0)
    nothing = float("-inf")

    def any_left(step, remaining, chosen):
        return ops.any(remaining > nothing)

    def choose(step, remaining, chosen):
        best = ops.expand_dims(ops.cast(ops.argmax(remaining, axis=-1), "int32"), -1)

        def of_best(values):
            return ops.take_along_axis(values, best, axis=1)

        chosen = ops.where(steps == step, ops.where(of_best(remaining) > nothing, best, -1), chosen)
        width = ops.minimum(right, of_best(right)) - ops.maximum(left, of_best(left))
        height = ops.minimum(bottom, of_best(bottom)) - ops.maximum(top, of_best(top))
        intersection = ops.relu(width) * ops.relu(height)
        overlaps = intersection / (areas + of_best(areas) - intersection + EPSILON) >= iou_threshold
        if classes is not None:
            overlaps = ops.logical_and(overlaps, classes == of_best(classes))
        remaining = ops.where(ops.logical_or(overlaps, places == best), nothing, remaining)
        return step + 1, remaining, chosen

    candidates = ops.logical_and(scores > score_threshold, ops.any(boxes > 0, axis=-1))
    remaining = ops.where(candidates, scores, nothing)
    chosen = ops.zeros_like(remaining[:, :1], dtype="int32") - ops.ones_like(steps)
    _, _, chosen = ops.while_loop(
        any_left,
        choose,
        (keras.ops.convert_to_tensor(0, "int32"), remaining, chosen),
        maximum_iterations=max_detections,
    )
    return chosen, ops.sum(ops.cast(chosen >= 0, "int32"), axis=-1)
