"""COCO's scores on validation images after each epoch of `fit`."""

from collections.abc import Iterable, Sequence

import keras
import numpy as np

from keras_convnext.data.items import batch_items
from keras_convnext.detection.scores import coco_scores, unpad

AT_ONCE = 2**28
"""Bytes of the images that one call of `predict` takes. On TensorFlow a call costs as much as some batches."""


class COCOScores(keras.callbacks.Callback):
    """Computes COCO's scores of a detector on validation batches after each epoch, and adds them to the logs.

    The logs get `val_map`, `val_ap50` and `val_ap75`. Keras calls callbacks in the order of their list, so this one
    must come before those that use its scores, such as `EarlyStopping` and `ModelCheckpoint`. Those need `mode="max"`.

    Args:
        batches: the validation batches, as a `PyDataset` (such as `data.AnnotatedBatches`) or another iterable that can
            be repeated. An item is `(images, truth)`; `truth` is a dict of `boxes` of shape `(batch, most, 4)`, xyxy in
            pixels of these images, and `classes` of shape `(batch, most)`, padded with -1.
        class_names: the name of each class.

    `model.predict` must return decoded detections, as keras-cv's and keras-hub's detectors do: a dict of `boxes`
    (xyxy in pixels), `confidence`, `classes` (in keras-hub `labels`, also of the truth) and, optionally,
    `num_detections`. COCO's sizes of objects are those in the images of the batches.

    Attribute `scores`: what `coco_scores` returned after the last epoch; None before.

    Raises:
        ValueError: in the first epoch: there are no batches, or truth or detections have another form.

    Example:

    ```python
    model.fit(
        train,
        epochs=12,
        callbacks=[
            COCOScores(validation, class_names),
            keras.callbacks.ModelCheckpoint("best.keras", monitor="val_map", mode="max", save_best_only=True),
        ],
    )
    ```
    """

    LOGGED = ("map", "ap50", "ap75")
    """The scores that the logs get, each after `val_`."""

    def __init__(self, batches: Iterable, class_names: Sequence[str]):
        super().__init__()
        self.batches = batches
        self.class_names = list(class_names)
        self.scores: dict | None = None

    def compute(self, model: keras.Model) -> dict:
        """Returns the scores of a model with its current weights, as `coco_scores` does.

        Args:
            model: a detector.
        """
        annotations, detections = self.predict(model)
        return coco_scores(annotations, detections, self.class_names)

    def predict(self, model: keras.Model) -> tuple[list[dict], list[dict]]:
        """Returns the annotations and a model's detections of each image, as `coco_scores` takes them.

        Args:
            model: a detector.
        """
        annotations: list[dict] = []
        detections: list[dict] = []
        waiting: list[np.ndarray] = []
        for images, truth in batch_items(self.batches):
            images = keras.ops.convert_to_numpy(images)
            if waiting and (images.shape[1:] != waiting[0].shape[1:] or _bytes(waiting) + images.nbytes > AT_ONCE):
                detections += _detections(model, waiting)
                waiting = []
            annotations += unpad(truth)
            waiting.append(images)
        if waiting:
            detections += _detections(model, waiting)
        return annotations, detections

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        self.scores = self.compute(self.model)
        if logs is not None:
            logs.update({f"val_{name}": self.scores[name] for name in self.LOGGED})


def _bytes(batches):
    return sum(images.nbytes for images in batches)


def _detections(model, batches):
    """The detections in batches. By `predict`, because keras-cv's detectors do not decode in `predict_on_batch`."""
    found = model.predict(np.concatenate(batches), batch_size=len(batches[0]), verbose=0)
    if not isinstance(found, dict) or not {"boxes", "confidence"} <= set(found):
        what = sorted(found) if isinstance(found, dict) else type(found).__name__
        raise ValueError(
            "`model.predict` must return decoded detections, a dict with `boxes`, `confidence` and `classes`. "
            f"Received: {what}"
        )
    return unpad(found)
