"""The loss of semantic segmentation: cross-entropy per pixel, without the pixels that are not annotated."""

import keras
from keras import ops

from keras_convnext.preprocessing.augmentation.annotations import NOT_ANNOTATED
from keras_convnext.scalars import flag, integer
from keras_convnext.typing import Tensor


@keras.saving.register_keras_serializable(package="keras_convnext")
class SegmentationLoss(keras.losses.Loss):
    """Cross-entropy of label maps, averaged over the annotated pixels of the batch.

        loss = sum of -log p[label] over annotated pixels / number of annotated pixels

    It is 0 if no pixel is annotated. It equals torch's `CrossEntropyLoss(ignore_index=255)` wherever that is finite. A
    pixel with another label outside of the model's classes counts as not annotated too. With sample weights, which have
    one value per image or per pixel, each pixel's term of the sum is multiplied by its weight. The loss is computed in
    float32 at least.

    `UPerNet` adds the same loss of its auxiliary head by itself: pass this loss to `compile`.

    Args:
        ignore_class: the label of pixels that are not annotated. Defaults to 255.
        from_logits: whether the predictions are logits; if not, they are probabilities. Defaults to True.
        data_format: `"channels_last"` or `"channels_first"`, of the predictions. Defaults to `"channels_last"`.
        name: name of the loss. Defaults to `"segmentation_loss"`.

    Shapes: labels `(batch, height, width)` or `(batch, height, width, 1)`, predictions
    `(batch, height, width, classes)`.

    Example:

    >>> import numpy as np
    >>> from keras_convnext.segmentation import SegmentationLoss
    >>> labels = np.array([[[1, 255]]])
    >>> logits = np.array([[[[0.0, 0.0], [9.0, 1.0]]]], "float32")
    >>> round(float(SegmentationLoss()(labels, logits)), 4)
    0.6931
    """

    def __init__(
        self,
        ignore_class: int = NOT_ANNOTATED,
        from_logits: bool = True,
        data_format: str = "channels_last",
        name: str = "segmentation_loss",
    ):
        super().__init__(name=name)
        self.ignore_class = integer("ignore_class", ignore_class)
        self.from_logits = flag("from_logits", from_logits)
        if data_format not in ("channels_last", "channels_first"):
            raise ValueError(f"`data_format` must be channels_last or channels_first. Received: {data_format!r}")
        self.data_format = data_format

    def __call__(self, y_true: Tensor, y_pred: Tensor, sample_weight: Tensor | None = None) -> Tensor:
        y_pred, labels = ops.convert_to_tensor(y_pred), ops.cast(ops.convert_to_tensor(y_true), "int32")
        if ops.dtype(y_pred) in ("float16", "bfloat16"):
            y_pred = ops.cast(y_pred, "float32")
        if self.data_format == "channels_first":
            y_pred = ops.transpose(y_pred, (0, 2, 3, 1))
        if len(labels.shape) == 4 and labels.shape[-1] == 1:
            labels = ops.squeeze(labels, -1)
        _check_shapes(labels.shape, y_pred.shape)
        losses, is_annotated = self._losses(labels, y_pred)
        if sample_weight is not None:
            weight = ops.cast(ops.convert_to_tensor(sample_weight), losses.dtype)
            losses = losses * _per_pixel(weight)
        with keras.name_scope(self.name):
            return ops.sum(losses) / ops.maximum(ops.sum(is_annotated), 1)

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        return self(y_true, y_pred)

    def _losses(self, labels, y_pred):
        """The loss of each pixel, which is 0 where it is not annotated, and 1 or 0 for whether it is."""
        is_annotated = ops.logical_and(labels >= 0, labels < y_pred.shape[-1])
        is_annotated = ops.logical_and(is_annotated, labels != self.ignore_class)
        labels = ops.where(is_annotated, labels, 0)
        if not self.from_logits:  # probabilities are the softmax of their logarithms
            y_pred = ops.log(ops.clip(y_pred, keras.config.epsilon(), 1.0))
        losses = ops.sparse_categorical_crossentropy(labels, y_pred, from_logits=True)
        return ops.where(is_annotated, losses, 0), ops.cast(is_annotated, losses.dtype)

    def get_config(self) -> dict:
        return {
            "ignore_class": self.ignore_class,
            "from_logits": self.from_logits,
            "data_format": self.data_format,
            "name": self.name,
        }


def _check_shapes(labels, predictions):
    if len(labels) == 3 and len(predictions) == 4:
        pairs = zip(labels[1:], predictions[1:3], strict=True)
        if all(one is None or other is None or one == other for one, other in pairs):
            return
    raise ValueError(
        "Expected labels of shape (batch, height, width) and predictions of shape (batch, height, width, classes), of "
        f"the same height and width. Received: labels {tuple(labels)}, predictions {tuple(predictions)}"
    )


def _per_pixel(weight):
    """Weights of shape `(batch,)`, `(batch, height, width)` or with an axis of size 1 at the end, for each pixel."""
    if len(weight.shape) == 4 and weight.shape[-1] == 1:
        weight = ops.squeeze(weight, -1)
    return weight if len(weight.shape) == 3 else ops.reshape(weight, (-1, 1, 1))
