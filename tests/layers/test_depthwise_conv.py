"""DepthwiseConv2D against a NumPy loop, and its gradients against Keras's own layer."""

import keras
import numpy as np
import pytest

from keras_convnext.layers import DepthwiseConv2D

SHAPES = [(2, 14, 14, 8), (1, 9, 7, 5), (3, 5, 13, 1), (1, 2, 3, 4)]


@pytest.fixture
def layer_for(randomize):
    def make(shape, **arguments):
        layer = DepthwiseConv2D(**arguments)
        layer.build(shape)
        return randomize(layer)

    return make


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("kernel_size", [3, 5, 7])
@pytest.mark.parametrize("dilation_rate", [1, 2])
def test_equals_the_numpy_loop(layer_for, formulas, numpy_of, rng, shape, kernel_size, dilation_rate):
    x = rng.normal(size=shape).astype("float32")
    layer = layer_for(shape, kernel_size=kernel_size, dilation_rate=dilation_rate)
    expected = formulas.depthwise(x, numpy_of(lambda: layer.kernel), numpy_of(lambda: layer.bias), dilation_rate)
    np.testing.assert_allclose(numpy_of(layer, x), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("shape", [(2, 8, 6, 5), (1, 7, 9, 3)])
@pytest.mark.parametrize("kernel_size", [3, 7])
def test_strides_are_torchs(layer_for, numpy_of, rng, shape, kernel_size):
    import torch

    layer = layer_for(shape, kernel_size=kernel_size, strides=2)
    x = rng.normal(size=shape).astype("float32")
    expected = torch.nn.functional.conv2d(
        torch.tensor(x.transpose(0, 3, 1, 2)),
        torch.tensor(np.ascontiguousarray(layer.kernel.numpy().transpose(2, 3, 0, 1))),
        torch.tensor(layer.bias.numpy()),
        stride=2,
        padding=kernel_size // 2,
        groups=shape[-1],
    )
    found = numpy_of(layer, x)
    assert found.shape == layer.compute_output_shape(shape)
    np.testing.assert_allclose(found, expected.numpy().transpose(0, 2, 3, 1), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("kernel_size", "dilation_rate"), [(3, 1), (7, 1), (7, 2)])
def test_gradients_equal_those_of_the_keras_layer(layer_for, gradients, rng, kernel_size, dilation_rate):
    shape = (2, 9, 7, 5)
    layer = layer_for(shape, kernel_size=kernel_size, dilation_rate=dilation_rate)
    peer = keras.layers.DepthwiseConv2D(
        kernel_size, padding="same", dilation_rate=dilation_rate, data_format="channels_last"
    )
    peer.build(shape)
    peer.set_weights(layer.get_weights())
    x, cotangent = rng.normal(size=(2, *shape)).astype("float32")
    in_x, in_weights = gradients(layer, x, cotangent)
    expected_in_x, expected_in_weights = gradients(peer, x, cotangent)
    np.testing.assert_allclose(in_x, expected_in_x, rtol=1e-4, atol=1e-4)
    for gradient, expected in zip(in_weights, expected_in_weights, strict=True):
        np.testing.assert_allclose(gradient, expected, rtol=1e-4, atol=1e-4)


def test_gradient_is_the_slope_of_the_numpy_loop(layer_for, gradients, formulas, numpy_of, rng):
    """The layer is linear, so the loss moves by exactly the gradient times the step."""
    shape = (2, 6, 5, 3)
    layer = layer_for(shape, kernel_size=5)
    kernel = numpy_of(lambda: layer.kernel)
    x, cotangent, step = rng.normal(size=(3, *shape)).astype("float32")
    kernel_step = rng.normal(size=kernel.shape)
    in_x, (in_kernel, in_bias) = gradients(layer, x, cotangent)
    np.testing.assert_allclose((in_x * step).sum(), (formulas.depthwise(step, kernel) * cotangent).sum(), rtol=1e-4)
    moved = (formulas.depthwise(x, kernel_step) * cotangent).sum()
    np.testing.assert_allclose((in_kernel * kernel_step).sum(), moved, rtol=1e-4)
    np.testing.assert_allclose(in_bias, cotangent.sum(axis=(0, 1, 2)), rtol=1e-4)


def test_without_bias(layer_for, formulas, numpy_of, rng):
    x = rng.normal(size=(1, 6, 6, 4)).astype("float32")
    layer = layer_for(x.shape, kernel_size=3, use_bias=False)
    assert [weight.name for weight in layer.weights] == ["kernel"]
    expected = formulas.depthwise(x, numpy_of(lambda: layer.kernel))
    np.testing.assert_allclose(numpy_of(layer, x), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("kernel_size", [2, 4])
def test_refuses_an_even_kernel(kernel_size):
    with pytest.raises(ValueError, match=f"must be odd.*kernel_size={kernel_size}"):
        DepthwiseConv2D(kernel_size)


def test_refuses_another_rank():
    with pytest.raises(ValueError, match="expected ndim=4"):
        DepthwiseConv2D()(np.zeros((2, 8, 4)))


def test_compiles_with_xla_on_jax_and_without_it_on_tensorflow_cpu(backend):
    model = keras.Sequential([keras.Input((8, 8, 4)), DepthwiseConv2D()])
    model.compile("sgd", "mse")
    on_cpu = backend == "tensorflow" and not _tensorflow_sees_a_gpu()
    assert model.jit_compile is {"jax": True, "torch": False, "tensorflow": not on_cpu}[backend]
    assert model.layers[0].supports_jit is not on_cpu


def _tensorflow_sees_a_gpu():
    import tensorflow as tf

    return bool(tf.config.get_visible_devices("GPU"))
