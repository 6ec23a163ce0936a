"""The sum of shifted products against XLA's own convolution and its automatic gradient."""

import jax
import numpy as np
import pytest
from jax import numpy as jnp

from keras_convnext.kernels.jax.shifted_products import shifted_products


def library_conv(x, kernel, dilation):
    return jax.lax.conv_general_dilated(
        x,
        kernel[:, :, None],
        window_strides=(1, 1),
        padding="SAME",
        rhs_dilation=(dilation, dilation),
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        feature_group_count=x.shape[-1],
    )


def outputs_and_gradients(conv, x, kernel, cotangent, dilation):
    outputs, backward = jax.vjp(lambda x, kernel: conv(x, kernel, dilation), x, kernel)
    return outputs, *backward(cotangent)


# Kernels that reach past the map on all sides among them.
@pytest.mark.parametrize(
    ("shape", "side"), [((2, 9, 7, 5), 7), ((3, 2, 5, 4), 7), ((1, 1, 1, 3), 5), ((2, 6, 8, 2), 3)]
)
@pytest.mark.parametrize("dilation", [1, 2])
def test_equals_the_library(rng, shape, side, dilation):
    x, cotangent = rng.normal(size=(2, *shape)).astype("float32")
    kernel = rng.normal(size=(side, side, shape[-1])).astype("float32")
    compare = jax.jit(outputs_and_gradients, static_argnums=(0, 4))
    found, expected = (compare(conv, x, kernel, cotangent, dilation) for conv in (shifted_products, library_conv))
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_keeps_its_type_and_sums_in_float32(rng, dtype):
    """4,096 products of about 1: their sum in bfloat16 would stop growing at 256."""
    x = jnp.asarray(rng.uniform(0.5, 1, size=(1, 64, 64, 2)), dtype)
    kernel = jnp.asarray(rng.normal(size=(3, 3, 2)), dtype)
    cotangent = jnp.ones_like(x)
    found = outputs_and_gradients(shifted_products, x, kernel, cotangent, 1)
    exact = outputs_and_gradients(library_conv, *(a.astype("float32") for a in (x, kernel, cotangent)), 1)
    for one, other in zip(found, exact, strict=True):
        assert str(one.dtype) == dtype
        scale = np.abs(other).max()
        np.testing.assert_allclose(one.astype("float32"), other, rtol=0, atol=2 * float(jnp.finfo(dtype).eps) * scale)


def test_maps_over_a_further_axis(rng):
    x = rng.normal(size=(3, 2, 5, 5, 4)).astype("float32")
    kernel = rng.normal(size=(3, 3, 4)).astype("float32")
    found = jax.vmap(lambda x: shifted_products(x, kernel, 1))(x)
    np.testing.assert_allclose(found, jnp.stack([library_conv(one, kernel, 1) for one in x]), rtol=1e-4, atol=1e-4)
