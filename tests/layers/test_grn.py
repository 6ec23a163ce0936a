"""GlobalResponseNormalization against the formula of the paper, at zero and at large values."""

import numpy as np
import pytest

from keras_convnext.layers import GlobalResponseNormalization


@pytest.fixture
def random_grn(randomize):
    def make(channels, **arguments):
        layer = GlobalResponseNormalization(**arguments)
        layer.build((None, None, None, channels))
        return randomize(layer)

    return make


@pytest.mark.parametrize("shape", [(2, 5, 7, 8), (1, 1, 1, 3), (3, 4, 4, 1)])
@pytest.mark.parametrize("epsilon", [1e-6, 0.5])
def test_equals_the_formula(random_grn, formulas, numpy_of, rng, shape, epsilon):
    x = rng.normal(size=shape).astype("float32")
    layer = random_grn(shape[-1], epsilon=epsilon)
    gamma, beta = layer.get_weights()
    np.testing.assert_allclose(numpy_of(layer, x), formulas.grn(x, gamma, beta, epsilon), rtol=1e-5, atol=1e-5)


def test_starts_as_the_identity(numpy_of, rng):
    x = rng.normal(size=(2, 4, 4, 8)).astype("float32")
    np.testing.assert_array_equal(numpy_of(GlobalResponseNormalization(), x), x)


@pytest.mark.parametrize("zeros", ["one channel", "one sample", "everything"])
def test_gradient_is_finite_at_zeros(random_grn, gradients, rng, zeros):
    x, cotangent = rng.normal(size=(2, 2, 4, 4, 8)).astype("float32")
    x[{"one channel": np.s_[..., 3], "one sample": np.s_[0], "everything": np.s_[:]}[zeros]] = 0.0
    in_x, in_weights = gradients(random_grn(8), x, cotangent)
    for gradient in (in_x, *in_weights):
        assert np.isfinite(gradient).all()


def test_gradient_equals_the_slope_of_the_formula(random_grn, formulas, gradients, rng):
    x, cotangent, step = rng.normal(size=(3, 2, 4, 5, 8)).astype("float32")
    layer = random_grn(8)
    weights = layer.get_weights()
    in_x, (in_gamma, in_beta) = gradients(layer, x, cotangent)

    def loss(x, gamma, beta):
        return (formulas.grn(x, gamma, beta) * cotangent).sum()

    def slope(*directions, size=1e-5):
        up, down = (
            [value + sign * size * move for value, move in zip((x, *weights), directions, strict=True)]
            for sign in (1, -1)
        )
        return (loss(*up) - loss(*down)) / (2 * size)

    direction = rng.normal(size=8)
    np.testing.assert_allclose((in_x * step).sum(), slope(step.astype("float64"), 0, 0), rtol=1e-4)
    np.testing.assert_allclose((in_gamma * direction).sum(), slope(0, direction, 0), rtol=1e-4)
    np.testing.assert_allclose((in_beta * direction).sum(), slope(0, 0, direction), rtol=1e-4)


@pytest.mark.parametrize("dtype", ["float16", "mixed_float16"])
def test_is_finite_in_float16_at_large_values(formulas, numpy_of, rng, dtype):
    """The squares, 1e8, and their sum over 16x16 positions leave the range of float16, which ends at 65504."""
    x = (1e4 * rng.uniform(0.5, 1, size=(1, 16, 16, 8))).astype("float16")
    layer = GlobalResponseNormalization(dtype=dtype)
    layer.build(x.shape)
    gamma, beta = rng.uniform(0.5, 1, size=(2, 8)).astype("float16")
    layer.set_weights([gamma, beta])
    y = numpy_of(layer, x).astype("float32")
    np.testing.assert_allclose(y, formulas.grn(x, gamma, beta), rtol=2e-3)


def test_gradient_in_float16_at_large_values_equals_that_in_float32(random_grn, gradients, rng):
    x, cotangent = rng.uniform(-1, 1, size=(2, 1, 16, 16, 8)).astype("float32")
    x, cotangent = np.round(1e4 * x), 1e-3 * cotangent
    exact, half = random_grn(8), random_grn(8, dtype="mixed_float16")
    half.set_weights(exact.get_weights())
    in_x, in_weights = gradients(half, x, cotangent)
    exact_in_x, exact_in_weights = gradients(exact, x, cotangent)
    for gradient, expected in zip((in_x, *in_weights), (exact_in_x, *exact_in_weights), strict=True):
        np.testing.assert_allclose(gradient, expected, atol=1e-2 * np.abs(expected).max())
