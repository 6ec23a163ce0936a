"""Training an auxiliary head within `fit`, in a model that has one output."""

from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

import keras
from keras import ops

from keras_convnext.models.image_model import ImageModel
from keras_convnext.typing import Tensor

_STEPPING: ContextVar[keras.Model | None] = ContextVar("model_in_train_step", default=None)
"""The model whose training step runs, or is traced, in this thread."""


class TrainsAuxiliaryHead(ImageModel):
    """A model whose training loss has a second part, from an auxiliary head; arXiv:1612.01105, section 3.3.

        loss = loss(labels, output) + auxiliary_loss_weight * loss(labels, auxiliary output)

    `compile` takes one loss, and `fit` one array of labels, as for any model with one output; metrics, `evaluate` and
    `predict` see the main output alone. A model that contains this one, and is trained in its place, sees the main
    output alone too, and the auxiliary head gets no gradient.

    Inside the training step, and only there, `call` returns both outputs, so that the backbone runs once, and
    `compute_loss` adds up the two losses. `train_step`, `compute_loss` and `compute_metrics` are Keras's own hooks, and
    the same on all backends. With a separate training model of two outputs, a data set would have to hold all labels
    twice, and callbacks such as `ModelCheckpoint` would save the training model.

    A subclass calls `_train_with` once in its constructor, after `super().__init__`.
    """

    auxiliary_loss_weight: float
    auxiliary_output: keras.KerasTensor | None = None
    _call_both: Callable | None = None

    def _train_with(self, auxiliary_output, auxiliary_loss_weight):
        """Adds the auxiliary output, a tensor computed by layers of this model; None for a model without one."""
        self.auxiliary_loss_weight = auxiliary_loss_weight
        self.auxiliary_output = auxiliary_output
        if auxiliary_output is not None:
            # As an attribute, the model would be saved a second time: the method is not a layer.
            self._call_both = keras.Model(self.inputs, [self.output, auxiliary_output], name="with_auxiliary").call

    def train_step(self, *args: Any, **kwargs: Any) -> Any:
        """Keras's training step, whose arguments depend on the backend, with both outputs."""
        token = _STEPPING.set(self)
        try:
            return super().train_step(*args, **kwargs)
        finally:
            _STEPPING.reset(token)

    def call(self, inputs: Tensor, training: bool | None = None, mask: Tensor | None = None) -> Any:
        if self._call_both is not None and training and _STEPPING.get() is self:
            self._check_images(inputs)
            return self._call_both(inputs, training=training)
        return super().call(inputs, training=training, mask=mask)

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> Tensor:
        if not isinstance(y_pred, (list, tuple)):
            return super().compute_loss(x, y, y_pred, sample_weight, training)
        main, auxiliary = (super(TrainsAuxiliaryHead, self).compute_loss(x, y, one, sample_weight) for one in y_pred)
        for penalty in self.losses:  # such as a regularizer's, which both losses have
            auxiliary = auxiliary - ops.cast(ops.sum(penalty), auxiliary.dtype)
        return main + self.auxiliary_loss_weight * auxiliary

    def compute_metrics(self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None) -> dict:
        main = y_pred[0] if isinstance(y_pred, (list, tuple)) else y_pred
        return super().compute_metrics(x, y, main, sample_weight)
