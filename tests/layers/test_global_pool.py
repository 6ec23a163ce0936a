"""GlobalPool against Keras's own layer."""

import keras
import numpy as np
import pytest

from keras_convnext.layers.global_pool import GlobalPool


@pytest.mark.parametrize("shape", [(2, 7, 7, 4), (1, 1, 1, 3), (3, 5, 2, 6)])
@pytest.mark.parametrize("keepdims", [False, True])
def test_equals_the_keras_layer(gradients, rng, shape, keepdims):
    x = rng.normal(size=shape).astype("float32")
    ours, plain = GlobalPool(keepdims=keepdims), keras.layers.GlobalAveragePooling2D("channels_last", keepdims)
    found, expected = (keras.ops.convert_to_numpy(layer(x)) for layer in (ours, plain))
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
    cotangent = rng.normal(size=expected.shape).astype("float32")
    np.testing.assert_allclose(
        gradients(ours, x, cotangent)[0], gradients(plain, x, cotangent)[0], rtol=1e-5, atol=1e-6
    )


def test_round_trip():
    layer = GlobalPool(name="some_name")
    assert GlobalPool.from_config(layer.get_config()).get_config() == layer.get_config()
