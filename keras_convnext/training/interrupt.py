"""Ctrl-C that takes effect between two parts of the work: after the current batch of a training, for example."""

import os
import signal
import threading

import keras


class HeldInterrupt:
    """Holds a Ctrl-C back until `raise_if_held` is called. A second Ctrl-C takes effect at once.

    Without it, Python may raise the `KeyboardInterrupt` anywhere: while a file is written, or where another package
    swallows it, as Keras does on PyTorch while it builds a model, so that the work continues. It does not replace a
    signal handler other than Python's own, and does nothing outside the main thread.

    Args:
        part: str, after what the work stops, for the line that a Ctrl-C prints.

    Example:

    >>> from keras_convnext.training.interrupt import HeldInterrupt
    >>> with HeldInterrupt("this step") as interrupt:
    ...     for step in range(3):
    ...         interrupt.raise_if_held()
    """

    def __init__(self, part: str):
        super().__init__()
        self._message = f"\nStopping after {part}; Ctrl-C again stops at once.\n".encode()

    def __enter__(self):
        self._interrupted = False
        in_main_thread = threading.current_thread() is threading.main_thread()
        self._installed = in_main_thread and signal.getsignal(signal.SIGINT) is signal.default_int_handler
        if self._installed:
            signal.signal(signal.SIGINT, self._hold)
        return self

    def __exit__(self, *exception):
        if self._installed:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        if exception[0] is None:
            self.raise_if_held()

    def _hold(self, number, frame):
        self._interrupted = True
        os.write(2, self._message)  # print is not safe here
        signal.signal(signal.SIGINT, signal.default_int_handler)

    def raise_if_held(self):
        """Raises the `KeyboardInterrupt` of a Ctrl-C that came since the context began."""
        if self._interrupted:
            self._interrupted = False
            raise KeyboardInterrupt


class StopBetweenBatches(HeldInterrupt, keras.callbacks.Callback):
    """Raises the `KeyboardInterrupt` of a Ctrl-C after the current batch. A second Ctrl-C takes effect at once.

    Use this callback as a context manager around `compile` and `fit`: it holds the signal back until the batch has
    ended.

    Example:

    >>> import keras
    >>> import numpy as np
    >>> from keras_convnext.training.interrupt import StopBetweenBatches
    >>> model = keras.Sequential([keras.layers.Dense(1)])
    >>> model.compile(loss="mse")
    >>> with StopBetweenBatches() as stop:
    ...     history = model.fit(np.ones((8, 2)), np.ones((8, 1)), callbacks=[stop], verbose=0)
    """

    def __init__(self):
        super().__init__("this batch")

    def on_train_begin(self, logs=None):
        self.raise_if_held()

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        self.raise_if_held()

    def on_test_batch_end(self, batch, logs=None):
        self.raise_if_held()
