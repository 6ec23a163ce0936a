"""The scores of a classifier: loss, top-1 and top-5 accuracy, and the accuracy of each class."""

import keras
import numpy as np

from keras_convnext.training.failures import original_errors


@keras.saving.register_keras_serializable(package="keras_convnext")
class ClassAccuracy(keras.metrics.Metric):
    """The accuracy of each class. The result is the mean over the classes that have images.

    Args:
        num_classes: number of classes.
        name: of the metric. Defaults to `"class_accuracy"`.

    After an evaluation `hits` and `totals` are arrays of shape `(num_classes,)`: correctly classified images, and all
    images.

    Example:

    >>> import numpy as np
    >>> from keras_convnext.training import ClassAccuracy
    >>> metric = ClassAccuracy(3)
    >>> metric.update_state(np.eye(3)[[0, 0, 1]], np.eye(3)[[0, 2, 1]])
    >>> float(metric.result())
    0.75
    """

    def __init__(self, num_classes: int, name: str = "class_accuracy"):
        super().__init__(name=name)
        self.num_classes = num_classes
        self._hits = self.add_variable((num_classes,), "zeros", name="hits")
        self._totals = self.add_variable((num_classes,), "zeros", name="totals")

    @property
    def hits(self):
        """How many images of each class were classified correctly."""
        return keras.ops.convert_to_numpy(self._hits).astype(int)

    @property
    def totals(self):
        """How many images of each class there were."""
        return keras.ops.convert_to_numpy(self._totals).astype(int)

    def update_state(self, y_true, y_pred, sample_weight=None):
        """Counts a batch of one-hot labels and outputs. Sample weights are refused."""
        if sample_weight is not None:
            raise ValueError("This metric counts images: it takes no `sample_weight`.")
        labels = keras.ops.argmax(y_true, axis=-1)
        right = keras.ops.cast(keras.ops.equal(labels, keras.ops.argmax(y_pred, axis=-1)), "float32")
        one_hot = keras.ops.cast(y_true, "float32")
        self._hits.assign_add(keras.ops.sum(one_hot * keras.ops.expand_dims(right, -1), axis=0))
        self._totals.assign_add(keras.ops.sum(one_hot, axis=0))

    def result(self):
        seen = keras.ops.cast(self._totals > 0, "float32")
        accuracies = self._hits / keras.ops.maximum(self._totals, 1)
        return keras.ops.sum(accuracies) / keras.ops.maximum(keras.ops.sum(seen), 1)

    def get_config(self):
        return {"name": self.name, "num_classes": self.num_classes}


def evaluate(model, batches, label_smoothing: float = 0.0, verbose="auto", metrics=(), callbacks=()) -> dict:
    """Scores a classifier. It need not be compiled; if it is, that does not change.

    Args:
        model: a `ConvNeXtClassifier`, or another functional model that returns logits.
        batches: `data.Batches` of images in their order.
        label_smoothing: in [0, 1), of the loss, cross-entropy. Defaults to 0.
        verbose: as for `keras.Model.evaluate`. Defaults to `"auto"`.
        metrics: further Keras metrics to update, such as `Predictions`. Defaults to none.
        callbacks: Keras callbacks for the evaluation. Defaults to none.

    Returns:
        dict with floats `loss`, `accuracy` and `top5_accuracy`, and with `classes`, a list of dicts: the `name`, the
        number of `images` and the `accuracy` of each class that has images.

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
    from_logits = getattr(model, "activation", None) is None
    scored = keras.Model(model.inputs, model.outputs)  # it has the same layers
    scored.compile(
        loss=keras.losses.CategoricalCrossentropy(from_logits=from_logits, label_smoothing=label_smoothing),
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
