"""`convert`: checkpoints of one package into another's, and into whole models."""

import keras
import numpy as np
import pytest

from keras_convnext import ConvNeXtBackbone, ConvNeXtClassifier, load_checkpoint, save_checkpoint


@pytest.fixture
def model(randomize):
    return randomize(ConvNeXtClassifier.from_preset("convnext_mini", num_classes=3))


def test_there_and_back(cli, model, tmp_path):
    first, second, third = (tmp_path / name for name in ("official.pth", "hub.safetensors", "model.keras"))
    save_checkpoint(model, first)
    result = cli("convert", first, second, "--layout", "transformers")
    assert (result.code, result.out) == (0, f"{first}: official, convnext_mini, 3 classes -> {second}\n")
    assert cli("convert", second, third).code == 0
    found = keras.saving.load_model(third)
    assert found.num_classes == 3
    for weight, exact in zip(found.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(weight, exact)
    again = tmp_path / "again.h5"
    assert "keras_convnext, convnext_mini, 3 classes" in cli("convert", third, again).out
    assert load_checkpoint(model, again) == "keras.applications"


def test_weights_with_a_smaller_stem_and_other_channels(cli, tmp_path):
    small = ConvNeXtClassifier.from_preset("convnext_mini", 3, stem_patch_size=2, input_shape=(None, None, 1))
    save_checkpoint(small, tmp_path / "model.pth")
    assert cli("convert", tmp_path / "model.pth", tmp_path / "timm.pth", "--layout", "timm").code == 0
    assert cli("convert", tmp_path / "timm.pth", tmp_path / "model.keras").code == 0
    found = keras.saving.load_model(tmp_path / "model.keras")
    for weight, exact in zip(found.get_weights(), small.get_weights(), strict=True):
        np.testing.assert_array_equal(weight, exact)


def test_takes_a_run_folder(cli, trained, tmp_path):
    result = cli("convert", trained.path, tmp_path / "model.safetensors", "--layout", "timm")
    assert result.code == 0, result.err
    assert "keras_convnext, 10 classes" in result.out
    exact = keras.saving.load_model(trained.path / "model.keras")
    copy = ConvNeXtClassifier.from_config(exact.get_config())
    load_checkpoint(copy, tmp_path / "model.safetensors")
    for weight, same in zip(copy.get_weights(), exact.get_weights(), strict=True):
        np.testing.assert_array_equal(weight, same)


def test_the_moving_average(cli, model, tmp_path):
    import torch

    save_checkpoint(model, tmp_path / "model.pth")
    state = torch.load(tmp_path / "model.pth", weights_only=True)["model"]
    torch.save({"model": state, "model_ema": {name: 2 * value for name, value in state.items()}}, tmp_path / "both.pth")
    assert cli("convert", tmp_path / "both.pth", tmp_path / "ema.keras", "--ema").code == 0
    found = keras.saving.load_model(tmp_path / "ema.keras")
    np.testing.assert_array_equal(found.get_weights()[-1], 2 * model.get_weights()[-1])


def test_a_backbone_stays_one(cli, model, tmp_path):
    save_checkpoint(model.backbone, tmp_path / "backbone.pth", layout="timm")
    assert cli("convert", tmp_path / "backbone.pth", tmp_path / "backbone.keras").code == 0
    assert type(keras.saving.load_model(tmp_path / "backbone.keras")).__name__ == "ConvNeXtBackbone"


@pytest.mark.parametrize("layout", ["official", "transformers"])
def test_a_backbone_with_a_norm_for_each_level_stays_one(cli, randomize, tmp_path, layout):
    model = randomize(ConvNeXtBackbone.from_preset("convnext_mini", level_norm=True))
    save_checkpoint(model, tmp_path / "backbone.safetensors", layout=layout)
    assert cli("convert", tmp_path / "backbone.safetensors", tmp_path / "backbone.keras").code == 0
    found = keras.saving.load_model(tmp_path / "backbone.keras")
    for weight, exact in zip(found.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(weight, exact)


@pytest.mark.parametrize(
    ("source", "target", "options", "message"),
    [
        ("model.pth", "model.pth", [], "model.pth already exists. Choose another name."),
        ("model.pth", "missing/model.keras", [], "no such folder"),
        ("missing.pth", "out.keras", [], "No such file or folder: {folder}/missing.pth"),
        ("missing", "out.keras", [], "No such file or folder: {folder}/missing\n"),
        (".", "out.keras", [], "not a run folder"),
        ("model.pth", "out.keras", ["--layout", "timm"], "a .keras file has the layout of Keras"),
        ("model.pth", "out.pth", ["--variant", "convnext_atto"], "it does not fit the model"),
        ("model.pth", "out.ckpt", [], "expected a name that ends in"),
        ("model.pth", "out.h5", ["--layout", "timm"], "are only for the layout keras.applications"),
        ("model.pth", "out.pth", ["--layout", "fcmae"], "The layout fcmae has no such model"),
    ],
)
def test_bad_input(cli, model, tmp_path, source, target, options, message):
    save_checkpoint(model, tmp_path / "model.pth")
    before = (tmp_path / "model.pth").read_bytes()
    result = cli("convert", tmp_path / source, tmp_path / target, *options)
    assert result.code == 2
    assert message.format(folder=tmp_path) in result.err
    assert [path.name for path in tmp_path.iterdir()] == ["model.pth"]
    assert (tmp_path / "model.pth").read_bytes() == before


@pytest.mark.parametrize("target", ["out.ckpt", "missing/out.pth", "out.h5 --layout timm"])
def test_a_bad_target_is_refused_before_anything_is_loaded(cli, tmp_path, monkeypatch, target):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("keras_convnext.cli.convert.load", lambda *arguments: pytest.fail("loaded"))
    assert cli("convert", "convnext_tiny_1k_224_ema", *target.split()).code == 2


def test_a_missing_package_is_said_before_anything_is_loaded(refusal, without, tmp_path, monkeypatch):
    monkeypatch.setattr("keras_convnext.cli.convert.load", lambda *arguments: pytest.fail("loaded"))
    without("safetensors")
    line = refusal("convert", "convnext_tiny_1k_224_ema", tmp_path / "out.safetensors")
    assert 'pip install "keras-convnext[checkpoints]"' in line
