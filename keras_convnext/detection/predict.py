"""Detections in images of any size, in pixels of the images."""

from collections.abc import Sequence

import keras
import numpy as np

from keras_convnext.data import letterbox
from keras_convnext.data.letterbox import inner_size
from keras_convnext.detection.scores import unpad
from keras_convnext.scalars import between, integer

BATCH_SIZE = 8

MIN_CONFIDENCE = 0.5
"""The least confidence of a detection."""


def predict(
    model: keras.Model,
    images: Sequence[np.ndarray],
    size: tuple[int, int] | None = None,
    min_confidence: float = MIN_CONFIDENCE,
    batch_size: int = BATCH_SIZE,
) -> list[dict[str, np.ndarray]]:
    """Detects objects in images of any size.

    Each image is resized to the model's size by `data.letterbox`, as in training, and the boxes are moved back.

    Args:
        model: a detector that this room assembled, or another one whose `predict` returns decoded detections in `xyxy`.
        images: arrays of shape `(height, width, 3)` in 0..255.
        size: `(height, width)` in pixels to which images are resized. Defaults to the model's own size.
        min_confidence: detections below this confidence are left out, in [0, 1]. Defaults to 0.5.
        batch_size: images per batch. Defaults to 8. Batches are filled up, so that the model is compiled once.

    Returns:
        For each image a dict of `boxes` of shape `(detections, 4)`, `xyxy` in pixels of the image, and `confidence` and
        `classes` of shape `(detections,)`, by descending confidence.

    Raises:
        ValueError: the model takes images of any size and `size` is not given, or an image has another shape.

    Example:

    >>> import numpy as np
    >>> from keras_convnext import detection
    >>> model = detection.retinanet("convnext_atto", num_classes=3, input_shape=(64, 64, 3))
    >>> found = detection.predict(model, [np.zeros((48, 80, 3), "uint8")])
    >>> len(found), found[0]["boxes"].shape[1]
    (1, 4)
    """
    batch_size, min_confidence = integer("batch_size", batch_size, 1), between("min_confidence", min_confidence, 0, 1)
    height, width = model.input_shape[1:3] if size is None else size
    if height is None or width is None:
        raise ValueError("The model takes images of any size. Give the `size` to which images are resized.")
    size = (height, width)
    for image in images:
        if image.ndim != 3 or image.shape[-1] != 3:
            raise ValueError(f"Expected images of shape (height, width, 3). Received: {image.shape}")
    found: list[dict[str, np.ndarray]] = []
    for start in range(0, len(images), batch_size):
        some = images[start : start + batch_size]
        batch = np.zeros((batch_size, *size, 3), "float32")
        for place, image in enumerate(some):
            batch[place] = letterbox({"images": image}, size)["images"]
        detections = unpad(_decoded(model, batch))[: len(some)]
        found += [
            _in_image(one, image.shape[:2], size, min_confidence) for one, image in zip(detections, some, strict=True)
        ]
    return found


def _decoded(model, batch):
    """What a detector returns for a batch."""
    try:
        return model.predict(batch, batch_size=len(batch), verbose=0)
    except ModuleNotFoundError as error:
        if error.name != "torchvision":
            raise
        raise ModuleNotFoundError(
            "On PyTorch, keras-cv's own prediction decoder needs torchvision, which is not installed. Make the "
            "detector with `prediction_decoder=detection.PredictionDecoder(...)`, which decodes on every backend; "
            "`detection.retinanet` and `detection.yolov8` do so.",
            name=error.name,
        ) from error


def _in_image(detections, image_size, size, min_confidence):
    """The sure detections with their boxes in pixels of the image, of which none lies outside."""
    height, width = image_size
    bottom, right = inner_size(image_size, size)
    scale = np.float32([width / right, height / bottom] * 2)
    boxes = np.clip(np.asarray(detections["boxes"], "float32") * scale, 0, np.float32([width, height] * 2))
    keep = (boxes[:, 2:] > boxes[:, :2]).all(axis=1) & (np.asarray(detections["confidence"]) >= min_confidence)
    return {
        "boxes": boxes[keep],
        "confidence": np.asarray(detections["confidence"])[keep],
        "classes": np.asarray(detections["classes"])[keep].astype(int),
    }
