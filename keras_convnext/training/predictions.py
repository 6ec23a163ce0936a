"""A metric that keeps a classifier's predictions, for a confusion matrix and the worst mistakes."""

import keras
import numpy as np
from keras import ops

from keras_convnext.typing import Tensor


@keras.saving.register_keras_serializable(package="keras_convnext")
class Predictions(keras.metrics.Metric):
    """Keeps the predicted class of each image and its probability; the result is their mean probability.

    Args:
        count: number of images in an evaluation.
        from_logits: whether the outputs are logits rather than probabilities. Defaults to True.
        name: name of the metric. Defaults to `"predictions"`.

    After an evaluation `classes` and `probabilities` are arrays of shape `(images,)`, in the order of the images.

    Example:

    >>> import numpy as np
    >>> from keras_convnext.training import Predictions
    >>> metric = Predictions(3, from_logits=False)
    >>> metric.update_state(np.eye(2)[[0, 0, 1]], np.array([[0.9, 0.1], [0.2, 0.8], [0.4, 0.6]], "float32"))
    >>> metric.classes, metric.probabilities.round(2)
    (array([0, 1, 1]), array([0.9, 0.8, 0.6], dtype=float32))
    """

    def __init__(self, count: int, from_logits: bool = True, name: str = "predictions"):
        super().__init__(name=name)
        self.count = count
        self.from_logits = from_logits
        self._seen = self.add_variable((), "zeros", dtype="int32", name="seen")
        self._classes = self.add_variable((count,), "zeros", dtype="int32", name="classes")
        self._probabilities = self.add_variable((count,), "zeros", dtype="float32", name="probabilities")

    @property
    def classes(self) -> np.ndarray:
        """The index of each image's predicted class."""
        return self._kept(self._classes).astype(int)

    @property
    def probabilities(self) -> np.ndarray:
        """The model's probability of each image's predicted class."""
        return self._kept(self._probabilities)

    def update_state(self, y_true: Tensor, y_pred: Tensor, sample_weight: Tensor | None = None) -> None:
        """Keeps a batch of outputs. Sample weights are refused."""
        if sample_weight is not None:
            raise ValueError("This metric keeps predictions: it takes no `sample_weight`.")
        outputs = ops.cast(y_pred, "float32")
        probabilities = ops.softmax(outputs) if self.from_logits else outputs
        places = self._seen + ops.arange(ops.shape(outputs)[0], dtype="int32")
        self._classes.assign(self._scattered(self._classes, places, ops.argmax(probabilities, axis=-1)))
        self._probabilities.assign(self._scattered(self._probabilities, places, ops.max(probabilities, axis=-1)))
        self._seen.assign_add(ops.shape(outputs)[0])

    def _scattered(self, kept, places, values):
        return ops.scatter_update(kept, ops.expand_dims(places, -1), ops.cast(values, kept.dtype))

    def _kept(self, variable):
        seen = int(ops.convert_to_numpy(self._seen))
        return ops.convert_to_numpy(variable)[:seen]

    def result(self) -> Tensor:
        return ops.sum(self._probabilities) / ops.cast(ops.maximum(self._seen, 1), "float32")

    def get_config(self) -> dict:
        return {"name": self.name, "count": self.count, "from_logits": self.from_logits}
