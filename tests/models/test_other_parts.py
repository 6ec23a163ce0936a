"""Networks with other norms, activations, kernel sizes and no biases: what holds for a model holds for them."""

import json
import warnings
import zipfile

import keras
import numpy as np
import pytest

from keras_convnext import ConvNeXtBackbone, ConvNeXtClassifier, save_checkpoint
from keras_convnext.checkpoints import load_checkpoint
from keras_convnext.layers import LayerScale
from keras_convnext.models import transfer
from keras_convnext.training.parameter_groups import WEIGHT_DECAY_RULES, match_rules

TWO_STAGES = {"depths": (1, 1), "dims": (8, 16), "input_shape": (16, 20, 3)}
PARTS = {
    "rms": {"norm": "rms_norm", "hidden_activation": "silu", "mlp_ratio": 2.6, "kernel_size": (3, 5)},
    "simple": {"norm": "simple_norm", "hidden_activation": "gelu_tanh", "stem": "overlap_act", "kernel_size": 3},
    "no bias": {"conv_bias": False, "use_grn": True, "kernel_size": (5, 3), "output_stride": 4},
}


@pytest.fixture(params=PARTS)
def model(request, randomize):
    return randomize(ConvNeXtClassifier(ConvNeXtBackbone(**TWO_STAGES, **PARTS[request.param], level_norm=True), 5))


@pytest.fixture
def x(images):
    return images(3, 16, 20, 3)


def assert_close(found, expected):
    assert expected.std() > 0.05
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5 * np.abs(expected).max())


def test_every_norm_is_of_the_kind(model):
    norms = [layer for layer in model._flatten_layers() if layer.name.rpartition("_")[2] == "norm"]
    kinds = {"layer_norm": {"LayerNorm", "LayerNormalization"}, "rms_norm": {"RmsNorm"}, "simple_norm": {"SimpleNorm"}}
    assert {type(norm).__name__ for norm in norms} == kinds[model.backbone.norm]
    owners = {norm.path.partition("/")[0].replace("_norm", "") for norm in norms}
    assert owners >= {"stem", "stage_0_block_0", "stage_1_downsample", "stage_1_block_0", "stage_1", "head"}


def test_biases_are_those_of_the_mlps_alone(model):
    biases = {weight.path.rpartition("/")[0].rpartition("/")[2] for weight in model.weights if weight.name == "bias"}
    convolutions = biases & {"conv", "conv_1", "conv_2", "depthwise_conv"}
    assert bool(convolutions) == model.backbone.conv_bias
    assert biases - convolutions == {"pointwise_conv_1", "pointwise_conv_2", "head"}


def test_a_keras_file_holds_it(model, x, numpy_of, tmp_path):
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert loaded.get_config() == model.get_config()
    np.testing.assert_allclose(numpy_of(loaded, x), numpy_of(model, x), rtol=1e-5, atol=1e-5)


def test_fused_outputs_are_equal(model, x, numpy_of):
    fused = model.fuse()
    assert not any(isinstance(layer, LayerScale) for layer in fused._flatten_layers())
    assert_close(numpy_of(fused, x), numpy_of(model, x))


def test_transfers(model, x, numpy_of):
    assert_close(numpy_of(transfer(model, 5, drop_path_rate=0.1), x), numpy_of(model, x))


@pytest.mark.once
def test_recomputed_gradients_are_equal(model, randomize, x, gradients, rng):
    config = {**model.backbone.get_config(), "level_norm": False}
    kept, again = (
        ConvNeXtClassifier(ConvNeXtBackbone.from_config({**config, "remat": remat}), 5) for remat in (False, True)
    )
    again.set_weights(randomize(kept, deviation=0.1).get_weights())
    cotangent = rng.normal(size=(3, 5)).astype("float32")
    (in_x, in_weights), (again_in_x, again_in_weights) = (gradients(one, x, cotangent) for one in (kept, again))
    np.testing.assert_allclose(again_in_x, in_x, rtol=1e-4, atol=1e-5 * np.abs(in_x).max())
    for one, other in zip(in_weights, again_in_weights, strict=True):
        np.testing.assert_allclose(other, one, rtol=1e-4, atol=1e-5 * np.abs(one).max())


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_half_precision_is_near(model, x, numpy_of, policy):
    half = ConvNeXtClassifier(ConvNeXtBackbone.from_config({**model.backbone.get_config(), "dtype": policy}), 5)
    half.set_weights(model.get_weights())
    expected = numpy_of(model, x)
    np.testing.assert_allclose(numpy_of(half, x), expected, atol=0.1 * np.abs(expected).max())


def test_each_weight_has_one_rule_of_weight_decay(model):
    decays = match_rules("weight_decay_rules", WEIGHT_DECAY_RULES, model.weights)
    assert decays == [weight.name == "kernel" for weight in model.weights]


def test_channels_first(model, x, numpy_of):
    arguments = {**model.backbone.get_config(), "data_format": "channels_first", "input_shape": (3, 16, 20)}
    first = ConvNeXtClassifier(ConvNeXtBackbone.from_config(arguments), 5)
    first.set_weights(model.get_weights())
    assert_close(numpy_of(first, x.transpose(0, 3, 1, 2)), numpy_of(model, x))


@pytest.mark.parametrize("layout", ["official", "fcmae", "torchvision", "transformers", "keras.applications"])
def test_only_timm_has_such_models(model, layout, tmp_path):
    path = tmp_path / ("model.h5" if layout == "keras.applications" else "model.safetensors")
    with pytest.raises(ValueError, match=f"{layout} has no model with .*layout='timm'"):
        save_checkpoint(model, path, layout=layout)
    assert not path.exists()


@pytest.mark.parametrize(
    ("ours", "theirs", "message"),
    [
        ({"norm": "rms_norm"}, {}, "norm.bias: the model has no such weight"),
        ({}, {"norm": "rms_norm"}, "norm/beta: not in the checkpoint"),
        ({"conv_bias": False}, {}, "conv_dw.bias: the model has no such weight"),
        ({}, {"conv_bias": False}, "depthwise_conv/bias: not in the checkpoint"),
        ({"kernel_size": (3, 5)}, {"kernel_size": (3, 3)}, r"expected \(16, 1, 5, 5\), got \(16, 1, 3, 3\)"),
        ({"mlp_ratio": 2.5}, {"mlp_ratio": 2}, r"expected \(20, 8\), got \(16, 8\)"),
    ],
)
def test_a_file_of_other_parts_is_refused_whole(ours, theirs, message, tmp_path):
    model, other = (
        ConvNeXtBackbone(**{**TWO_STAGES, "kernel_size": 3, "norm": "layer_norm", **parts}) for parts in (ours, theirs)
    )
    save_checkpoint(other, tmp_path / "other.safetensors", layout="timm")
    before = model.get_weights()
    with pytest.raises(ValueError, match=message):
        load_checkpoint(model, tmp_path / "other.safetensors")
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(new, old)


@pytest.mark.parametrize(
    ("ours", "theirs", "message"),
    [
        ({"norm": "rms_norm"}, {"norm": "simple_norm"}, "norm='simple_norm' and not 'rms_norm': its outputs differ"),
        ({}, {"hidden_activation": "silu"}, "hidden_activation='silu' and not 'gelu'"),
        ({"stem": "overlap"}, {"stem": "overlap_act"}, "stem='overlap_act' and not 'overlap'"),
        ({}, {"norm_eps": 1e-3}, "norm_eps=0.001 and not 1e-06"),
        ({"norm": "rms_norm"}, {"norm": "rms_norm"}, None),
    ],
)
def test_a_keras_file_with_the_same_weights_that_computes_something_else(ours, theirs, message, tmp_path):
    model, other = (ConvNeXtBackbone(**TWO_STAGES, **parts) for parts in (ours, theirs))
    other.save(tmp_path / "other.keras")
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        load_checkpoint(model, tmp_path / "other.keras")
    assert [str(one.message).partition("built with ")[2] for one in found if "built" in str(one.message)] == (
        [] if message is None else [message.removesuffix(": its outputs differ") + ": its outputs differ."]
    )


@keras.saving.register_keras_serializable("test_other_parts")
def squared(x):
    return x * x


def test_a_registered_activation_goes_into_a_keras_file(images, numpy_of, tmp_path):
    backbone = ConvNeXtBackbone(**TWO_STAGES, hidden_activation=squared, layer_scale_init_value=1.0)
    backbone.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert loaded.get_config() == backbone.get_config()
    batch = images(2, 16, 20, 3)
    np.testing.assert_allclose(numpy_of(loaded, batch), numpy_of(backbone, batch), rtol=1e-5, atol=1e-5)
    plain = ConvNeXtBackbone(**TWO_STAGES, layer_scale_init_value=1.0)
    plain.set_weights(backbone.get_weights())
    assert np.abs(numpy_of(plain, batch) - numpy_of(backbone, batch)).max() > 1e-5


def test_a_keras_file_of_before_these_arguments_loads(small_classifier, randomize, images, numpy_of, tmp_path):
    """It has none of them in the configurations of backbone, head and layers."""
    model = randomize(small_classifier())
    model.save(tmp_path / "new.keras")
    new = {"norm", "hidden_activation", "conv_bias"}
    with zipfile.ZipFile(tmp_path / "new.keras") as archive, zipfile.ZipFile(tmp_path / "old.keras", "w") as old:
        for name in archive.namelist():
            data = archive.read(name)
            old.writestr(name, _without(json.loads(data), new) if name == "config.json" else data)
    loaded = keras.saving.load_model(tmp_path / "old.keras")
    batch = images(2, 32, 32, 3)
    np.testing.assert_allclose(numpy_of(loaded, batch), numpy_of(model, batch), rtol=1e-5, atol=1e-5)


def _without(config, keys):
    def cleaned(value):
        if isinstance(value, dict):
            return {key: cleaned(one) for key, one in value.items() if key not in keys}
        return [cleaned(one) for one in value] if isinstance(value, list) else value

    text = json.dumps(cleaned(config))
    assert not any(f'"{key}"' in text for key in keys)
    return text


# === Arguments


def test_kernel_sizes_of_the_stages():
    backbone = ConvNeXtBackbone(**TWO_STAGES, kernel_size=[3, np.int64(9)])
    sizes = [backbone.get_layer(f"stage_{stage}_block_0").depthwise_conv.kernel.shape[0] for stage in (0, 1)]
    assert sizes == [3, 9]
    assert backbone.kernel_size == (3, 9)
    json.dumps(backbone.get_config())


@pytest.mark.parametrize("kernel_size", [(3,), (3, 5, 7), 3.5, (3.0, 5.0), None, "75"])
def test_refuses_kernel_sizes_that_do_not_fit(kernel_size):
    with pytest.raises(ValueError, match="`kernel_size` must be an integer"):
        ConvNeXtBackbone(**TWO_STAGES, kernel_size=kernel_size)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"norm": "batch_norm"}, "layer_norm, rms_norm, simple_norm.*'batch_norm'"),
        ({"hidden_activation": "gelu_new"}, "gelu, gelu_tanh or another name in keras.*'gelu_new'"),
        ({"kernel_size": (3, 4)}, "`kernel_size` must be odd.*kernel_size=4"),
        ({"stem": "overlap_act", "stem_patch_size": 2}, "supports only patch_size=4"),
        ({"mlp_ratio": 0.05}, "must be at least 1"),
    ],
)
def test_refuses_what_is_not_there(arguments, message):
    with pytest.raises(ValueError, match=message):
        ConvNeXtBackbone(**TWO_STAGES, **arguments)
