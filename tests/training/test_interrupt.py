"""Ctrl-C during `fit`, in this process; tests/cli/test_interrupt.py has the whole command."""

import signal
import threading

import keras
import numpy as np
import pytest

from keras_convnext.training.interrupt import HeldInterrupt, StopBetweenBatches

IMAGES = np.ones((6, 2), "float32")


class At(keras.callbacks.Callback):
    """Does something at the beginning of a batch, and counts the batches that were completed."""

    def __init__(self, batch, action):
        super().__init__()
        self.batch, self.action, self.completed = batch, action, 0

    def on_train_batch_begin(self, batch, logs=None):
        if batch == self.batch:
            self.action()

    def on_train_batch_end(self, batch, logs=None):
        self.completed += 1


@pytest.fixture(autouse=True)
def pythons_own_handler():
    """A shell that starts the tests in the background may have the signal ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def fit():
    """A function: fits three batches; `action` is called in one of them, or before them all where `batch` is None."""
    model = keras.Sequential([keras.layers.Dense(1)])
    model.compile(loss="mse")

    def call(action, batch=1):
        call.callback = At(batch, action)
        with StopBetweenBatches() as stop:
            if batch is None:
                action()
            model.fit(IMAGES, IMAGES[:, :1], batch_size=2, callbacks=[call.callback, stop], verbose=0)

    return call


def ctrl_c():
    signal.raise_signal(signal.SIGINT)


def test_ends_the_training_after_the_batch(fit):
    with pytest.raises(KeyboardInterrupt):
        fit(ctrl_c)
    assert fit.callback.completed == 2
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_before_the_training_ends_it_before_the_first_batch(fit):
    with pytest.raises(KeyboardInterrupt):
        fit(ctrl_c, batch=None)
    assert fit.callback.completed == 0


def test_a_second_one_ends_it_at_once(fit):
    with pytest.raises(KeyboardInterrupt):
        fit(lambda: (ctrl_c(), ctrl_c()))
    assert fit.callback.completed == 1


def test_after_the_last_batch_ends_what_follows():
    with pytest.raises(KeyboardInterrupt), StopBetweenBatches():
        ctrl_c()


def test_without_any_the_training_is_whole(fit):
    fit(lambda: None)
    assert fit.callback.completed == 3
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_handler_of_somebody_else_stays(fit):
    received = []
    signal.signal(signal.SIGINT, lambda *_: received.append(True))
    fit(ctrl_c)
    assert received == [True]
    assert fit.callback.completed == 3


def test_in_another_thread_trains_as_ever(fit):
    thread = threading.Thread(target=fit, args=(lambda: None,))
    thread.start()
    thread.join()
    assert fit.callback.completed == 3


def test_is_held_where_another_package_would_swallow_it():
    with pytest.raises(KeyboardInterrupt), HeldInterrupt("this step") as interrupt:
        interrupt.raise_if_held()
        try:
            ctrl_c()
        except BaseException:  # as Keras does while it builds a model
            pytest.fail("It was raised at once.")
        interrupt.raise_if_held()
        pytest.fail("It was not raised.")


def test_is_raised_at_the_end_at_the_latest():
    with pytest.raises(KeyboardInterrupt), HeldInterrupt("this step"):
        ctrl_c()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
