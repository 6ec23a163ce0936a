"""The set of the backend against the reference: equal names, signatures, values and gradients."""

import functools
import inspect

import keras
import numpy as np
import pytest
from keras import ops

from keras_convnext import kernels
from keras_convnext.kernels import reference

FUNCTIONS = [
    name for name in kernels.__all__ if not name.startswith("Block") and name not in ("exporting", "serializing")
]
DIM, HIDDEN = 6, 24
VALUES = {"rtol": 1e-5, "atol": 1e-5}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_signatures_are_equal(name):
    ours, theirs = (inspect.signature(getattr(room, name)).parameters for room in (kernels.chosen, reference))
    assert [(one.name, one.kind, one.default) for one in ours.values()] == [
        (one.name, one.kind, one.default) for one in theirs.values()
    ]


def outputs_and_gradients(function, arrays, cotangent):
    """The output of a function of tensors, and the gradients of `sum(function(*arrays) * cotangent)`."""
    return {"jax": _on_jax, "tensorflow": _on_tensorflow, "torch": _on_torch}[keras.backend.backend()](
        function, arrays, cotangent
    )


def _on_jax(function, arrays, cotangent):
    import jax

    def run(*arrays):
        outputs, backward = jax.vjp(function, *arrays)
        return outputs, *backward(jax.numpy.asarray(cotangent, outputs.dtype))

    return jax.jit(run)(*arrays)


def _on_tensorflow(function, arrays, cotangent):
    import tensorflow as tf

    tensors = [tf.constant(array) for array in arrays]
    with tf.GradientTape() as tape:
        tape.watch(tensors)
        outputs = function(*tensors)
        loss = tf.reduce_sum(outputs * tf.cast(cotangent, outputs.dtype))
    return outputs, *tape.gradient(loss, tensors)


def _on_torch(function, arrays, cotangent):
    import torch

    tensors = [torch.tensor(array, requires_grad=True) for array in arrays]
    outputs = function(*tensors)
    gradients = torch.autograd.grad(outputs, tensors, torch.tensor(cotangent, dtype=outputs.dtype))
    return outputs.detach(), *gradients


def assert_like_the_reference(name, arrays, output_shape, rng, **arguments):
    cotangent = rng.normal(size=output_shape).astype("float32")
    functions = (functools.partial(getattr(room, name), **arguments) for room in (kernels, reference))
    found, expected = (outputs_and_gradients(function, arrays, cotangent) for function in functions)
    for ours, theirs in zip(found, expected, strict=True):
        ours, theirs = np.asarray(ours), np.asarray(theirs)
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=2e-5 * max(1, np.abs(theirs).max()))


def normal(rng, *shapes):
    return [rng.normal(size=shape).astype("float32") for shape in shapes]


# Maps smaller than the kernel among them.
@pytest.mark.parametrize("shape", [(2, 9, 7), (1, 2, 3), (3, 1, 1)], ids=str)
@pytest.mark.parametrize(("side", "dilation"), [(3, 1), (7, 1), (5, 2)])
@pytest.mark.parametrize("training", [True, False])
def test_depthwise_conv(rng, shape, side, dilation, training):
    arrays = normal(rng, (*shape, DIM), (side, side, DIM, 1), (DIM,))
    assert_like_the_reference("depthwise_conv", arrays, (*shape, DIM), rng, dilation=dilation, training=training)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("name", ["layer_norm", "rms_norm", "simple_norm"])
@pytest.mark.parametrize("shape", [(2, 4, 5, DIM), (3, DIM)], ids=str)
def test_norms(rng, name, shape, training):
    weights = [(DIM,)] * (2 if name == "layer_norm" else 1)
    assert_like_the_reference(name, normal(rng, shape, *weights), shape, rng, epsilon=1e-6, training=training)


@pytest.mark.parametrize("training", [True, False])
def test_gelu(rng, training):
    x = np.array([-20.0, -5.0, -1.0, -1e-3, 0.0, 1e-3, 1.0, 5.0, 20.0], "float32")
    assert_like_the_reference("gelu", [x], x.shape, rng, training=training)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("activation", ["gelu", "silu", None])
@pytest.mark.parametrize("shape", [(2, 3, 4, DIM), (5, DIM)], ids=str)
def test_linear(rng, shape, activation, training):
    arrays, output_shape = normal(rng, shape, (DIM, HIDDEN), (HIDDEN,)), (*shape[:-1], HIDDEN)
    function = {"gelu": kernels.gelu, "silu": ops.silu, None: None}[activation]
    assert_like_the_reference("linear", arrays, output_shape, rng, activation=function, training=training)


def test_grn(rng):
    x, gamma, beta = normal(rng, (2, 4, 5, DIM), (DIM,), (DIM,))
    x[..., 0] = 0  # a channel of zeros, whose norm has no gradient
    assert_like_the_reference("grn", [x, gamma, beta], x.shape, rng, epsilon=1e-6)


def test_layer_scale(rng):
    assert_like_the_reference("layer_scale", normal(rng, (2, 3, 3, DIM), (DIM,)), (2, 3, 3, DIM), rng)


def test_global_mean(rng):
    assert_like_the_reference("global_mean", normal(rng, (2, 5, 3, DIM)), (2, DIM), rng)


@pytest.mark.parametrize("norm", ["layer_norm", "rms_norm", None])
@pytest.mark.parametrize("norm_first", [True, False])
def test_patch_embed(rng, norm, norm_first):
    """Of a map whose last row and column fill no patch."""
    channels = DIM if norm_first else HIDDEN
    weights = {"layer_norm": [(channels,)] * 2, "rms_norm": [(channels,)], None: []}[norm]
    arrays = normal(rng, (2, 9, 7, DIM), (2, 2, DIM, HIDDEN), (HIDDEN,), *weights)
    arguments = {"norm": norm and getattr(kernels, norm), "epsilon": 1e-6, "norm_first": norm_first}
    assert_like_the_reference("patch_embed", arrays, (2, 4, 3, HIDDEN), rng, **arguments)


def block_weights(rng, version):
    """Arrays by the names of `BlockWeights`, None where the version has none."""
    shapes = {
        "depthwise_kernel": (3, 3, DIM, 1),
        "depthwise_bias": (DIM,),
        "gamma": (DIM,),
        "beta": (DIM,),
        "kernel_1": (DIM, HIDDEN),
        "bias_1": (HIDDEN,),
        "grn_gamma": (HIDDEN,) if version == "v2" else None,
        "grn_beta": (HIDDEN,) if version == "v2" else None,
        "kernel_2": (HIDDEN, DIM),
        "bias_2": (DIM,),
        "layer_scale": (DIM,) if version == "v1" else None,
    }
    return {name: shape and normal(rng, shape)[0] for name, shape in shapes.items()}


def settings_of(room):
    return kernels.BlockSettings(dilation=1, norm=room.layer_norm, epsilon=1e-6, activation=room.gelu, grn_epsilon=1e-6)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("recompute", [True, False])
@pytest.mark.parametrize("drops", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_block(rng, version, drops, recompute, training):
    """The reference keeps all: JAX has no recomputation in forward order to compare with."""
    weights, (x, cotangent) = block_weights(rng, version), rng.normal(size=(2, 3, 5, 4, DIM)).astype("float32")
    names = [name for name, weight in weights.items() if weight is not None]
    keep = np.array([0.0, 1.25, 1.25], "float32").reshape(3, 1, 1, 1) if drops else None

    def block(room, recompute):
        def call(x, *tensors):
            tensors = kernels.BlockWeights(**{**weights, **dict(zip(names, tensors, strict=True))})
            factor = None if keep is None else ops.convert_to_tensor(keep)
            settings = settings_of(room)
            return room.block(x, tensors, settings, keep=factor, recompute=recompute, training=training)

        return outputs_and_gradients(call, [x, *(weights[name] for name in names)], cotangent)

    found, expected = block(kernels, recompute), block(reference, False)
    for name, ours, theirs in zip(["y", "x", *names], found, expected, strict=True):
        ours, theirs = np.asarray(ours), np.asarray(theirs)
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=2e-5 * np.abs(theirs).max(), err_msg=name)


def test_remat(rng):
    arrays = normal(rng, (4, 3, DIM), (DIM, DIM))
    cotangent = rng.normal(size=(4, 3, DIM)).astype("float32")

    def function(x, weight):
        return ops.tanh(ops.matmul(x, weight))

    found, expected = (outputs_and_gradients(f, arrays, cotangent) for f in (kernels.remat(function), function))
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_allclose(np.asarray(ours), np.asarray(theirs), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("weight_decay", [0.0, 0.05])
def test_adamw_step(rng, dtype, weight_decay):
    """Three steps of two weights at once."""
    if dtype == "float64" and keras.backend.backend() == "jax":
        dtype = "float32"  # JAX has float64 only where its x64 mode is on
    shapes = [(3, 4), (5,)]
    start = [rng.normal(size=shape) for shape in shapes]
    gradients = [[rng.normal(size=shape) * 10.0**-step for shape in shapes] for step in range(3)]
    results = []
    for room in (kernels, reference):
        weights = [keras.Variable(value, dtype=dtype) for value in start]
        momentums, velocities = ([keras.Variable(np.zeros(shape), dtype=dtype) for shape in shapes] for _ in range(2))
        for step, of_step in enumerate(gradients):
            room.adamw_step(
                [ops.convert_to_tensor(gradient, dtype) for gradient in of_step],
                weights,
                momentums,
                velocities,
                iterations=ops.convert_to_tensor(step, "int32"),
                learning_rate=ops.convert_to_tensor(0.01, "float32"),
                weight_decay=weight_decay,
                betas=(0.9, 0.999),
                epsilon=1e-8,
            )
        results.append([ops.convert_to_numpy(one) for one in (*weights, *momentums, *velocities)])
    for ours, theirs, first in zip(*results, [*start, *start, *start], strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-7)
        assert np.abs(ours - first).max() > 1e-3
