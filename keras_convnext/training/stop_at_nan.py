"""Stopping a training whose loss is NaN or Inf."""

import math

import keras

from keras_convnext.training.run import Run


class StopAtNaN(keras.callbacks.Callback):
    """Raises `FloatingPointError` after a batch whose loss is NaN or Inf. The message has step, rate and last state.

    Args:
        run: the `Run` whose last state the message names. Defaults to None: no run.

    Example:

    >>> import keras
    >>> import numpy as np
    >>> from keras_convnext.training import StopAtNaN
    >>> model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    >>> model.compile(keras.optimizers.SGD(1e30), loss="mse")
    >>> model.fit(np.ones((8, 1)), np.ones((8, 1)), batch_size=1, callbacks=[StopAtNaN()], verbose=0)
    Traceback (most recent call last):
    FloatingPointError: ...
    """

    def __init__(self, run: Run | None = None):
        super().__init__()
        self.run = run

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        loss = (logs or {}).get("loss", 0.0)
        if math.isfinite(loss):
            return
        optimizer = self.model.optimizer
        step, rate = (float(keras.ops.convert_to_numpy(one)) for one in (optimizer.iterations, optimizer.learning_rate))
        state = self.run and self.run.last_state
        raise FloatingPointError(
            f"The loss is {loss} after step {step:.0f}, at a learning rate of {rate:g}. "
            + (f"The last good state is {state}. " if state else "No epoch was complete before. ")
            + "Try a lower learning rate or a longer warmup; in float16, try bfloat16 instead."
        )
