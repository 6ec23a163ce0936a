"""What holds for every layer: its configuration, and serialization without `custom_objects`."""

import json

import keras
import numpy as np
import pytest

from keras_convnext import layers

ARGUMENTS = {
    "ConvNeXtBlock": {
        "kernel_size": 5,
        "mlp_ratio": 2,
        "layer_scale_init_value": 0.5,
        "use_grn": True,
        "drop_path_rate": 0.25,
        "norm_eps": 1e-3,
        "dilation_rate": 2,
        "remat": True,
        "norm": "rms_norm",
        "activation": "silu",
        "conv_bias": False,
        "overrides": {"pointwise_conv_2": {"lora_rank": 2, "lora_alpha": 3}},
    },
    "DepthwiseConv2D": {"kernel_size": 3, "dilation_rate": 2, "use_bias": False, "strides": 2},
    "Downsample": {
        "dim": 6,
        "strides": 1,
        "dilation_rate": 2,
        "norm_eps": 1e-3,
        "norm": "simple_norm",
        "conv_bias": False,
        "overrides": {"conv": {"lora_rank": 2, "lora_alpha": 3}},
    },
    "GlobalResponseNormalization": {"epsilon": 1e-2},
    "LayerScale": {"init_value": 0.25},
    "Stem": {
        "dim": 16,
        "kind": "overlap_act",
        "patch_size": 4,
        "use_norm": False,
        "norm_eps": 1e-3,
        "norm": "rms_norm",
        "activation": "gelu_tanh",
        "conv_bias": False,
        "overrides": {"conv_2": {"lora_rank": 2, "lora_alpha": 3}},
    },
    "StochasticDepth": {"rate": 0.25, "seed": 7},
}


def test_the_table_has_every_layer():
    assert sorted(ARGUMENTS) == sorted(layers.__all__)


@pytest.mark.parametrize("name", ARGUMENTS)
def test_the_configuration_has_every_argument(name):
    config = getattr(layers, name)(**ARGUMENTS[name]).get_config()
    assert {key: config[key] for key in ARGUMENTS[name]} == ARGUMENTS[name]
    assert set(config) == {*ARGUMENTS[name], "name", "trainable", "dtype"}
    json.dumps(config)


@pytest.mark.parametrize("way", ["from_config", "serialize"])
@pytest.mark.parametrize("dtype", ["float32", "mixed_bfloat16"])
@pytest.mark.parametrize("name", ARGUMENTS)
def test_round_trip(randomize, numpy_of, rng, name, dtype, way):
    layer = getattr(layers, name)(**ARGUMENTS[name], dtype=dtype, name="some_name")
    if way == "from_config":
        again = type(layer).from_config(layer.get_config())
    else:
        again = keras.saving.deserialize_keras_object(
            json.loads(json.dumps(keras.saving.serialize_keras_object(layer)))
        )
    assert type(again) is type(layer)
    assert again.get_config() == layer.get_config()
    x = rng.normal(size=(2, 8, 8, 4)).astype("float32")
    layer.build(x.shape)
    again.build(x.shape)
    assert [weight.path for weight in again.weights] == [weight.path for weight in layer.weights]
    randomize(layer)
    again.set_weights(layer.get_weights())
    outputs = [numpy_of(keras.ops.cast, one(x), "float32") for one in (layer, again)]
    np.testing.assert_array_equal(*outputs)


@pytest.mark.parametrize("name", ARGUMENTS)
def test_is_registered_under_the_package(name):
    assert keras.saving.get_registered_name(getattr(layers, name)) == f"keras_convnext>{name}"


@pytest.mark.parametrize("name", ["ConvNeXtBlock", "Downsample", "Stem", "GlobalResponseNormalization"])
def test_a_map_of_another_rank_is_refused(name):
    with pytest.raises(ValueError, match="expected ndim=4"):
        getattr(layers, name)(**ARGUMENTS[name])(np.zeros((2, 8, 4), "float32"))
