"""A block in the form that a GPU gets, computed on the CPU."""

import importlib

import jax
import numpy as np
import pytest
from jax import numpy as jnp

from keras_convnext import kernels
from keras_convnext.kernels import reference

DIM, HIDDEN, SHAPE = 6, 24, (3, 5, 4, 6)


@pytest.fixture
def as_on_a_gpu(monkeypatch):
    for name in ("block", "depthwise_conv", "functions", "remat"):
        module = importlib.import_module(f"keras_convnext.kernels.jax.{name}")
        monkeypatch.setattr(module, "on_cpu", lambda: False)


def arguments(rng, version):
    def draw(*shape):
        return jnp.asarray(rng.normal(size=shape), "float32")

    is_v1 = version == "v1"
    weights = kernels.BlockWeights(
        depthwise_kernel=draw(3, 3, DIM, 1),
        depthwise_bias=draw(DIM),
        gamma=draw(DIM),
        beta=draw(DIM),
        kernel_1=draw(DIM, HIDDEN),
        bias_1=draw(HIDDEN),
        grn_gamma=None if is_v1 else draw(HIDDEN),
        grn_beta=None if is_v1 else draw(HIDDEN),
        kernel_2=draw(HIDDEN, DIM),
        bias_2=draw(DIM),
        layer_scale=draw(DIM) if is_v1 else None,
    )
    return draw(*SHAPE), weights


def output_and_gradients(room, recompute):
    settings = kernels.BlockSettings(
        dilation=1, norm=room.layer_norm, epsilon=1e-6, activation=room.gelu, grn_epsilon=1e-6
    )
    keep = jnp.array([0.0, 1.25, 1.25]).reshape(3, 1, 1, 1)

    def loss(x, weights):
        y = room.block(x, weights, settings, keep=keep, recompute=recompute, training=True)
        return jnp.square(y).sum(), y

    return jax.jit(jax.grad(loss, argnums=(0, 1), has_aux=True))


@pytest.mark.parametrize("recompute", [False, True])
def test_equals_the_reference(as_on_a_gpu, version, recompute):
    found, expected = (
        jax.tree.leaves(output_and_gradients(room, room is kernels and recompute)(*arguments(rng_of_room, version)))
        for room, rng_of_room in ((kernels, np.random.default_rng(0)), (reference, np.random.default_rng(0)))
    )
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=2e-5 * np.abs(theirs).max())


def products(rng, recompute):
    return output_and_gradients(kernels, recompute).lower(*arguments(rng, "v1")).as_text().count("dot_general")


def test_recomputes_the_first_product_only_where_asked_for(as_on_a_gpu, rng):
    assert products(rng, recompute=False) == 6  # two forward, four backward
    assert products(rng, recompute=True) == 7
