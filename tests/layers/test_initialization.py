"""How weights are drawn: a plain normal distribution of deviation 0.02, anew for each weight."""

import keras
import numpy as np
import pytest

from keras_convnext.layers.initialization import Normal, weight_initializer


@pytest.mark.parametrize("scale", [1.0, 0.001])
def test_draws_a_normal_distribution(numpy_of, scale):
    drawn = numpy_of(weight_initializer(scale), (300, 300)) / scale
    assert abs(drawn.mean()) < 5 * 0.02 / 300
    assert abs(drawn.std() - 0.02) < 5 * 0.02 / np.sqrt(2 * drawn.size)
    beyond = (np.abs(drawn) > 2 * 0.02).mean()
    assert 0.0455 - 0.0035 < beyond < 0.0455 + 0.0035, "not cut at two deviations"


def test_each_initializer_draws_other_numbers(numpy_of):
    assert (numpy_of(weight_initializer(), (64,)) != numpy_of(weight_initializer(), (64,))).any()


def test_a_seed_gives_the_same_numbers_on_every_backend(numpy_of):
    drawn = numpy_of(Normal(stddev=0.02, seed=7), (2, 2))
    np.testing.assert_allclose(drawn, 0.02 * np.random.default_rng(7).standard_normal((2, 2), "float32"), rtol=1e-6)


def test_is_kept_by_a_layer_that_keras_copies():
    layer = keras.layers.Dense(2, kernel_initializer=Normal(stddev=0.02, seed=7))
    copied = keras.layers.Dense.from_config(layer.get_config()).kernel_initializer
    assert type(copied) is Normal
    assert copied.get_config() == layer.kernel_initializer.get_config()
