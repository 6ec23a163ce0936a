"""PatchConv against the convolution that it is."""

import keras
import numpy as np
import pytest

from keras_convnext.layers.patch_conv import PatchConv


@pytest.fixture
def pair(randomize):
    """A function: a patch convolution, and Keras's of the same weights."""

    def make(patch_size):
        ours = PatchConv(6, patch_size)
        plain = keras.layers.Conv2D(6, patch_size, strides=patch_size)
        for layer in (ours, plain):
            layer.build((None, None, None, 3))
        plain.set_weights(randomize(ours).get_weights())
        return ours, plain

    return make


@pytest.mark.parametrize("size", [(8, 8), (9, 14), (4, 7)])
@pytest.mark.parametrize("patch_size", [1, 2, 4])
def test_equals_the_keras_layer(pair, gradients, rng, size, patch_size):
    ours, plain = pair(patch_size)
    x = rng.normal(size=(2, *size, 3)).astype("float32")
    expected = keras.ops.convert_to_numpy(plain(x))
    np.testing.assert_allclose(keras.ops.convert_to_numpy(ours(x)), expected, rtol=1e-5, atol=1e-5)
    cotangent = rng.normal(size=expected.shape).astype("float32")
    (in_x, in_weights), (plain_in_x, plain_in_weights) = (gradients(layer, x, cotangent) for layer in (ours, plain))
    np.testing.assert_allclose(in_x, plain_in_x, rtol=1e-5, atol=1e-5)
    for found, expected in zip(in_weights, plain_in_weights, strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-4)


def test_sizes_may_be_free(pair, rng):
    ours, plain = pair(2)
    models = [keras.Sequential([keras.Input((None, None, 3)), layer]) for layer in (ours, plain)]
    for size in ((6, 8), (5, 9)):
        x = rng.normal(size=(1, *size, 3)).astype("float32")
        found, expected = (model.predict(x, verbose=0) for model in models)
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


def test_round_trip():
    layer = PatchConv(6, 2, name="some_name", dtype="mixed_bfloat16")
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    assert again.get_config() == layer.get_config()
    assert (again.filters, again.patch_size, again.strides) == (6, 2, (2, 2))
