"""How weights are drawn: a plain normal distribution of deviation 0.02, anew for each weight."""

import numpy as np
import pytest

from keras_convnext.layers.initialization import weight_initializer


@pytest.mark.parametrize("scale", [1.0, 0.001])
def test_draws_a_normal_distribution(numpy_of, scale):
    drawn = numpy_of(weight_initializer(scale), (300, 300)) / scale
    assert abs(drawn.mean()) < 5 * 0.02 / 300
    assert abs(drawn.std() - 0.02) < 5 * 0.02 / np.sqrt(2 * drawn.size)
    beyond = (np.abs(drawn) > 2 * 0.02).mean()
    assert 0.0455 - 0.0035 < beyond < 0.0455 + 0.0035, "not cut at two deviations"


def test_each_initializer_draws_other_numbers(numpy_of):
    assert (numpy_of(weight_initializer(), (64,)) != numpy_of(weight_initializer(), (64,))).any()
