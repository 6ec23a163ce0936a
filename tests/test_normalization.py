"""Mean and standard deviation per channel, for any number of channels, and the layer that uses them."""

import keras
import numpy as np
import pytest

from keras_convnext.normalization import IMAGENET_MEAN, IMAGENET_STD, mean_and_std, normalization_layer, of_channels


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_imagenets_values_for_any_number_of_channels(channels):
    mean, std = mean_and_std(channels)
    expected = (IMAGENET_MEAN, IMAGENET_STD)
    if channels != 3:
        expected = ((np.mean(IMAGENET_MEAN),) * channels, (np.mean(IMAGENET_STD),) * channels)
    assert mean == pytest.approx(expected[0])
    assert std == pytest.approx(expected[1])
    assert of_channels(IMAGENET_MEAN, channels) == mean


def test_values_that_are_given():
    assert mean_and_std(2, 0.5, [0.25, np.float32(0.125)]) == ((0.5, 0.5), (0.25, 0.125))
    assert mean_and_std(3, mean=(0.1, 0.2, 0.3)) == ((0.1, 0.2, 0.3), IMAGENET_STD)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"mean": (0.5, 0.5)}, "`mean` must have one number for each of 3 channels. Received: mean="),
        ({"std": (0.5,) * 4}, "`std` must have one number for each of 3 channels"),
        ({"std": (0.5, 0.0, 0.5)}, "`std` must be positive. Received: std="),
        ({"mean": "imagenet"}, "`mean`"),
    ],
)
def test_values_that_do_not_fit_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        mean_and_std(3, **arguments)


@pytest.mark.parametrize("channels", [1, 3, 5])
def test_the_layer_is_the_formula(rng, numpy_of, channels):
    mean, std = rng.uniform(0.2, 0.8, (2, channels))
    images = rng.uniform(0, 255, (2, 4, 5, channels)).astype("float32")
    layer = normalization_layer(tuple(mean), tuple(std), name="scaled")
    assert isinstance(layer, keras.layers.Normalization) and layer.name == "scaled"
    np.testing.assert_allclose(numpy_of(layer, images), (images / 255 - mean) / std, rtol=0, atol=1e-5)
