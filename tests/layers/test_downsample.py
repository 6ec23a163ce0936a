"""Downsample: values against NumPy, with a stride and with a dilation instead."""

import numpy as np
import pytest

from keras_convnext.layers import Downsample


@pytest.mark.parametrize("size", [(8, 8), (9, 7), (2, 3)])
def test_halves_the_map(randomize, formulas, numpy_of, rng, size):
    layer = Downsample(6, norm_eps=1e-3)
    layer.build((None, *size, 4))
    randomize(layer)
    x = rng.normal(size=(2, *size, 4)).astype("float32")
    gamma, beta, kernel, bias = layer.get_weights()
    expected = formulas.convolution(formulas.layer_norm(x, gamma, beta, 1e-3), kernel, bias, strides=2)
    assert expected.shape == (2, size[0] // 2, size[1] // 2, 6)
    np.testing.assert_allclose(numpy_of(layer, x), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("size", [(8, 8), (9, 7)])
@pytest.mark.parametrize(("dilation_rate", "padding"), [(1, (0, 1)), (2, (1, 1)), (4, (2, 2))])
def test_stride_1_keeps_the_size(randomize, formulas, numpy_of, rng, size, dilation_rate, padding):
    """Zeros on both sides, the odd one after: "same" padding, as timm's."""
    layer = Downsample(6, strides=1, dilation_rate=dilation_rate)
    layer.build((None, *size, 4))
    randomize(layer)
    x = rng.normal(size=(1, *size, 4)).astype("float32")
    gamma, beta, kernel, bias = layer.get_weights()
    normed = formulas.layer_norm(x, gamma, beta, 1e-6)
    expected = formulas.convolution(normed, kernel, bias, dilation=dilation_rate, padding=padding)
    assert expected.shape == (1, *size, 6)
    np.testing.assert_allclose(numpy_of(layer, x), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("norm", ["rms_norm", "simple_norm"])
@pytest.mark.parametrize(
    ("arguments", "convolution"),
    [({}, {"strides": 2}), ({"strides": 1, "dilation_rate": 2}, {"dilation": 2, "padding": (1, 1)})],
)
def test_other_norms_and_no_bias(randomize, formulas, numpy_of, rng, norm, arguments, convolution):
    layer = Downsample(6, norm=norm, conv_bias=False, **arguments)
    layer.build((None, 8, 8, 4))
    randomize(layer)
    x = rng.normal(size=(2, 8, 8, 4)).astype("float32")
    gamma, kernel = layer.get_weights()
    expected = formulas.convolution(getattr(formulas, norm)(x, gamma, 1e-6), kernel, **convolution)
    np.testing.assert_allclose(numpy_of(layer, x), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("shape", [(1, 8, 8, 4), (1, 9, 7, 4), (1, 2, 3, 4)])
@pytest.mark.parametrize("arguments", [{}, {"strides": 1}, {"strides": 1, "dilation_rate": 2}])
def test_compute_output_shape_is_the_shape_of_the_output(numpy_of, shape, arguments):
    layer = Downsample(6, **arguments)
    assert layer.compute_output_shape(shape) == numpy_of(layer, np.zeros(shape, "float32")).shape


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"strides": 3}, "`strides` must be 1 or 2. Received: strides=3"),
        ({"strides": 2, "dilation_rate": 2}, "A `dilation_rate` above 1 requires strides=1"),
    ],
)
def test_refuses(arguments, message):
    with pytest.raises(ValueError, match=message):
        Downsample(6, **arguments)
