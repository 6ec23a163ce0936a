"""Quantized models: as Keras quantizes its own, saved whole."""

import copy
import importlib.util
import os
import subprocess
import sys
import warnings
from pathlib import Path

import keras
import numpy as np
import pytest

from keras_convnext import ConvNeXtBackbone, ConvNeXtClassifier
from keras_convnext.layers import ConvNeXtBlock, Downsample, Stem
from keras_convnext.training import AdamW

BACKENDS = ["tensorflow", "jax", "torch"]
SHAPE = (16, 16, 3)
CONFIGS = {
    "int8": lambda: keras.quantizers.Int8QuantizationConfig(),
    "int8, weights alone": lambda: keras.quantizers.Int8QuantizationConfig(activation_quantizer=None),
    "int4": lambda: keras.quantizers.Int4QuantizationConfig(),
    "int4, blocks of 4": lambda: keras.quantizers.Int4QuantizationConfig(block_size=4),
    "int4, by channel": lambda: keras.quantizers.Int4QuantizationConfig(block_size=None),
    "float8": lambda: keras.quantizers.Float8QuantizationConfig(),
}


@pytest.fixture
def model(randomize):
    return randomize(make())


def make(**changes):
    backbone = ConvNeXtBackbone((1, 1), (8, 16), kernel_size=3, input_shape=SHAPE, **changes)
    return ConvNeXtClassifier(backbone, 5, head_hidden_size=12)


def modes_of(model):
    return [layer.quantization_mode for layer in model._flatten_layers() if layer.quantization_mode]


def add_lora(model, rng):
    """Enables LoRA on every layer that has it, as if it had been trained."""
    for layer in model._flatten_layers():
        if hasattr(layer, "enable_lora"):
            layer.enable_lora(2, lora_alpha=3)
            layer.lora_kernel_b.assign(0.1 * rng.normal(size=layer.lora_kernel_b.shape))
    return model


# Keras quantizes by the same code on each backend: elsewhere one case is enough.
MARKS = {"int8": [], "int4": [pytest.mark.once], "float8": [pytest.mark.once]}


@pytest.mark.parametrize("name", [pytest.param(name, marks=MARKS.get(name, [pytest.mark.slow])) for name in CONFIGS])
def test_all_linear_layers_are_quantized_without_a_warning_and_saved_whole(model, images, numpy_of, tmp_path, name):
    x, config = images(3, *SHAPE), CONFIGS[name]()
    before = numpy_of(model, x)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        model.quantize(config=config)
    assert modes_of(model) == [config.mode] * 6, "two blocks of two, head_hidden and head"
    outputs = numpy_of(model, x)
    error = np.abs(outputs - before).max() / np.abs(before).max()
    assert 0 < error < {"int8": 0.03, "int4": 0.5, "float8": 0.15}[config.mode]
    model.save(tmp_path / "model.keras")
    model.save_weights(tmp_path / "model.weights.h5")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    rebuilt = type(model).from_config(model.get_config())
    rebuilt.load_weights(tmp_path / "model.weights.h5")
    for other in (loaded, rebuilt, copy.deepcopy(model)):
        assert modes_of(other) == modes_of(model)
        np.testing.assert_array_equal(numpy_of(other, x), outputs)


@pytest.mark.once
@pytest.mark.parametrize("mode, share", [("int8", 0.4), ("int4", 0.3)])
def test_the_file_shrinks(tmp_path, mode, share):
    model = ConvNeXtClassifier(ConvNeXtBackbone((1, 1), (64, 256), kernel_size=3), 3)
    model.save(tmp_path / "float.keras")
    model.quantize(mode)
    model.save(tmp_path / "quantized.keras")
    assert (tmp_path / "quantized.keras").stat().st_size < share * (tmp_path / "float.keras").stat().st_size


@pytest.mark.once
@pytest.mark.parametrize("mode", ["int8", "int4", "float8"])
def test_a_pointwise_layer_is_quantized_as_keras_dense(model, rng, numpy_of, mode):
    layer = model.backbone.get_layer("stage_0_block_0").pointwise_conv_2
    dense = keras.layers.Dense(8)
    dense.build((None, 32))
    dense.set_weights(layer.get_weights())
    x = rng.normal(size=(2, 4, 4, 32)).astype("float32")
    model.backbone.quantize(mode, filters="pointwise_conv_2")
    dense.quantize(mode)
    np.testing.assert_array_equal(numpy_of(layer, x), numpy_of(dense, x))
    assert modes_of(model) == [mode] * 2


@pytest.mark.parametrize("to", BACKENDS if keras.backend.backend() == "torch" else [keras.backend.backend()])
@pytest.mark.slow
def test_files_pass_between_backends(randomize, images, backend, tmp_path, to):
    if importlib.util.find_spec(to) is None:
        pytest.skip(f"{to} is not installed")
    x, outputs = images(3, *SHAPE), {}
    np.save(tmp_path / "images.npy", x)
    for mode in ("int8", "int4", "float8"):
        model = randomize(make())
        model.compile("adam", "mse")
        model.quantize(mode)
        model.save(tmp_path / f"{mode}.keras")
        outputs[mode] = model.predict(x, verbose=0)
    script = Path(__file__).with_name("load_saved.py")
    environment = {"KERAS_BACKEND": to, "TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, script, tmp_path], env={**os.environ, **environment}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-3000:]
    for mode, expected in outputs.items():
        found = np.load(tmp_path / f"{mode}_{to}.npz")["outputs"]
        if to == backend:
            np.testing.assert_array_equal(found, expected, err_msg=mode)
        else:  # activations that are rounded too may be rounded otherwise
            tolerance = 1e-5 if mode == "int4" else 0.02
            np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance * np.abs(expected).max(), err_msg=mode)


@pytest.mark.once
@pytest.mark.parametrize(
    "filters",
    [
        "pointwise_conv_1",
        *(pytest.param(one, marks=pytest.mark.slow) for one in ("pointwise_conv_2", "^head$", ["hidden", "conv_2"])),
    ],
)
def test_some_layers_alone(model, images, numpy_of, tmp_path, filters):
    """A block's forms for inference know float weights: they must not serve a block of which one layer is quantized."""
    x = images(2, *SHAPE)
    before = numpy_of(model, x)
    model.quantize("int8", filters=filters)
    outputs = numpy_of(model, x)
    assert 0 < np.abs(outputs - before).max() < 0.03 * np.abs(before).max()
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(numpy_of(loaded, x), outputs)
    rest = {"pointwise_conv_1": "conv_2|head", "pointwise_conv_2": "conv_1|head", "^head$": "conv|hidden"}
    loaded.quantize("int4", filters=rest[filters] if isinstance(filters, str) else "conv_1|head$")
    assert set(modes_of(loaded)) == {"int4", "int8"}
    assert len(modes_of(loaded)) == 6


@pytest.mark.once
def test_the_backbone_within_and_alone(model, images, numpy_of, tmp_path):
    x = images(2, *SHAPE)
    model.backbone.quantize("int8")
    for one in (model, model.backbone):
        one.save(tmp_path / "one.keras")
        np.testing.assert_array_equal(numpy_of(keras.saving.load_model(tmp_path / "one.keras"), x), numpy_of(one, x))


@pytest.mark.once
def test_layers_in_another_model(rng, numpy_of, tmp_path):
    image = keras.Input((8, 8, 3))
    x = ConvNeXtBlock(use_grn=True, name="block")(Stem(8, patch_size=2, name="stem")(image))
    model = keras.Model(image, Downsample(16, name="down")(x))
    model.get_layer("block").pointwise_conv_1.quantize("int8")
    model.get_layer("down").conv.enable_lora(2)
    model.get_layer("stem").norm.dtype_policy = "bfloat16"
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert [weight.path for weight in loaded.weights] == [weight.path for weight in model.weights]
    assert loaded.get_layer("stem").norm.dtype_policy.name == "bfloat16"
    pixels = rng.normal(size=(2, 8, 8, 3)).astype("float32")
    np.testing.assert_allclose(numpy_of(loaded, pixels), numpy_of(model, pixels), rtol=0, atol=1e-6)


@pytest.mark.once
def test_lora_is_kept_and_merged_by_saving(model, rng, images, numpy_of, tmp_path):
    x = images(2, *SHAPE)
    before = numpy_of(model, x)
    add_lora(model, rng)
    outputs = numpy_of(model, x)
    assert np.abs(outputs - before).max() > 0.01 * np.abs(before).max()
    model.save(tmp_path / "model.keras")
    model.save_weights(tmp_path / "merged.weights.h5")
    loaded, plain = keras.saving.load_model(tmp_path / "model.keras"), make()
    plain.load_weights(tmp_path / "merged.weights.h5")
    for other in (loaded, plain):
        np.testing.assert_allclose(numpy_of(other, x), outputs, rtol=0, atol=1e-5 * np.abs(outputs).max())
    assert [weight.path for weight in loaded.trainable_weights] == [weight.path for weight in model.trainable_weights]
    with_lora = [layer for layer in loaded.backbone._flatten_layers() if getattr(layer, "lora_enabled", False)]
    assert [(layer.lora_rank, layer.lora_alpha) for layer in with_lora] == [(2, 3)] * 6


@pytest.mark.once
@pytest.mark.parametrize("remat", [False, pytest.param(True, marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    "mode",
    ["float8", "LoRA on int8", *(pytest.param(mode, marks=pytest.mark.slow) for mode in ("int8", "int4", "LoRA"))],
)
def test_training_goes_on(randomize, rng, images, tmp_path, mode, remat):
    """Biases, norms and the depthwise convolutions learn; of float8 all do, and its scales are measured."""
    model = randomize(make(remat=remat))
    if mode != "LoRA":
        model.quantize(mode.split()[-1])
    if mode.startswith("LoRA"):
        add_lora(model, rng)
    model.compile(AdamW(1e-3, use_ema=True), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    x, y = images(4, *SHAPE), np.arange(4)
    before = {weight.path: weight.numpy() for weight in model.trainable_weights}
    losses = [float(model.train_on_batch(x, y)) for _ in range(3)]
    assert losses[2] < losses[0]
    unchanged = [path for path, value in before.items() if (model_weight(model, path).numpy() == value).all()]
    assert unchanged == []
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert int(loaded.optimizer.iterations) == 3
    assert len(loaded.optimizer.variables) == len(model.optimizer.variables)
    assert float(loaded.train_on_batch(x, y)) < losses[0]


def model_weight(model, path):
    (weight,) = [weight for weight in model.weights if weight.path == path]
    return weight
