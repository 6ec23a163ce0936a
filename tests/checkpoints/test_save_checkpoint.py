"""Saving: what is written, and models and paths that are refused."""

import zipfile

import pytest

from keras_convnext import ConvNeXtClassifier, save_checkpoint
from keras_convnext.checkpoints import read_arrays


def test_unknown_layouts_and_suffixes(model, tmp_path):
    with pytest.raises(ValueError, match="Unknown layout 'mmdet': expected one of official, fcmae, timm"):
        save_checkpoint(model, tmp_path / "model.pth", layout="mmdet")
    with pytest.raises(ValueError, match=r"a name that ends in \.pth"):
        save_checkpoint(model, tmp_path / "model.ckpt")
    with pytest.raises(ValueError, match=r"layout keras\.applications"):
        save_checkpoint(model, tmp_path / "model.h5", layout="timm")
    with pytest.raises(ValueError, match="no such folder"):
        save_checkpoint(model, tmp_path / "missing" / "model.pth")
    assert not list(tmp_path.iterdir())


def test_models_that_a_source_does_not_have(small_classifier, tmp_path):
    with pytest.raises(ValueError, match=r"torchvision has no such model: it lacks stage_0_block_0/grn/gamma"):
        save_checkpoint(small_classifier("v2"), tmp_path / "model.pth", layout="torchvision")


def test_a_failed_write_leaves_the_file_as_it_was(model, file, monkeypatch):
    before = file.read_bytes()

    def cut_off(archive, info, data):
        archive.fp.write(b"half")
        raise OSError("No space left on device")

    monkeypatch.setattr(zipfile.ZipFile, "writestr", cut_off)
    with pytest.raises(OSError, match="No space"):
        save_checkpoint(model, file)
    assert file.read_bytes() == before
    assert len(list(file.parent.iterdir())) == 1


def test_others_may_read_what_is_written(file):
    (other := file.with_name("other")).touch()
    assert file.stat().st_mode == other.stat().st_mode


def test_half_precision_is_saved_in_float32(small_classifier, randomize, tmp_path):
    model = randomize(small_classifier(dtype="bfloat16"))
    save_checkpoint(model, tmp_path / "model.safetensors")
    assert {array.dtype.name for array in read_arrays(tmp_path / "model.safetensors").values()} == {"float32"}


def test_conv_mlp_of_the_variant(torch, tmp_path):
    """timm's atto has its pointwise layers as 1x1 convolutions."""
    model = ConvNeXtClassifier.from_preset("convnext_atto", num_classes=3)
    save_checkpoint(model, tmp_path / "model.pth", layout="timm")
    state = torch.load(tmp_path / "model.pth", weights_only=True)
    assert state["stages.0.blocks.0.mlp.fc1.weight"].shape == (160, 40, 1, 1)


@pytest.mark.parametrize("layout, suffix", [("torchvision", ".pth"), ("keras.applications", ".h5")])
def test_a_fused_model_is_refused_where_every_block_has_a_layer_scale(model, tmp_path, layout, suffix):
    path = tmp_path / f"fused{suffix}"
    with pytest.raises(ValueError, match=f"{layout} has a layer scale in each block.*model that was fused"):
        save_checkpoint(model.fuse(), path, layout)
    assert not path.exists()
