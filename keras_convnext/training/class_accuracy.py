"""The accuracy of each class, as a Keras metric."""

import keras
import numpy as np

from keras_convnext.typing import Tensor


@keras.saving.register_keras_serializable(package="keras_convnext")
class ClassAccuracy(keras.metrics.Metric):
    """The accuracy of each class. The result is the mean over the classes that have images.

    Args:
        num_classes: number of classes.
        name: name of the metric. Defaults to `"class_accuracy"`.

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
    def hits(self) -> np.ndarray:
        """How many images of each class were classified correctly."""
        return keras.ops.convert_to_numpy(self._hits).astype(int)

    @property
    def totals(self) -> np.ndarray:
        """How many images of each class there were."""
        return keras.ops.convert_to_numpy(self._totals).astype(int)

    def update_state(self, y_true: Tensor, y_pred: Tensor, sample_weight: Tensor | None = None) -> None:
        """Counts a batch of one-hot labels and outputs. Sample weights are refused."""
        if sample_weight is not None:
            raise ValueError("This metric counts images: it takes no `sample_weight`.")
        labels = keras.ops.argmax(y_true, axis=-1)
        right = keras.ops.cast(keras.ops.equal(labels, keras.ops.argmax(y_pred, axis=-1)), "float32")
        one_hot = keras.ops.cast(y_true, "float32")
        self._hits.assign_add(keras.ops.sum(one_hot * keras.ops.expand_dims(right, -1), axis=0))
        self._totals.assign_add(keras.ops.sum(one_hot, axis=0))

    def result(self) -> Tensor:
        seen = keras.ops.cast(self._totals > 0, "float32")
        accuracies = self._hits / keras.ops.maximum(self._totals, 1)
        return keras.ops.sum(accuracies) / keras.ops.maximum(keras.ops.sum(seen), 1)

    def get_config(self) -> dict:
        return {"name": self.name, "num_classes": self.num_classes}
