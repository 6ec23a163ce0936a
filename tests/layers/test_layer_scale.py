"""LayerScale: the product, and its precision under mixed float16."""

import keras
import numpy as np
import pytest

from keras_convnext.layers import LayerScale


@pytest.mark.parametrize("shape", [(2, 4, 5, 3), (2, 3)])
def test_multiplies_each_channel(randomize, numpy_of, rng, shape):
    layer = LayerScale()
    layer.build(shape)
    randomize(layer)
    x = rng.normal(size=shape).astype("float32")
    np.testing.assert_allclose(numpy_of(layer, x), x * numpy_of(lambda: layer.gamma), rtol=1e-6)


def test_starts_at_its_initial_value(numpy_of):
    np.testing.assert_array_equal(numpy_of(LayerScale(0.25), np.ones((1, 4), "float32")), np.full((1, 4), 0.25))


@pytest.mark.parametrize("dtype", ["mixed_float16", "mixed_bfloat16"])
def test_keeps_the_precision_of_float32_under_mixed_precision(numpy_of, dtype):
    """1e-6 in float16 is 1.0133e-06: one and a third per cent away. The product 1e-6 * 1e4 must not show it."""
    layer = LayerScale(1e-6, dtype=dtype)
    y = layer(np.full((1, 8), 1e4, "float32"))
    assert layer.gamma.dtype == "float32"
    np.testing.assert_allclose(numpy_of(lambda: layer.gamma), 1e-6, rtol=1e-7)
    assert f"mixed_{keras.backend.standardize_dtype(y.dtype)}" == dtype
    np.testing.assert_allclose(numpy_of(lambda: y).astype("float32"), 1e-2, rtol=4e-3 if "bf" in dtype else 5e-4)


def test_gradient_in_gamma_is_float32_under_mixed_float16(gradients):
    layer = LayerScale(1e-6, dtype="mixed_float16")
    layer.build((64, 3))
    _, (in_gamma,) = gradients(layer, np.full((64, 3), 3.0, "float32"), np.full((64, 3), 1e-4, "float32"))
    np.testing.assert_allclose(in_gamma, 64 * 3e-4, rtol=1e-3)
