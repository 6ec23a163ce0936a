"""The kernels for training on TensorFlow: where they serve."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_convnext import kernels
from keras_convnext.layers import ConvNeXtBlock, DepthwiseConv2D
from keras_convnext.layers.layer_norm import LayerNorm


def used(layer, shape):
    """The names of the kernels for training that a training step of the layer calls, in a graph."""
    step = tf.function(lambda x: layer(x, training=True)).get_concrete_function(tf.TensorSpec(shape))
    attributes = [str(node.attr["f"].func.name) for node in step.graph.as_graph_def().node]
    return {name for name in ("_layer_norm", "_gelu") if any(name in attribute for attribute in attributes)}


@pytest.mark.parametrize(
    ("shape", "expected"),
    [((None, 6, 6, 8), {"_layer_norm", "_gelu"}), ((2, 6, 6, 8), {"_layer_norm", "_gelu"}), ((2, None, 6, 8), set())],
)
def test_free_sizes_are_left_to_tensorflow(shape, expected):
    """XLA would compile for each size that comes."""
    block = ConvNeXtBlock(kernel_size=3)
    block.build((None, None, None, 8))
    assert used(block, shape) == expected


@pytest.mark.parametrize("make", [lambda: DepthwiseConv2D(3), LayerNorm, ConvNeXtBlock])
def test_free_sizes_have_equal_gradients(gradients, randomize, rng, make):
    x, cotangent = rng.normal(size=(2, 2, 6, 5, 8)).astype("float32")
    layer = make()
    layer.build((None, None, None, 8))
    randomize(layer)
    in_x, in_weights = gradients(layer, x, cotangent)
    loss = tf.function(
        lambda x: tf.reduce_sum(layer(x, training=True) * cotangent),
        input_signature=[tf.TensorSpec((None,) * 3 + (8,))],
    )
    tensor = tf.constant(x)
    with tf.GradientTape() as tape:
        tape.watch(tensor)
        y = loss(tensor)
    plain_in_x, plain = tape.gradient(y, (tensor, [weight.value for weight in layer.trainable_variables]))
    np.testing.assert_allclose(in_x, plain_in_x, rtol=1e-5, atol=1e-5 * np.abs(in_x).max())
    for found, expected in zip(in_weights, plain, strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5 * np.abs(found).max())


def test_within_a_step_that_xla_compiles_as_a_whole(rng):
    x, y = rng.normal(size=(4, 6, 6, 8)).astype("float32"), rng.normal(size=(4, 6, 6, 8)).astype("float32")
    losses = []
    for jit_compile in (False, True):
        keras.utils.set_random_seed(0)
        model = keras.Sequential([keras.Input((6, 6, 8)), ConvNeXtBlock(kernel_size=3, layer_scale_init_value=1.0)])
        model.compile(keras.optimizers.SGD(0.1), "mse", jit_compile=jit_compile)
        losses.append(model.fit(x, y, batch_size=2, epochs=3, shuffle=False, verbose=0).history["loss"])
    np.testing.assert_allclose(*losses, rtol=1e-5)


def test_a_hidden_gpu_does_not_count(monkeypatch):
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind=None: ["GPU:0"])
    assert kernels.avoids_jit() is not bool(tf.config.get_visible_devices("GPU"))


def test_grn_in_float64_keeps_its_digits(rng):
    """Keras's own `mean` computes it in float32 on torch, and JAX has no float64."""
    x, gamma, beta = rng.normal(size=(2, 5, 7, 8)), rng.normal(size=8), rng.normal(size=8)
    norm = np.sqrt((x**2).sum(axis=(1, 2), keepdims=True))
    expected = x * (norm / (norm.mean(-1, keepdims=True) + 1e-6)) * gamma + beta + x
    found = kernels.grn(*map(tf.constant, (x, gamma, beta)), epsilon=1e-6)
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12)
