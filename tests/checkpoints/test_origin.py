"""The origin of weights: the licence that goes with a model and its files."""

import warnings

import keras
import pytest

from keras_convnext import ConvNeXtBackbone, ConvNeXtClassifier, load_checkpoint, save_checkpoint

NAME = "convnext_atto.d2_in1k"


# === Models from presets


@pytest.mark.parametrize("license", ["CC-BY-NC-4.0", "dinov3-license"])
def test_the_licence_is_shown_and_goes_with_the_model(source, keras_home, tmp_path, license, publish):
    publish(source.body, license=license)
    with pytest.warns(UserWarning, match=f"under {license}, which restricts their use"):
        model = ConvNeXtClassifier.from_preset(NAME)
    model.save(tmp_path / "model.keras")
    assert keras.saving.load_model(tmp_path / "model.keras").backbone.license == license


def test_a_free_licence_needs_no_warning(published):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ConvNeXtClassifier.from_preset(NAME)


# === The origin of weights


def test_a_file_called_as_it_was_published_has_its_licence(source, tmp_path):
    path = tmp_path / "convnextv2_atto_1k_224_ema.pt"
    other = ConvNeXtClassifier.from_preset("convnextv2_atto")
    save_checkpoint(other, path)
    with pytest.warns(UserWarning, match="under CC-BY-NC-4.0, which restricts"):
        load_checkpoint(other, path)
    assert (other.backbone.preset, other.backbone.license) == ("convnextv2_atto_1k_224_ema", "CC-BY-NC-4.0")


def test_a_file_called_like_a_published_one_of_another_digest_has_none(source, tmp_path):
    path = tmp_path / "convnext_atto_d2-01bb0f51.pth"
    save_checkpoint(source.model, path)
    load_checkpoint(source.model, path)
    assert (source.model.backbone.preset, source.model.backbone.license) == (None, None)


@pytest.mark.parametrize("suffix", [".keras", ".safetensors"])
def test_the_licence_goes_from_file_to_file(source, tmp_path, suffix):
    source.model.backbone.preset, source.model.backbone.license = "mine", "CC-BY-NC-4.0"
    path = tmp_path / f"model{suffix}"
    if suffix == ".keras":
        source.model.save(path)
    else:
        save_checkpoint(source.model, path, layout="timm")
    for other in (ConvNeXtClassifier.from_preset("convnext_atto"), ConvNeXtBackbone.from_preset("convnext_atto")):
        with pytest.warns(UserWarning, match="under CC-BY-NC-4.0, which restricts"):
            load_checkpoint(other, path)
        backbone = getattr(other, "backbone", other)
        assert (backbone.preset, backbone.license) == ("mine", "CC-BY-NC-4.0")
