"""The scores of a classifier: loss, top-1 and top-5 accuracy, and the accuracy of each class."""

from collections.abc import Sequence

import keras
import numpy as np

from keras_convnext.data import Batches
from keras_convnext.models import returns_logits
from keras_convnext.training.class_accuracy import ClassAccuracy
from keras_convnext.training.failures import original_errors


def evaluate(
    model: keras.Model,
    batches: Batches,
    label_smoothing: float = 0.0,
    verbose: str | int = "auto",
    metrics: Sequence[keras.metrics.Metric] = (),
    callbacks: Sequence[keras.callbacks.Callback] = (),
) -> dict:
    """Scores a classifier. The model need not be compiled, and if it is, it stays as it is.

    Args:
        model: a `ConvNeXtClassifier`, or another functional model that returns logits.
        batches: batches of images in their order, not shuffled.
        label_smoothing: label smoothing of the cross-entropy loss, in [0, 1). Defaults to 0.
        verbose: as for `keras.Model.evaluate`. Defaults to `"auto"`.
        metrics: further Keras metrics to update, such as `Predictions`. Defaults to none.
        callbacks: Keras callbacks for the evaluation. Defaults to none.

    Returns:
        The floats `loss`, `accuracy` and `top5_accuracy`, and `classes`, a list of dicts: the `name`, the number of
        `images` and the `accuracy` of each class that has images.

    Example:

    >>> from keras_convnext import ConvNeXtClassifier
    >>> from keras_convnext.data import Batches, load_digits
    >>> from keras_convnext.training import evaluate
    >>> model = ConvNeXtClassifier.from_preset("convnext_mini", num_classes=10, input_shape=(8, 8, 1))
    >>> scores = evaluate(model, Batches(load_digits().test, 128), verbose=0)
    >>> [one["images"] for one in scores["classes"]][:3]
    [36, 36, 35]
    """
    class_names = batches.images.class_names
    per_class = ClassAccuracy(len(class_names))
    scored = keras.Model(model.inputs, model.outputs)  # it has the same layers
    scored.compile(
        loss=keras.losses.CategoricalCrossentropy(from_logits=returns_logits(model), label_smoothing=label_smoothing),
        metrics=[
            keras.metrics.CategoricalAccuracy("accuracy"),
            keras.metrics.TopKCategoricalAccuracy(min(5, len(class_names)), "top5_accuracy"),
            per_class,
            *metrics,
        ],
    )
    with original_errors(batches):
        scores = scored.evaluate(batches, verbose=verbose, callbacks=list(callbacks), return_dict=True)
    hits, totals = per_class.hits, per_class.totals
    classes = [
        {"name": class_names[i], "images": int(totals[i]), "accuracy": float(hits[i] / totals[i])}
        for i in np.flatnonzero(totals)
    ]
    return {name: scores[name] for name in ("loss", "accuracy", "top5_accuracy")} | {"classes": classes}
