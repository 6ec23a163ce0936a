"""The depthwise convolution in Pallas: its values in the interpreter on a CPU, and its lowering for Nvidia GPUs."""

import functools
import re

import jax
import jax.export
import numpy as np
import pytest
from jax import numpy as jnp

from keras_convnext.kernels.jax import depthwise_pallas

# Shape, side of the kernel and type. The rounding error of the type is the tolerance: sums are float32. The functions
# are compiled once per shape, so each shape stands here once.
CASES = {
    "strips of rows, and rows of the kernel in two groups": ((2, 7, 5, 8), 5, "float32"),
    "two blocks of channels, the second one nearly empty": ((1, 5, 3, 33), 3, "bfloat16"),
    "blocks of 64 channels": ((1, 2, 4, 128), 3, "float16"),
    "a kernel larger than the map": ((1, 2, 3, 4), 11, "bfloat16"),
    "several tiles for a program": ((5, 2, 60, 4), 3, "float32"),
    "one pixel": ((1, 1, 1, 1), 3, "float16"),
    "a kernel of one pixel": ((2, 3, 5, 6), 1, "float32"),
}
ROUNDING = {"float32": 1e-6, "float16": 2**-10, "bfloat16": 2**-7}


@pytest.fixture
def small_tiles(monkeypatch):
    """Constants with which small arrays are divided as large ones are."""
    for name, value in {"MOST_ROWS": 3, "MOST_TAPS": 3, "PROGRAMS": 1}.items():
        monkeypatch.setattr(depthwise_pallas, name, value)


def library_conv(x, kernel):
    return jax.lax.conv_general_dilated(
        x,
        kernel[:, :, None],
        window_strides=(1, 1),
        padding="SAME",
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        feature_group_count=x.shape[-1],
    )


def inputs(rng, shape, side, dtype):
    """x, the kernel and the gradient of the output."""
    sizes = (shape, (side, side, shape[-1]), shape)
    return [jnp.asarray(rng.normal(size=size), "float32").astype(dtype) for size in sizes]


@functools.partial(jax.jit, static_argnums=0)
def output_and_gradients(conv, x, kernel, grad_y):
    y, backward = jax.vjp(conv, x, kernel)
    return y, *backward(grad_y)


def assert_equals_the_library(x, kernel, grad_y):
    found = output_and_gradients(depthwise_pallas.convolve, x, kernel, grad_y)
    exact = (array.astype("float32") for array in (x, kernel, grad_y))
    for ours, theirs in zip(found, output_and_gradients(library_conv, *exact), strict=True):
        assert ours.dtype == x.dtype
        assert ours.shape == theirs.shape
        atol = 2e-6 * float(jnp.abs(theirs).max())
        np.testing.assert_allclose(ours.astype("float32"), theirs, rtol=ROUNDING[str(x.dtype)], atol=atol)


@pytest.mark.usefixtures("small_tiles")
@pytest.mark.parametrize("name", CASES)
def test_values_and_gradients(rng, name):
    assert_equals_the_library(*inputs(rng, *CASES[name]))


def test_values_and_gradients_with_tiles_of_full_size(rng):
    assert_equals_the_library(*inputs(rng, (1, 15, 2, 4), 7, "float32"))


def derivatives(conv, x, kernel, direction, other):
    """Derivatives of a loss: forward mode, its gradient in forward and in reverse mode, and what vmap does to those."""

    def loss(x, kernel):
        return (conv(x, kernel) ** 3).sum()

    gradient = jax.grad(loss, (0, 1))
    arguments, directions = (x, kernel), (direction, other)

    def along(x, kernel):
        return jax.jvp(loss, (x, kernel), directions)[1]

    images = jnp.stack([x, direction])
    kernels = jnp.stack([kernel, other])
    return (
        along(x, kernel),
        jax.jvp(gradient, arguments, directions)[1],
        jax.vjp(gradient, *arguments)[1](directions),
        jax.grad(along, (0, 1))(x, kernel),
        jax.vmap(gradient, (0, None))(images, kernel),
        jax.vmap(gradient)(images, kernels),
    )


@pytest.mark.usefixtures("small_tiles")
def test_further_derivatives_and_maps_over_an_axis(rng):
    x, kernel, direction = inputs(rng, (2, 4, 3, 2), 3, "float32")
    other = jnp.asarray(rng.normal(size=kernel.shape), "float32")
    found = derivatives(depthwise_pallas.convolve, x, kernel, direction, other)
    expected = jax.jit(functools.partial(derivatives, library_conv))(x, kernel, direction, other)
    for ours, theirs in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=2e-6 * float(jnp.abs(theirs).max()))


SHAPES_OF_CONVNEXT_TINY = [(128, 56, 56, 96), (128, 28, 28, 192), (128, 14, 14, 384), (128, 7, 7, 768)]


def assert_lowers_for_nvidia_gpus(shape):
    x = jax.ShapeDtypeStruct(shape, "bfloat16")
    kernel = jax.ShapeDtypeStruct((7, 7, shape[-1]), "bfloat16")
    traced = output_and_gradients.trace(depthwise_pallas.convolve, x, kernel, x)
    program = traced.lower(lowering_platforms=("cuda",)).as_text()
    assert len(re.findall(r"custom_call @\S*triton", program)) == 3
    assert "stablehlo.while" not in program  # as the interpreter has


@pytest.mark.parametrize("shape", SHAPES_OF_CONVNEXT_TINY, ids=str)
def test_lowers_for_nvidia_gpus(shape):
    assert_lowers_for_nvidia_gpus(shape)


def test_lowers_where_integers_have_64_bits():
    with jax.enable_x64(True):
        assert_lowers_for_nvidia_gpus((2, 15, 9, 32))


SERVED = jax.ShapeDtypeStruct((2, 7, 7, 4), "float16")


@pytest.mark.parametrize(
    "x",
    [
        SERVED.update(dtype="float64"),
        SERVED.update(shape=(0, 7, 7, 4)),
        SERVED.update(shape=(2**20, 32, 32, 2)),
        SERVED.update(shape=(jax.export.symbolic_shape("batch")[0], 7, 7, 4)),
    ],
    ids=str,
)
def test_what_it_does_not_serve(x):
    def serves(x):
        return depthwise_pallas.serves(x, jax.ShapeDtypeStruct((7, 7, 4), x.dtype))

    assert all(serves(SERVED.update(dtype=dtype)) for dtype in ROUNDING)
    assert not serves(x)
