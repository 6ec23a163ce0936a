"""Each backend's block against the same block made of Keras's own layers."""

import itertools

import keras
import numpy as np
import pytest
from keras import ops

from keras_convnext.layers import ConvNeXtBlock

OTHER = {"norm": "rms_norm", "activation": "silu", "conv_bias": False, "mlp_ratio": 2.5}
SHAPES = [(2, 14, 14), (1, 9, 7), (3, 5, 13), (1, 2, 3), (5, 1, 1)]
DIM = 6
# The paper's block runs every time with each shape; other settings run with this one, and the rest is slow.
PAPERS = [(7, 1), (7, 1, True)]
ONE = SHAPES[2]


def every_shape(*settings):
    """Each shape with each of the settings: kernel size, dilation rate, and whether it trains."""
    return [
        pytest.param(shape, *setting, marks=() if setting in PAPERS or shape == ONE else pytest.mark.slow)
        for setting in settings
        for shape in SHAPES
    ]


def assert_close(found, expected):
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5 * np.abs(expected).max())


@pytest.fixture
def small_slices(backend, monkeypatch):
    """Makes the slices of a pass without gradients so small that there are several."""
    if backend == "torch":
        from keras_convnext.kernels.torch import inference

        monkeypatch.setattr(inference, "THREAD_PIXELS", 10)
        monkeypatch.setattr(inference, "THREAD_BYTES", 0)


@pytest.mark.parametrize(
    ("shape", "kernel_size", "dilation_rate"), every_shape(*itertools.product((3, 5, 7), (1, 2))), ids=str
)
def test_predictions_are_equal(pair, small_slices, rng, shape, kernel_size, dilation_rate):
    """With shapes that the graph does not know."""
    x = rng.normal(size=(*shape, DIM)).astype("float32")
    found, expected = (
        keras.Sequential([keras.Input((None, None, DIM)), block]).predict(x, verbose=0, batch_size=shape[0])
        for block in pair(kernel_size, dilation_rate)
    )
    assert_close(found, expected)


@pytest.mark.parametrize(
    ("shape", "kernel_size", "dilation_rate", "training"),
    every_shape((3, 1, True), (5, 1, True), (7, 1, True), (7, 2, True), (7, 1, False)),
    ids=str,
)
def test_gradients_are_equal(pair, twins, gradients, rng, shape, kernel_size, dilation_rate, training):
    x, cotangent = rng.normal(size=(2, *shape, DIM)).astype("float32")
    assert_gradients_are_equal(pair(kernel_size, dilation_rate), twins, gradients, x, cotangent, training)


@pytest.mark.parametrize("training", [True, False])
def test_other_norm_activation_and_bias(pair, twins, small_slices, gradients, rng, training):
    x, cotangent = rng.normal(size=(2, 3, 5, 6, DIM)).astype("float32")
    block, plain = pair(kernel_size=5, **OTHER)
    assert_gradients_are_equal((block, plain), twins, gradients, x, cotangent, training)
    found, expected = (keras.Sequential([keras.Input((None, None, DIM)), layer]) for layer in (block, plain))
    assert_close(found.predict(x, verbose=0), expected.predict(x, verbose=0))


def assert_gradients_are_equal(pair, twins, gradients, x, cotangent, training):
    block, plain = pair
    in_x, in_weights = gradients(block, x, cotangent, training)
    plain_in_x, plain_in_weights = gradients(plain, x, cotangent, training)
    assert_close(in_x, plain_in_x)
    by_weight = {id(weight): gradient for weight, gradient in zip(block.trainable_variables, in_weights, strict=True)}
    expected = {id(w): gradient for w, gradient in zip(plain.trainable_variables, plain_in_weights, strict=True)}
    for weight, twin in twins(block, plain):
        assert_close(by_weight[id(weight)], expected[id(twin)])


def test_half_precision_is_near(pair, rng):
    x = ops.convert_to_tensor(rng.normal(size=(2, 9, 7, DIM)).astype("float32"))
    block, plain = pair()
    half = ConvNeXtBlock.from_config({**block.get_config(), "dtype": "mixed_bfloat16"})
    half.build(x.shape)
    half.set_weights(block.get_weights())
    expected = keras.ops.convert_to_numpy(plain(x))
    found = keras.ops.convert_to_numpy(keras.ops.cast(half(x), "float32"))
    np.testing.assert_allclose(found, expected, atol=0.05 * np.abs(expected).max())
