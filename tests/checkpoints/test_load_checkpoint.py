"""Loading: what is left out and said, and files that do not fit, are damaged, or would run code."""

import argparse
import json
import os
import sys
import warnings

import h5py
import keras
import numpy as np
import pytest

from keras_convnext import ConvNeXtClassifier, load_checkpoint, save_checkpoint
from keras_convnext.checkpoints import read_arrays
from keras_convnext.checkpoints.errors import DamagedFileError

pytestmark = pytest.mark.once


def assert_equal(model, other, but=()):
    """Holds the weights of two models to be equal, but for those whose path starts with one of `but`."""
    theirs = {weight.path: np.asarray(weight) for weight in other.weights}
    for weight in model.weights:
        if not weight.path.startswith(tuple(but)):
            np.testing.assert_array_equal(weight, theirs[weight.path], err_msg=weight.path)


def refused(model, path, match):
    """Sees to it that loading fails with one clear error, and the model stays as it was; returns the message."""
    before = model.get_weights()
    with pytest.raises(ValueError, match=match) as raised:
        load_checkpoint(model, path)
    assert str(raised.value).startswith(str(path))
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    return str(raised.value)


# === Formats and layouts


@pytest.mark.parametrize(
    ("layout", "suffix"),
    [
        ("official", ".pth"),
        ("official", ".safetensors"),
        ("timm", ".bin"),
        ("torchvision", ".pt"),
        ("transformers", ".safetensors"),
        ("keras.applications", ".h5"),
    ],
)
def test_round_trip(small_classifier, model, tmp_path, layout, suffix):
    path = tmp_path / f"model{suffix}"
    save_checkpoint(model, path, layout=layout)
    assert [found.name for found in tmp_path.iterdir()] == [path.name]
    other = small_classifier()
    assert load_checkpoint(other, path) == layout
    assert_equal(other, model)


@pytest.mark.parametrize("layout", ["official", "fcmae", "timm", "transformers"])
def test_round_trip_of_v2(small_backbone, randomize, tmp_path, layout):
    model, other = randomize(small_backbone("v2")), small_backbone("v2")
    save_checkpoint(model, tmp_path / "model.pth", layout=layout)
    assert load_checkpoint(other, tmp_path / "model.pth") == layout
    assert_equal(other, model)


def test_names_of_files_do_not_matter(small_classifier, model, file, tmp_path):
    other = small_classifier()
    assert load_checkpoint(other, file.rename(tmp_path / "weights.safetensors")) == "official"
    assert_equal(other, model)


def test_keras(small_classifier, model, tmp_path):
    other = small_classifier()
    model.save(tmp_path / "model.keras")
    assert load_checkpoint(other, tmp_path / "model.keras") == "keras_convnext"
    assert_equal(other, model)


def test_training_checkpoints(torch, small_classifier, model, file, state):
    """As the authors' script saves them: the optimizer and the arguments too, from several processes."""
    state = {f"module.{name}": value.half() for name, value in state.items()}
    torch.save({"optimizer": {"lr": [0.1]}, "args": argparse.Namespace(lr=0.1), "model": state}, file)
    other = small_classifier()
    load_checkpoint(other, file)
    for weight, exact in zip(other.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(weight, exact.astype("float16").astype("float32"))


def test_parameters_of_a_compiled_model(torch, small_classifier, model, file, state):
    state = {f"_orig_mod.module.{name}": torch.nn.Parameter(value) for name, value in state.items()}
    torch.save(state, file)
    other = small_classifier()
    load_checkpoint(other, file)
    assert_equal(other, model)


def test_bfloat16_safetensors(torch, small_classifier, model, state, tmp_path):
    from safetensors.torch import save_file

    save_file({name: value.bfloat16() for name, value in state.items()}, tmp_path / "half.safetensors")
    other = small_classifier()
    load_checkpoint(other, tmp_path / "half.safetensors")
    for weight, exact in zip(other.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(weight, torch.from_numpy(exact).bfloat16().float().numpy())


@pytest.mark.parametrize("dtype", ["float8_e4m3fn", "float8_e5m2", "uint16", "uint32", "uint64"])
def test_types_of_safetensors(torch, tmp_path, dtype):
    from safetensors.torch import save_file

    values = torch.arange(6).reshape(2, 3).to(getattr(torch, dtype))
    save_file({"a": values}, tmp_path / "model.safetensors")
    array = read_arrays(tmp_path / "model.safetensors")["a"]
    assert array.dtype == ("float32" if dtype.startswith("float") else dtype)
    np.testing.assert_array_equal(array, np.arange(6).reshape(2, 3))


def test_an_unknown_type_of_safetensors_is_named(tmp_path):
    """A whole file, which another download would not mend."""
    header = json.dumps({"a": {"dtype": "F8_E8M0", "shape": [1], "data_offsets": [0, 1]}}).encode()
    path = tmp_path / "model.safetensors"
    path.write_bytes(len(header).to_bytes(8, "little") + header + b"\x7f")
    with pytest.raises(ValueError, match=r"a is of type F8_E8M0; expected one of F64, F32") as caught:
        read_arrays(path)
    assert not isinstance(caught.value, DamagedFileError)


def test_torch_is_needed_for_files_from_before_its_zip_format_alone(torch, model, state, tmp_path, monkeypatch):
    for name in ("model.safetensors", "model.pth"):
        save_checkpoint(model, tmp_path / name)
    save_checkpoint(model, tmp_path / "model.h5", layout="keras.applications")
    torch.save(state, tmp_path / "legacy.pth", _use_new_zipfile_serialization=False)
    load_checkpoint(model, tmp_path / "legacy.pth")
    if keras.backend.backend() != "torch":
        monkeypatch.setitem(sys.modules, "torch", None)
    save_checkpoint(model, tmp_path / "again.pth")
    for name in ("model.safetensors", "model.pth", "again.pth", "model.h5"):
        load_checkpoint(model, tmp_path / name)
    if keras.backend.backend() != "torch":
        match = r"legacy\.pth: not a zip archive.*torch before 1\.6.*keras-convnext\[checkpoints\]"
        with pytest.raises(ModuleNotFoundError, match=match):
            load_checkpoint(model, tmp_path / "legacy.pth")


# === The head and the stem


def test_another_number_of_classes(small_classifier, model, file):
    other = small_classifier(num_classes=3)
    before = other.get_weights()[-2:]
    with pytest.warns(UserWarning, match="5 classes and the model 3: the model's last layer is unchanged"):
        load_checkpoint(other, file)
    assert_equal(other, model, but=["head/"])
    for old, new in zip(before, other.get_weights()[-2:], strict=True):
        np.testing.assert_array_equal(old, new)


def test_a_backbone_takes_a_classifiers_file(small_backbone, model, file):
    other = small_backbone()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        load_checkpoint(other, file)
    assert_equal(other, model)


def test_features_take_a_classifiers_file(small_classifier, model, file):
    other = small_classifier(num_classes=0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        load_checkpoint(other, file)
    assert_equal(other, model)


def test_a_classifier_takes_a_backbones_file(small_classifier, model, tmp_path):
    save_checkpoint(model.backbone, tmp_path / "backbone.pth")
    other = small_classifier()
    with pytest.warns(UserWarning, match="has no head"):
        load_checkpoint(other, tmp_path / "backbone.pth")
    assert_equal(other, model, but=["head"])


def test_a_classifier_takes_a_file_without_a_last_layer(small_backbone, small_classifier, randomize, tmp_path):
    features = randomize(ConvNeXtClassifier(small_backbone(), num_classes=0))
    save_checkpoint(features, tmp_path / "features.pth", layout="timm")
    other = small_classifier()
    with pytest.warns(UserWarning, match="has no last layer. These parts of the model are unchanged: head"):
        load_checkpoint(other, tmp_path / "features.pth")
    assert_equal(other, ConvNeXtClassifier(features.backbone, 0), but=["head"])
    np.testing.assert_array_equal(other.get_weights()[-4], features.get_weights()[-2])


def test_a_hidden_layer_is_not_left_out_under_the_same_classes(small_backbone, model, tmp_path):
    """The last layer would take features that it was not trained on."""
    mlp = ConvNeXtClassifier(small_backbone(), 5, head_hidden_size=32)
    save_checkpoint(mlp, tmp_path / "mlp.pth", layout="timm")
    assert "head.pre_logits.fc.weight: the model has no such weight" in refused(model, tmp_path / "mlp.pth", "not fit")


@pytest.mark.parametrize("first", [False, True])
def test_another_order_of_norm_and_pooling(small_backbone, tmp_path, first):
    theirs, ours = (ConvNeXtClassifier(small_backbone(), 5, head_norm_first=order) for order in (first, not first))
    save_checkpoint(theirs, tmp_path / "model.pth", layout="timm")
    refused(ours, tmp_path / "model.pth", "norm_pre.weight")
    load_checkpoint(theirs, tmp_path / "model.pth")
    if first:
        with pytest.raises(ValueError, match="The layout official has no such model"):
            save_checkpoint(theirs, tmp_path / "official.pth")


def test_norms_of_pyramid_levels_stay(small_backbone, model, tmp_path):
    save_checkpoint(model.backbone, tmp_path / "backbone.pth")
    other = small_backbone(level_norm=True)
    with pytest.warns(UserWarning, match="norms of pyramid levels"):
        load_checkpoint(other, tmp_path / "backbone.pth")
    assert_equal(model.backbone, other)


@pytest.mark.parametrize("channels", [1, 2, 6])
def test_another_number_of_channels(small_classifier, model, file, channels):
    other = small_classifier(input_shape=(None, None, channels))
    assert "adapt_stem=True" in refused(other, file, "stem/conv/kernel: expected")
    load_checkpoint(other, file, adapt_stem=True)
    assert_equal(other, model, but=["stem/conv/kernel"])
    kernel, adapted = (np.asarray(each.weights[0]) for each in (model, other))
    assert adapted.shape[2] == channels
    # What an image of three equal channels gave, one of `channels` such channels gives: two of three leave one out.
    expected = kernel[:, :, :2].sum(2) * 1.5 if channels == 2 else kernel.sum(2)
    np.testing.assert_allclose(adapted.sum(2), expected, atol=1e-5)


def test_a_stem_of_another_patch_size_is_not_adapted(small_classifier, file):
    other = small_classifier(stem_patch_size=2)
    before = other.get_weights()
    with pytest.raises(ValueError, match=r"stem/conv/kernel: expected \(8, 3, 2, 2\), got \(8, 3, 4, 4\)"):
        load_checkpoint(other, file, adapt_stem=True)
    for old, new in zip(before, other.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


# === Files that do not fit


def test_all_misfits_are_named(torch, small_classifier, model, file, state):
    del state["stages.2.1.pwconv1.weight"], state["head.bias"]
    state["stages.1.0.norm.weight"] = torch.ones(7)
    state["decoder.weight"] = torch.ones(3)
    torch.save(state, file)
    message = refused(small_classifier(), file, "it does not fit the model")
    for part in (
        "stage_2_block_1/pointwise_conv_1/kernel: not in the checkpoint, where it would be stages.2.1.pwconv1.weight",
        "head/bias: not in the checkpoint",
        "stage_1_block_0/norm/gamma: expected (16,), got (7,) in stages.1.0.norm.weight",
        "decoder.weight: the model has no such weight",
    ):
        assert part in message


def test_another_architecture(small_classifier, file):
    message = refused(small_classifier("v2"), file, "it does not fit the model")
    assert "stages.0.0.gamma: the model has no such weight" in message
    assert "stage_0_block_0/grn/gamma: not in the checkpoint" in message


def test_another_network(torch, model, tmp_path):
    path = tmp_path / "resnet.pth"
    torch.save({"layer1.0.conv1.weight": torch.ones(4, 4)}, path)
    refused(model, path, "expected names of weights as in one of official, fcmae, timm")


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_values_that_are_not_finite(torch, small_classifier, file, state, value):
    state["stages.0.0.dwconv.weight"][3, 0, 1, 1] = value
    torch.save(state, file)
    refused(small_classifier(), file, r"depthwise_conv/kernel: stages.0.0.dwconv.weight has NaN or Inf")


# === Files that cannot be read


class Malicious:
    """Its pickle makes a folder when it is loaded."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "pickle"])
def test_nothing_in_a_pickle_is_run(torch, model, file, state, tmp_path, legacy):
    trap = tmp_path / "made by the pickle"
    torch.save({"model": state, "args": Malicious(trap)}, file, _use_new_zipfile_serialization=not legacy)
    refused(model, file, "refused")
    assert not trap.exists()


@pytest.mark.parametrize("part", [0.1, 0.5, 0.99])
@pytest.mark.parametrize("name", ["model.pth", "model.safetensors", "model.h5", "model.keras"])
def test_files_that_are_cut_off(model, tmp_path, name, part):
    path = tmp_path / name
    if name.endswith(".keras"):
        model.save(path)
    else:
        save_checkpoint(model, path, layout="keras.applications" if name.endswith(".h5") else "official")
    path.write_bytes(path.read_bytes()[: int(part * path.stat().st_size)])
    refused(model, path, "cut off|damaged")


def test_a_legacy_pickle_that_is_cut_off(torch, model, file, state):
    torch.save(state, file, _use_new_zipfile_serialization=False)
    file.write_bytes(file.read_bytes()[:2000])
    refused(model, file, "cut off|damaged")


def test_other_files_and_none(model, tmp_path):
    text = tmp_path / "model.pth"
    text.write_text("<html>404</html>")
    refused(model, text, "expected a file of torch")
    refused(model, tmp_path, "got a folder")
    refused(model, tmp_path / "missing.pth", "no such file")
    (tmp_path / "empty.pth").touch()
    refused(model, tmp_path / "empty.pth", "expected a file of torch")


def test_not_a_dict(torch, model, tmp_path):
    torch.save([torch.ones(2)], tmp_path / "list.pth")
    refused(model, tmp_path / "list.pth", "expected a dict of tensors, got list")


def test_no_tensors_by_name(torch, model, tmp_path):
    torch.save({1: torch.ones(2), "epoch": 3}, tmp_path / "other.pth")
    refused(model, tmp_path / "other.pth", r"got one with \[1, 'epoch'\]")


def test_links_to_other_files_are_not_followed(model, tmp_path):
    path = tmp_path / "model.h5"
    save_checkpoint(model, path, layout="keras.applications")
    with h5py.File(path, "a") as file:
        file.move("head_dense", "moved")
        file["head_dense"] = h5py.ExternalLink(tmp_path / "other.h5", "head_dense")
    refused(model, path, "head_dense is a link")


def test_text_instead_of_numbers(model, tmp_path):
    path = tmp_path / "model.h5"
    save_checkpoint(model, path, layout="keras.applications")
    with h5py.File(path, "a") as file:
        del file["head_dense/head_dense/bias:0"]
        file["head_dense/head_dense/bias:0"] = "text"
    refused(model, path, "expected numbers|damaged")


def test_keras_own_weights_file(model, tmp_path):
    model.save_weights(tmp_path / "model.weights.h5")
    refused(model, tmp_path / "model.weights.h5", "model.load_weights")


# === The moving average of the weights


@pytest.mark.parametrize("wrappers", [("model", "model_ema"), ("state_dict", "state_dict_ema")])
def test_the_moving_average_on_request(small_classifier, randomize, model, state, torch, file, wrappers):
    averaged = {name: value * 0.5 for name, value in state.items()}
    torch.save(dict(zip(wrappers, (state, averaged), strict=True)), file)
    other = small_classifier()
    load_checkpoint(other, file)
    assert_equal(other, model)
    load_checkpoint(other, file, ema=True)
    for weight, full in zip(other.weights, model.weights, strict=True):
        if "normalization" not in weight.path:
            np.testing.assert_array_equal(weight, np.asarray(full) * 0.5)


def test_refuses_a_file_without_a_moving_average(model, file, tmp_path):
    with pytest.raises(ValueError, match="expected a moving average, as one of model_ema, state_dict_ema; got"):
        load_checkpoint(model, file, ema=True)
    save_checkpoint(model, tmp_path / "model.safetensors", layout="timm")
    with pytest.raises(ValueError, match="expected a file of torch with a moving average"):
        load_checkpoint(model, tmp_path / "model.safetensors", ema=True)
