"""Using the moving average of a model's weights, which its optimizer keeps."""

from collections.abc import Iterator
from contextlib import contextmanager

import keras


def has_average(model: keras.Model) -> bool:
    """Whether a compiled model's optimizer keeps a moving average of the weights."""
    return _plain(model.optimizer).use_ema


@contextmanager
def averaged_weights(model: keras.Model) -> Iterator[None]:
    """A context in which a compiled model uses the moving average of its weights. Its own weights return on exit.

    It is for callbacks during a training. At the end of the training, Keras's `fit` leaves the average in the model.

    Args:
        model: a model whose optimizer was made with `use_ema=True` and has been built.

    Example:

    >>> import keras
    >>> from keras_convnext.training import AdamW, averaged_weights
    >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    >>> model.compile(AdamW(use_ema=True), loss="mse")
    >>> model.optimizer.build(model.trainable_variables)  # the average begins with these weights
    >>> own = [weight * 0 for weight in model.get_weights()]
    >>> model.set_weights(own)
    >>> with averaged_weights(model):
    ...     bool(model.get_weights()[0].any())
    True
    >>> bool(model.get_weights()[0].any())
    False
    """
    optimizer = _plain(model.optimizer)
    pairs = zip(optimizer._trainable_variables, optimizer._model_variables_moving_average, strict=True)
    pairs = [(variable, average) for variable, average in pairs if average is not None]  # float8 scales have none
    own = [keras.ops.copy(variable) for variable, _ in pairs]
    for variable, average in pairs:
        variable.assign(keras.ops.copy(average))
    try:
        yield
    finally:
        for (variable, _), value in zip(pairs, own, strict=True):
            variable.assign(value)


def _plain(optimizer):
    """The optimizer itself, if it is wrapped in one that scales the loss."""
    return getattr(optimizer, "inner_optimizer", optimizer)
