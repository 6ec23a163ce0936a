"""Ctrl-C during a training, which takes effect after the current batch."""

import os
import signal
import threading

import keras


class StopBetweenBatches(keras.callbacks.Callback):
    """Raises the `KeyboardInterrupt` of a Ctrl-C after the current batch. A second Ctrl-C takes effect at once.

    Without it, Python may raise the interrupt anywhere: while a file is written, or within a callback of another
    package that swallows it, so that the training continues. Use this callback as a context manager around `compile`
    and `fit`: it holds the signal back until the batch has ended. It does not replace a signal handler other than
    Python's own, and does nothing outside the main thread.

    Example:

    >>> import keras
    >>> import numpy as np
    >>> from keras_convnext.training.interrupt import StopBetweenBatches
    >>> model = keras.Sequential([keras.layers.Dense(1)])
    >>> model.compile(loss="mse")
    >>> with StopBetweenBatches() as stop:
    ...     history = model.fit(np.ones((8, 2)), np.ones((8, 1)), callbacks=[stop], verbose=0)
    """

    def __enter__(self):
        self._interrupted = False
        in_main_thread = threading.current_thread() is threading.main_thread()
        self._installed = in_main_thread and signal.getsignal(signal.SIGINT) is signal.default_int_handler
        if self._installed:
            signal.signal(signal.SIGINT, self._keep)
        return self

    def __exit__(self, *exception):
        if self._installed:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        if self._interrupted and exception[0] is None:
            raise KeyboardInterrupt

    def _keep(self, number, frame):
        self._interrupted = True
        os.write(2, b"\nStopping after this batch; Ctrl-C again stops at once.\n")  # print is not safe here
        signal.signal(signal.SIGINT, signal.default_int_handler)

    def _raise_what_was_kept(self):
        if self._interrupted:
            self._interrupted = False
            raise KeyboardInterrupt

    def on_train_begin(self, logs=None):
        self._raise_what_was_kept()

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        self._raise_what_was_kept()

    def on_test_batch_end(self, batch, logs=None):
        self._raise_what_was_kept()
