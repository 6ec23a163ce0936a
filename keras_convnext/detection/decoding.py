"""From what a detector of keras-cv or keras-hub computes to boxes, confidences and classes.

The library's model turns its outputs into boxes and scores, and hands them to its `prediction_decoder`. Ours works on
every backend; keras-cv's own needs torchvision's compiled operators on PyTorch.
"""

from typing import Any

import keras
import numpy as np
from keras import ops

from keras_convnext.detection.suppression import non_max_suppression
from keras_convnext.scalars import between, flag, integer
from keras_convnext.typing import Tensor

CORNERS = ("xyxy", "yxyx", "rel_xyxy", "rel_yxyx")
"""The formats of boxes that have two corners, whose overlap needs no conversion."""


@keras.saving.register_keras_serializable(package="keras_convnext")
class PredictionDecoder(keras.layers.Layer):
    """Chooses the detections among all boxes of a detector, by non-maximum suppression in float32.

    It is the `prediction_decoder` of the detectors that this room assembles, and fits every one of keras-cv and
    keras-hub that takes this argument. By default each box has its best class, and suppresses boxes of every class:
    so do the decoders of both libraries. With `per_class=True` each pair of a box and a class is a candidate, which
    suppresses candidates of its class, as in COCO's evaluation of RetinaNet; of all pairs, as many as there are boxes
    are considered, those with the highest confidence.

    Args:
        bounding_box_format: the format of the boxes, that of the detector: `"xyxy"`, `"yxyx"`, `"rel_xyxy"` or
            `"rel_yxyx"`. Defaults to `"xyxy"`.
        from_logits: whether the scores are logits (RetinaNet) or are probabilities already (YOLOv8). Defaults to True.
        confidence_threshold: boxes with this confidence or less are left out, in [0, 1]. Defaults to 0.5.
        iou_threshold: the intersection over union, in [0, 1], from which on a box is left out. Defaults to 0.5.
        max_detections: detections per image at most. Defaults to 100.
        per_class: whether boxes suppress only boxes of their class. Defaults to False.
        **kwargs: the arguments of `keras.layers.Layer`, such as `name`.

    Returns:
        A dict: `boxes` `(batch, max_detections, 4)`, `confidence` and `classes` `(batch, max_detections)`, and
        `num_detections` `(batch,)`. By descending confidence, padded with -1.

    Raises:
        ValueError: an argument is out of its range, or the format has no corners.

    Example:

    >>> import numpy as np
    >>> from keras_convnext.detection import PredictionDecoder
    >>> decoder = PredictionDecoder(from_logits=False, max_detections=2)
    >>> boxes = np.array([[[0, 0, 10, 10], [0, 0, 10, 9]]], "float32")
    >>> decoder(boxes, np.array([[[0.1, 0.8], [0.7, 0.2]]], "float32"))["classes"].tolist()
    [[1, -1]]
    """

    def __init__(
        self,
        bounding_box_format: str = "xyxy",
        from_logits: bool = True,
        confidence_threshold: float = 0.5,
        iou_threshold: float = 0.5,
        max_detections: int = 100,
        per_class: bool = False,
        **kwargs: Any,
    ):
        super().__init__(**{"dtype": "float32", **kwargs})
        if bounding_box_format not in CORNERS:
            raise ValueError(
                f"`bounding_box_format` must be one of {', '.join(CORNERS)}. Received: {bounding_box_format!r}"
            )
        self.bounding_box_format = bounding_box_format
        self.from_logits = flag("from_logits", from_logits)
        self.confidence_threshold = between("confidence_threshold", confidence_threshold, 0, 1)
        self.iou_threshold = between("iou_threshold", iou_threshold, 0, 1)
        self.max_detections = integer("max_detections", max_detections, 1)
        self.per_class = flag("per_class", per_class)
        self.built = True

    def call(
        self,
        box_prediction: Tensor,
        class_prediction: Tensor,
        images: Tensor | None = None,
        image_shape: tuple | None = None,
    ) -> dict[str, Tensor]:
        """Chooses the detections. keras-cv and keras-hub call a decoder with these arguments.

        Args:
            box_prediction: `(batch, boxes, 4)` in `bounding_box_format`.
            class_prediction: `(batch, boxes, classes)`.
            images: not used.
            image_shape: not used.
        """
        boxes, scores = ops.cast(box_prediction, "float32"), ops.cast(class_prediction, "float32")
        if self.per_class:
            count, num_classes = ops.shape(scores)[1:]
            scores, pairs = ops.top_k(ops.reshape(scores, (-1, count * num_classes)), count)
            pairs = ops.cast(pairs, "int32")
            classes = pairs % num_classes
            boxes = _rows(boxes, pairs // num_classes)
        else:
            classes = ops.cast(ops.argmax(scores, axis=-1), "int32")
            scores = ops.max(scores, axis=-1)
        confidence = ops.sigmoid(scores) if self.from_logits else scores
        chosen, counts = non_max_suppression(
            *(boxes, confidence, classes if self.per_class else None),
            *(self.iou_threshold, self.confidence_threshold, self.max_detections),
        )
        found, chosen = chosen >= 0, ops.maximum(chosen, 0)
        return {
            "boxes": ops.where(ops.expand_dims(found, -1), _rows(boxes, chosen), -1.0),
            "confidence": ops.where(found, ops.take_along_axis(confidence, chosen, axis=1), -1.0),
            "classes": ops.where(found, ops.take_along_axis(classes, chosen, axis=1), -1),
            "num_detections": counts,
        }

    def get_config(self) -> dict:
        return {
            **super().get_config(),
            "bounding_box_format": self.bounding_box_format,
            "from_logits": self.from_logits,
            "confidence_threshold": self.confidence_threshold,
            "iou_threshold": self.iou_threshold,
            "max_detections": self.max_detections,
            "per_class": self.per_class,
        }


def decode(
    model: keras.Model,
    images: Any,
    batch_size: int = 8,
    confidence_threshold: float = 0.5,
    iou_threshold: float = 0.5,
    max_detections: int = 100,
    per_class: bool = False,
) -> dict[str, np.ndarray]:
    """The detections of a detector of keras-cv or keras-hub in images, with settings of the decoding.

    It sets the model's `prediction_decoder`, and calls `model.predict`. If the settings are those of the decoder that
    the model has, the compiled program is used again.

    Args:
        model: a detector with a `prediction_decoder`: keras-cv's RetinaNet and YOLOV8Detector, keras-hub's
            RetinaNetObjectDetector. It need not have been assembled here.
        images: `(batch, height, width, channels)` in 0..255, or a data set that `predict` takes.
        batch_size: images per batch, for an array. Defaults to 8.
        confidence_threshold: as for `PredictionDecoder`.
        iou_threshold: as for `PredictionDecoder`.
        max_detections: as for `PredictionDecoder`.
        per_class: as for `PredictionDecoder`.

    Returns:
        A dict of arrays, as `PredictionDecoder` returns; the boxes in the model's `bounding_box_format`.

    Raises:
        TypeError: the model has no `prediction_decoder`.
        ValueError: a setting is out of its range.

    Example:

    >>> import numpy as np
    >>> from keras_convnext import detection
    >>> model = detection.retinanet("convnext_atto", num_classes=3, input_shape=(64, 64, 3))
    >>> found = detection.decode(model, np.zeros((1, 64, 64, 3), "float32"), max_detections=10)
    >>> found["boxes"].shape, found["num_detections"].tolist()
    ((1, 10, 4), [0])
    """
    current = getattr(model, "prediction_decoder", None)
    if current is None:
        raise TypeError(
            "Expected a detector of keras-cv or keras-hub, which has a `prediction_decoder`. "
            f"Received: a {type(model).__name__}"
        )
    settings = {
        "bounding_box_format": model.bounding_box_format,
        "from_logits": current.from_logits,
        "confidence_threshold": confidence_threshold,
        "iou_threshold": iou_threshold,
        "max_detections": max_detections,
        "per_class": per_class,
    }
    if not isinstance(current, PredictionDecoder) or not settings.items() <= current.get_config().items():
        # PyTorch's modules set an attribute that is a module without calling the property's setter
        object.__setattr__(model, "prediction_decoder", PredictionDecoder(**settings))
    by_array = {"batch_size": batch_size} if hasattr(images, "shape") else {}
    return model.predict(images, verbose=0, **by_array)


def _rows(values, indices):
    """The rows of `(batch, rows, columns)` that `(batch, chosen)` names."""
    return ops.take_along_axis(values, ops.expand_dims(indices, -1), axis=1)
