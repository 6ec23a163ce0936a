"""A training stops where its loss is no number, and tells what is known."""

import keras
import numpy as np
import pytest

from keras_convnext.training import Run, StopAtNaN


@pytest.fixture
def diverging():
    """A model whose loss is infinite or NaN after some steps."""
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(1e30), loss="mse")
    return model


def test_stops_with_step_and_rate(diverging):
    batches = []
    count = keras.callbacks.LambdaCallback(on_train_batch_begin=lambda batch, logs: batches.append(batch))
    with pytest.raises(FloatingPointError, match=r"The loss is (nan|inf) after step \d+, at a learning rate of 1e\+30"):
        diverging.fit(np.ones((64, 1)), np.ones((64, 1)), batch_size=1, callbacks=[count, StopAtNaN()], verbose=0)
    assert len(batches) < 10


def test_names_the_last_state(diverging, tmp_path):
    (tmp_path / "state" / "epoch-3").mkdir(parents=True)
    with pytest.raises(FloatingPointError, match=r"The last good state is .*epoch-3"):
        diverging.fit(np.ones((64, 1)), np.ones((64, 1)), batch_size=1, callbacks=[StopAtNaN(Run(tmp_path))], verbose=0)


def test_lets_numbers_pass():
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(0.01), loss="mse")
    assert model.fit(np.ones((8, 1)), np.ones((8, 1)), callbacks=[StopAtNaN()], verbose=0).history["loss"]
