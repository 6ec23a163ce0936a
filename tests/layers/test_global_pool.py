"""GlobalPool against Keras's own layers and timm's pooling, alone and with a norm before or after it."""

import keras
import numpy as np
import pytest

from keras_convnext.extras import import_torchvision
from keras_convnext.layers.global_pool import GlobalPool

SHAPES = [(2, 7, 7, 4), (1, 1, 1, 3), (3, 5, 2, 6)]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("keepdims", [False, True])
@pytest.mark.parametrize("pooling", ["avg", "max"])
def test_equals_the_keras_layer(gradients, rng, shape, keepdims, pooling):
    kind = {"avg": keras.layers.GlobalAveragePooling2D, "max": keras.layers.GlobalMaxPooling2D}[pooling]
    x = rng.normal(size=shape).astype("float32")
    ours, plain = GlobalPool(pooling, keepdims=keepdims), kind("channels_last", keepdims)
    found, expected = (keras.ops.convert_to_numpy(layer(x)) for layer in (ours, plain))
    assert found.shape == expected.shape == ours.compute_output_shape(shape)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
    cotangent = rng.normal(size=expected.shape).astype("float32")
    np.testing.assert_allclose(
        gradients(ours, x, cotangent)[0], gradients(plain, x, cotangent)[0], rtol=1e-5, atol=1e-6
    )


@pytest.fixture
def timm_layers():
    import_torchvision()
    from timm import layers

    return layers


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("pooling", ["avg", "max", "avgmax", None])
def test_equals_that_of_timm(timm_layers, numpy_of, rng, shape, pooling):
    import torch

    x = rng.normal(size=shape).astype("float32")
    expected = timm_layers.SelectAdaptivePool2d(pool_type=pooling or "", flatten=bool(pooling))(
        torch.tensor(x).permute(0, 3, 1, 2)
    )
    expected = expected if pooling else expected.permute(0, 2, 3, 1)
    layer = GlobalPool(pooling)
    assert layer.compute_output_shape(shape) == tuple(expected.shape)
    np.testing.assert_allclose(numpy_of(layer, x), expected.numpy(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("norm_first", [False, True])
@pytest.mark.parametrize("pooling", ["avg", "max", "avgmax", None])
def test_equals_the_heads_of_timm(timm_layers, numpy_of, rng, pooling, norm_first):
    """A norm before the pooling and one after it differ."""
    import torch

    x = rng.normal(size=(2, 4, 3, 6)).astype("float32")
    maps = torch.tensor(x).permute(0, 3, 1, 2)
    norm = keras.layers.LayerNormalization(epsilon=1e-6)
    pool = GlobalPool(pooling)
    norm.build((None, 6))
    gamma, beta = rng.normal(size=(2, 6)).astype("float32")
    norm.set_weights([gamma, beta])
    if norm_first:
        peer, before = timm_layers.ClassifierHead(6, 0, pooling or ""), timm_layers.LayerNorm2d(6)
    else:
        peer, before = timm_layers.NormMlpClassifierHead(6, 0, pool_type=pooling or ""), torch.nn.Identity()
    theirs = before if norm_first else peer.norm
    theirs.weight.data, theirs.bias.data = torch.tensor(gamma), torch.tensor(beta)
    with torch.no_grad():
        expected = peer(before(maps), pre_logits=True)
    expected = expected if pooling else expected.permute(0, 2, 3, 1)
    found = keras.ops.convert_to_numpy(pool(norm(x)) if norm_first else norm(pool(x)))
    assert found.shape == tuple(expected.shape)
    np.testing.assert_allclose(found, expected.numpy(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("pooling", ["avg", "max", "avgmax", None])
def test_sums_are_float32_under_mixed_precision(rng, pooling):
    """As the classifier has it: the layer computes in the type of the variables."""
    x = keras.ops.cast(300 + rng.normal(size=(1, 16, 16, 2)), "bfloat16")
    y = GlobalPool(pooling, dtype="float32")(x)
    assert keras.backend.standardize_dtype(y.dtype) == "float32"
    plain = keras.ops.convert_to_numpy(keras.ops.cast(x, "float32"))
    expected = {
        "avg": plain.mean((1, 2)),
        "max": plain.max((1, 2)),
        "avgmax": (plain.mean((1, 2)) + plain.max((1, 2))) / 2,
        None: plain,
    }
    np.testing.assert_allclose(keras.ops.convert_to_numpy(y), expected[pooling], rtol=1e-6)


@pytest.mark.parametrize("pooling", ["avg", "max", "avgmax", None])
def test_round_trip(pooling):
    layer = GlobalPool(pooling, keepdims=True, name="some_name")
    assert GlobalPool.from_config(layer.get_config()).get_config() == layer.get_config()


def test_a_configuration_without_pooling_averages():
    """As files of earlier versions have it."""
    config = GlobalPool(name="some_name").get_config()
    del config["pooling"]
    assert GlobalPool.from_config(config).pooling == "avg"


def test_free_sizes_stay_free():
    assert GlobalPool(None).compute_output_shape((None, None, None, 4)) == (None, None, None, 4)
    assert GlobalPool("avgmax").compute_output_shape((None, None, None, 4)) == (None, 4)


def test_refuses_an_unknown_pooling():
    with pytest.raises(ValueError, match=r"avg, max, avgmax, None.*'catavgmax'"):
        GlobalPool("catavgmax")
