"""The moving average of a model's weights, which its optimizer keeps, in their place."""

from contextlib import contextmanager

import keras


def has_average(model):
    """Whether a compiled model's optimizer keeps a moving average of the weights."""
    return _plain(model.optimizer).use_ema


@contextmanager
def averaged_weights(model):
    """Within, a compiled model has the moving average of its weights; afterwards its own again.

    Args:
        model: a model whose optimizer was made with `use_ema=True` and has been built.

    Example:

    >>> import keras, numpy as np
    >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    >>> model.compile(keras.optimizers.AdamW(0.1, use_ema=True), loss="mse")
    >>> history = model.fit(np.ones((8, 2)), np.ones((8, 1)), verbose=0)
    >>> own = model.get_weights()
    >>> with averaged_weights(model):
    ...     bool((model.get_weights()[0] != own[0]).any())
    True
    >>> bool((model.get_weights()[0] == own[0]).all())
    True
    """
    optimizer = _plain(model.optimizer)
    pairs = list(zip(optimizer._trainable_variables, optimizer._model_variables_moving_average, strict=True))
    own = [keras.ops.copy(variable) for variable, _ in pairs]
    for variable, average in pairs:
        variable.assign(keras.ops.copy(average))
    try:
        yield
    finally:
        for (variable, _), value in zip(pairs, own, strict=True):
            variable.assign(value)


def _plain(optimizer):
    """The optimizer within one that scales the loss."""
    return getattr(optimizer, "inner_optimizer", optimizer)
