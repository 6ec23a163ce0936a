"""RmsNorm against NumPy and Keras's own layer: values, gradients, types."""

import keras
import numpy as np
import pytest

from keras_convnext.layers.rms_norm import RmsNorm

SHAPES = [(2, 5, 4, 6), (3, 7), (1, 1, 1, 1)]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_equals_the_formula(randomize, formulas, numpy_of, rng, shape):
    layer = RmsNorm(epsilon=1e-2)
    layer.build(shape)
    randomize(layer)
    x = (0.3 + rng.normal(size=shape)).astype("float32")
    np.testing.assert_allclose(numpy_of(layer, x), formulas.rms_norm(x, layer.get_weights()[0], 1e-2), rtol=1e-5)


@pytest.mark.parametrize("shape", SHAPES[:2], ids=str)
def test_gradients_equal_those_of_keras(randomize, gradients, rng, shape):
    ours, plain = RmsNorm(epsilon=1e-3), keras.layers.RMSNormalization(epsilon=1e-3)
    for layer in (ours, plain):
        layer.build(shape)
    plain.set_weights(randomize(ours).get_weights())
    x, cotangent = (rng.normal(size=shape).astype("float32") for _ in range(2))
    found, expected = gradients(ours, x, cotangent), gradients(plain, x, cotangent)
    np.testing.assert_allclose(found[0], expected[0], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(found[1][0], expected[1][0], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("dtype", ["mixed_float16", "mixed_bfloat16"])
def test_squares_do_not_leave_the_range_of_half_precision(numpy_of, rng, dtype):
    x = rng.normal(size=(2, 3, 3, 8)).astype("float32")
    layer, half = RmsNorm(), RmsNorm(dtype=dtype)
    found = half(1000 * x)
    assert keras.backend.standardize_dtype(found.dtype) == dtype.removeprefix("mixed_")
    np.testing.assert_allclose(numpy_of(keras.ops.cast, found, "float32"), numpy_of(layer, 1000 * x), rtol=0.02)
    assert half.gamma.dtype == "float32"


def test_zeros_have_finite_gradients(gradients):
    layer = RmsNorm()
    layer.build((1, 4))
    in_x, in_weights = gradients(layer, np.zeros((1, 4), "float32"), np.ones((1, 4), "float32"))
    assert np.isfinite(in_x).all()
    np.testing.assert_array_equal(in_weights[0], 0)


def test_refuses_a_negative_epsilon():
    with pytest.raises(ValueError, match="`epsilon` must be a finite number, at least 0"):
        RmsNorm(epsilon=-1)
