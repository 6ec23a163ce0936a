"""ConvNeXtBlock against its equation in NumPy, and where it recomputes (tests/models/test_remat.py: the gradients)."""

import keras
import numpy as np
import pytest

from keras_convnext.layers import ConvNeXtBlock

VERSIONS = {
    "v1": {},
    "v2": {"use_grn": True, "layer_scale_init_value": None},
    "plain": {"layer_scale_init_value": None},
    "both": {"use_grn": True},
    "small kernel": {"kernel_size": 3, "mlp_ratio": 2, "norm_eps": 1e-2},
    "dilated": {"dilation_rate": 2},
    "rms": {"norm": "rms_norm", "activation": "gelu_tanh", "norm_eps": 1e-2},
    "simple": {"norm": "simple_norm", "activation": "silu", "use_grn": True},
    "no bias": {"conv_bias": False, "dilation_rate": 2},
    "fraction": {"mlp_ratio": 2.7},
}


@pytest.fixture
def random_block(randomize):
    def make(channels, **arguments):
        block = ConvNeXtBlock(**arguments)
        block.build((None, None, None, channels))
        return randomize(block)

    return make


def equation(block, x, formulas):
    """`x + layer_scale(W2 grn(activation(W1 norm(depthwise_conv(x)))))`, in float64."""
    w = {weight.path.partition("/")[2]: keras.ops.convert_to_numpy(weight.value) for weight in block.weights}
    y = formulas.depthwise(x, w["depthwise_conv/kernel"], w.get("depthwise_conv/bias", 0.0), block.dilation_rate)
    norm = [w[name] for name in ("norm/gamma", "norm/beta") if name in w]
    y = getattr(formulas, block.get_config()["norm"])(y, *norm, block.norm_eps)
    y = getattr(formulas, block.activation)(y @ w["pointwise_conv_1/kernel"] + w["pointwise_conv_1/bias"])
    if "grn/gamma" in w:
        y = formulas.grn(y, w["grn/gamma"], w["grn/beta"])
    y = y @ w["pointwise_conv_2/kernel"] + w["pointwise_conv_2/bias"]
    return x + y * w.get("layer_scale/gamma", 1.0)


@pytest.mark.parametrize("name", VERSIONS)
def test_equals_its_equation(random_block, formulas, numpy_of, rng, name):
    block = random_block(8, name="block", **VERSIONS[name])
    x = rng.normal(size=(2, 6, 9, 8)).astype("float32")
    np.testing.assert_allclose(numpy_of(block, x), equation(block, x, formulas), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", ["v1", "v2"])
def test_dropped_samples_pass_unchanged_and_the_others_scaled(random_block, formulas, numpy_of, rng, name):
    block = random_block(8, name="block", drop_path_rate=0.5, **VERSIONS[name])
    x = rng.normal(size=(32, 4, 4, 8)).astype("float32")
    y = numpy_of(block, x, training=True)
    dropped = (y == x).all(axis=(1, 2, 3))
    assert 0 < dropped.sum() < 32
    expected = x + 2 * (equation(block, x, formulas) - x)
    np.testing.assert_allclose(y[~dropped], expected[~dropped], rtol=1e-4, atol=2e-4)


def test_has_layer_scale_in_v1_and_grn_in_v2():
    def names(**arguments):
        block = ConvNeXtBlock(name="block", **arguments)
        block.build((None, 8, 8, 4))
        return {weight.path.split("/")[1] for weight in block.weights}

    shared = {"depthwise_conv", "norm", "pointwise_conv_1", "pointwise_conv_2"}
    assert names(**VERSIONS["v1"]) == shared | {"layer_scale"}
    assert names(**VERSIONS["v2"]) == shared | {"grn"}


@pytest.mark.parametrize(("mlp_ratio", "hidden"), [(4, 40), (2.55, 25), (0.1, 1), (1.15, 11), (np.float32(2.5), 25)])
def test_hidden_channels_are_rounded_down(mlp_ratio, hidden):
    block = ConvNeXtBlock(mlp_ratio=mlp_ratio)
    block.build((None, 8, 8, 10))
    assert block.pointwise_conv_1.kernel.shape == (10, hidden)


def test_refuses_a_ratio_that_leaves_no_hidden_channel():
    with pytest.raises(ValueError, match=r"`mlp_ratio` times the channels must be at least 1.*mlp_ratio=0.05"):
        ConvNeXtBlock(mlp_ratio=0.05).build((None, 8, 8, 10))


@pytest.mark.parametrize("kernel_size", [4, 0, -1])
def test_refuses_a_kernel_size_that_is_not_odd_and_positive(kernel_size):
    with pytest.raises(ValueError, match=f"`kernel_size` must.*{kernel_size}"):
        ConvNeXtBlock(kernel_size=kernel_size)


@pytest.mark.parametrize("remat", [False, True])
def test_recomputation_is_made_where_it_is_asked_for(random_block, gradients, monkeypatch, rng, backend, remat):
    """And on JAX always, of all that follows the depthwise convolution."""
    x = rng.normal(size=(1, 4, 4, 8)).astype("float32")
    block = random_block(8, remat=remat)
    calls, norm = [], block.norm.function
    block.norm.function = lambda *args, **kwargs: calls.append(1) or norm(*args, **kwargs)
    gradients(block, x, np.ones_like(x))
    assert (len(calls) > 1) == (remat or backend == "jax")


@pytest.mark.parametrize("remat", [False, True])
def test_layers_that_are_looked_at_are_called(random_block, gradients, rng, remat):
    """And recomputed where that is asked for."""
    x = rng.normal(size=(1, 4, 4, 8)).astype("float32")
    block = random_block(8, remat=remat)
    expected = gradients(block, x, np.ones_like(x))
    calls, call = [], block.norm.call
    block.norm.call = lambda x, training=None: calls.append(1) or call(x)
    found = gradients(block, x, np.ones_like(x))
    assert len(calls) == (2 if remat else 1)
    for ours, theirs in zip([found[0], *found[1]], [expected[0], *expected[1]], strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5 * np.abs(theirs).max())


@pytest.mark.parametrize("dtype", ["mixed_float16", "mixed_bfloat16"])
def test_all_parts_follow_the_policy(dtype):
    block = ConvNeXtBlock(use_grn=True, dtype=dtype)
    block.build((None, 4, 4, 8))
    assert {layer.dtype_policy.name for layer in block._flatten_layers()} == {dtype}
    assert {weight.dtype for weight in block.trainable_weights} == {"float32"}


def test_messages_name_the_blocks_own_arguments():
    with pytest.raises(ValueError, match=r"`drop_path_rate` must be at least 0 .* drop_path_rate=1.0"):
        ConvNeXtBlock(drop_path_rate=1.0)
    with pytest.raises(ValueError, match="times the channels must be at least 1"):
        ConvNeXtBlock(mlp_ratio=0.1).build((None, 8, 8, 4))
