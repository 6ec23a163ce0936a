"""Mean IoU on validation images after each epoch of `fit`."""

from collections.abc import Iterable, Sequence

import keras
import numpy as np

from keras_convnext.data.items import batch_items
from keras_convnext.preprocessing.augmentation.annotations import NOT_ANNOTATED
from keras_convnext.segmentation.scores import confusion_of, scores_of


class SegmentationScores(keras.callbacks.Callback):
    """Computes the scores of a segmentation model on validation batches after each epoch, and adds them to the logs.

    The logs get `val_miou`, `val_pixel_accuracy` and `val_mean_accuracy`. Keras calls callbacks in the order of their
    list, so this one must come before those that use its scores, such as `EarlyStopping` and `ModelCheckpoint`. Those
    need `mode="max"`. `MeanIoU` among the metrics of `compile` gives the same `val_miou` where `fit` has
    `validation_data`, and costs a little in each training step too.

    Args:
        batches: the validation batches, as a `PyDataset` (such as `data.AnnotatedBatches`) or another iterable that can
            be repeated. An item is `(images, label_maps)`; label maps have shape `(batch, height, width)`, or one more
            axis of size 1.
        class_names: the name of each class.
        ignore_class: the class index of pixels that do not count. Defaults to 255.
        axis: the axis of the classes in the model's logits: -1, or 1 for `"channels_first"`. Defaults to -1.

    `model.predict` must return one array of logits or probabilities at the size of the label maps.

    Attribute `scores`: the scores after the last epoch, as `segmentation_scores` returns them; None before.

    Raises:
        ValueError: in the first epoch: there are no annotated pixels, a class index is out of range, or an item or the
            model's output has another form.

    Example:

    ```python
    model.fit(
        train,
        epochs=20,
        callbacks=[
            SegmentationScores(validation, class_names),
            keras.callbacks.ModelCheckpoint("best.keras", monitor="val_miou", mode="max", save_best_only=True),
        ],
    )
    ```
    """

    LOGGED = ("miou", "pixel_accuracy", "mean_accuracy")
    """The scores that the logs get, each after `val_`."""

    def __init__(
        self,
        batches: Iterable,
        class_names: Sequence[str],
        ignore_class: int | None = NOT_ANNOTATED,
        axis: int = -1,
    ):
        super().__init__()
        self.batches = batches
        self.class_names = list(class_names)
        self.ignore_class = ignore_class
        self.axis = axis
        self.scores: dict | None = None

    def compute(self, model: keras.Model) -> dict:
        """Returns the scores of a model with its current weights, as `segmentation_scores` does.

        Args:
            model: a model that returns logits or probabilities per pixel.
        """
        count = len(self.class_names)
        confusion = np.zeros((count, count), "int64")
        images_before = 0
        for images, label_maps in batch_items(self.batches):
            images, label_maps = (keras.ops.convert_to_numpy(one) for one in (images, label_maps))
            outputs = model.predict(images, batch_size=len(images), verbose=0)
            _check_outputs(outputs, label_maps, count, self.axis)
            for place, predicted in enumerate(outputs.argmax(axis=self.axis)):
                confusion += confusion_of(images_before + place, label_maps[place], predicted, count, self.ignore_class)
            images_before += len(images)
        if not confusion.any():
            raise ValueError("`batches` have no annotated pixel, so there is nothing to score.")
        return scores_of(confusion, self.class_names)

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        self.scores = self.compute(self.model)
        if logs is not None:
            logs.update({f"val_{name}": self.scores[name] for name in self.LOGGED})


def _check_outputs(outputs, label_maps, count, axis):
    shape = tuple(label_maps.shape[:3])
    expected = (*shape, count) if axis in (-1, 3) else (shape[0], count, *shape[1:])
    if getattr(outputs, "shape", None) != expected:
        received = outputs.shape if hasattr(outputs, "shape") else type(outputs).__name__
        raise ValueError(f"`model.predict` must return an array of shape {expected}. Received: {received}")
