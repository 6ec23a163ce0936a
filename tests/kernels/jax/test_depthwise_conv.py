"""The depthwise convolution as on an Nvidia GPU, with each of its implementations, on the CPU."""

import functools
import importlib

import jax
import numpy as np
import pytest
from jax import numpy as jnp

from keras_convnext import kernels
from keras_convnext.kernels import reference
from keras_convnext.kernels.jax import fastest

depthwise_conv = importlib.import_module("keras_convnext.kernels.jax.depthwise_conv")

IMPLEMENTATIONS = [
    ("_in_xla", "_gradients_in_xla"),
    ("_in_pallas", "_gradients_in_pallas"),
    ("_in_xla", "shifted_products_gradients"),
]


@pytest.fixture
def prefer(monkeypatch):
    """A function that makes functions of these names the fastest, as on a GPU, the first one before the others."""
    monkeypatch.setattr(fastest, "on_cuda", lambda: True)
    monkeypatch.setattr(fastest, "ROUNDS", 1)
    monkeypatch.setattr(fastest, "CALLS", 1)
    monkeypatch.setattr(depthwise_conv, "on_cpu", lambda: False)

    def make_fastest(*names):
        def measure(function, arguments):
            results = fastest.seconds_and_results(function, arguments)[1]
            return names.index(function.__name__) if function.__name__ in names else len(names), results

        for name in ("_forward", "_gradients"):
            functions = getattr(depthwise_conv, name)._functions
            monkeypatch.setattr(depthwise_conv, name, fastest.Fastest(*functions, measure=measure))

    return make_fastest


def derivatives(conv, x, kernel, bias):
    """The output, its gradients, and their derivative."""

    def loss(*arrays):
        y = conv(*arrays, dilation=1, training=True)
        return (y**3).sum(), y

    def gradient(*arrays):
        return jax.grad(loss, (0, 1, 2), has_aux=True)(*arrays)

    return jax.jvp(gradient, (x, kernel, bias), (x, kernel, bias))


@pytest.mark.parametrize("names", IMPLEMENTATIONS, ids=" ".join)
def test_equals_the_reference(prefer, rng, names):
    prefer(*names)
    arrays = [jnp.asarray(rng.normal(size=shape), "float32") for shape in ((2, 4, 3, 2), (3, 3, 2, 1), (2,))]
    found, expected = (
        jax.tree.leaves(jax.jit(functools.partial(derivatives, room.depthwise_conv))(*arrays))
        for room in (kernels, reference)
    )
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=2e-6 * float(jnp.abs(theirs).max()))
    chosen = [
        function.__name__
        for one in (depthwise_conv._forward, depthwise_conv._gradients)
        for function in one._found.values()
    ]
    assert chosen == list(names)


def test_pallas_is_left_out_with_dilation(prefer):
    prefer("_in_pallas", "_gradients_in_pallas", "shifted_products_gradients")
    x, kernel = jnp.ones((2, 4, 3, 2)), jnp.ones((3, 3, 2))
    for dilation, names in {
        1: ("_in_pallas", "_gradients_in_pallas"),
        2: ("_in_xla", "shifted_products_gradients"),
    }.items():
        assert depthwise_conv._forward.choose(x, kernel, dilation).__name__ == names[0]
        assert depthwise_conv._gradients.choose(x, kernel, x, dilation).__name__ == names[1]
    with pytest.raises(NotImplementedError, match="dilation 1"):
        depthwise_conv._in_pallas(x, kernel, 2)


def test_nothing_is_chosen_while_exporting(prefer):
    prefer("_in_pallas")
    with kernels.exporting():
        kernels.depthwise_conv(jnp.ones((2, 4, 3, 2)), jnp.ones((3, 3, 2, 1)), None, dilation=1)
    assert not depthwise_conv._forward._found
