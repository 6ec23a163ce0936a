"""Files of UPerNets: the authors', with mmsegmentation's names, and transformers'; the six presets."""

import json
import re
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from keras_convnext import (
    ConvNeXtBackbone,
    ConvNeXtClassifier,
    list_presets,
    load_checkpoint,
    load_model,
    save_checkpoint,
)
from keras_convnext.checkpoints import CHECKPOINTS, ade20k_classes, cached_path, find_preset, read_arrays
from keras_convnext.segmentation import UPerNet

REFERENCE = Path(__file__).parents[1] / "reference"
PRESET = "upernet_convnext_tiny_1k_512x512"

MMSEGMENTATION = (
    # transformers' names, and those of mmsegmentation 0.x with the authors' backbone
    (r"backbone\.embeddings\.patch_embeddings", "backbone.downsample_layers.0.0"),
    (r"backbone\.embeddings\.layernorm", "backbone.downsample_layers.0.1"),
    (r"backbone\.encoder\.stages\.(\d)\.downsampling_layer", r"backbone.downsample_layers.\1"),
    (r"backbone\.encoder\.stages\.(\d)\.layers\.(\d)\.layer_scale_parameter", r"backbone.stages.\1.\2.gamma"),
    (r"backbone\.encoder\.stages\.(\d)\.layers\.(\d)\.layernorm", r"backbone.stages.\1.\2.norm"),
    (r"backbone\.encoder\.stages\.(\d)\.layers\.(\d)", r"backbone.stages.\1.\2"),
    (r"backbone\.hidden_states_norms\.stage(\d)", lambda match: f"backbone.norm{int(match[1]) - 1}"),
    (r"batch_norm", "bn"),
    (r"_head\.classifier", "_head.conv_seg"),
)


@pytest.fixture
def state(peer):
    """The weights of `peer` under mmsegmentation's names."""
    state = {}
    for name, value in peer.model.state_dict().items():
        for pattern, other in MMSEGMENTATION:
            name = re.sub(pattern, other, name)
        state[name] = value.clone()
    return state


@pytest.fixture
def write(tmp_path):
    """A function: writes a state dict as mmsegmentation does, with what else is in its files."""
    import torch

    def write(state):
        meta = {
            "CLASSES": ("wall", "sky"),
            "PALETTE": [[120, 120, 120], [6, 230, 230]],
            "config": "norm_cfg = {}",
            "iter": 9,
        }
        optimizer = {"state": {0: {"step": 9, "exp_avg": torch.ones(3)}}, "param_groups": [{"lr": 1e-4, "params": [0]}]}
        torch.save({"meta": meta, "state_dict": state, "optimizer": optimizer}, tmp_path / "upernet.pth")
        return tmp_path / "upernet.pth"

    return write


@pytest.mark.once
def test_a_file_of_the_authors(upernet, peer, state, write, normalized, assert_same, tmp_path):
    model, images = upernet(), normalized(1, 64, 64)
    assert "decode_head.psp_modules.3.1.bn.num_batches_tracked" in state
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert load_checkpoint(model, write(state)) == "official"
    assert_same(model.predict(images, verbose=0), peer.logits(images)[0])


@pytest.mark.once
def test_the_backbone_of_such_a_file(upernet, state, write):
    model, backbone = upernet(), upernet().backbone
    load_checkpoint(model, write(state))
    load_checkpoint(backbone, write(state))
    for weight in backbone.weights:
        np.testing.assert_array_equal(weight, next(w for w in model.weights if w.path == weight.path))


@pytest.mark.once
def test_what_is_saved_is_read_by_torch_and_comes_back(upernet, peer, state, write, tmp_path):
    import torch

    model = upernet()
    load_checkpoint(model, write(state))
    save_checkpoint(model, tmp_path / "official.pth")
    saved = torch.load(tmp_path / "official.pth")["state_dict"]
    assert saved.keys() == {name for name in state if not name.endswith("num_batches_tracked")}
    assert all(torch.equal(saved[name], state[name]) for name in saved)
    save_checkpoint(model, tmp_path / "transformers.safetensors", layout="transformers")
    peer.model.load_state_dict(
        {k: torch.from_numpy(v) for k, v in read_arrays(tmp_path / "transformers.safetensors").items()}
    )
    with pytest.raises(ValueError, match="The layout timm has no such model"):
        save_checkpoint(model, tmp_path / "timm.pth", layout="timm")
    model.save(tmp_path / "model.keras")
    for name, layout in (
        ("official.pth", "official"),
        ("transformers.safetensors", "transformers"),
        ("model.keras", "keras_convnext"),
    ):
        again = upernet()
        assert load_checkpoint(again, tmp_path / name) == layout
        for one, other in zip(again.weights, model.weights, strict=True):
            np.testing.assert_array_equal(one, other)


@pytest.mark.once
def test_version_2_in_both_layouts(upernet, randomize, tmp_path):
    version = {"use_grn": True, "layer_scale_init_value": None}
    model = randomize(upernet(**version))
    for layout in ("official", "transformers"):
        save_checkpoint(model, tmp_path / f"{layout}.pth", layout=layout)
        again = upernet(**version)
        load_checkpoint(again, tmp_path / f"{layout}.pth")
        for one, other in zip(again.weights, model.weights, strict=True):
            np.testing.assert_array_equal(one, other)


@pytest.mark.once
def test_another_number_of_classes_leaves_the_last_layers_alone(upernet, state, write):
    model = upernet({"num_classes": 3})
    before = {weight.path: np.array(weight) for weight in model.weights}
    with pytest.warns(
        UserWarning, match="The checkpoint has 5 classes and the model 3: the model's last layers are unch"
    ):
        load_checkpoint(model, write(state))
    same = {weight.path for weight in model.weights if np.array_equal(weight, before[weight.path])}
    assert same == {f"{head}/{name}" for head in ("pixel_head", "auxiliary_pixel_head") for name in ("kernel", "bias")}


@pytest.mark.once
def test_an_auxiliary_head_that_one_side_has(upernet, state, write):
    with pytest.warns(UserWarning, match="The model has no auxiliary head: that of the checkpoint is left out"):
        load_checkpoint(upernet({"auxiliary_hidden_size": 0}), write(state))
    without = {name: value for name, value in state.items() if not name.startswith("auxiliary_head")}
    with pytest.warns(UserWarning, match="The checkpoint has no auxiliary head: the model's is unchanged"):
        load_checkpoint(upernet(), write(without))


@pytest.mark.once
def test_a_file_without_an_auxiliary_head_gives_a_model_without_one(tmp_path):
    model = UPerNet.from_preset("convnext_mini", 5, hidden_size=8, auxiliary_hidden_size=0)
    path = tmp_path / "upernet.safetensors"
    save_checkpoint(model, path)
    loaded = load_model(path)
    assert (loaded.auxiliary_hidden_size, loaded.auxiliary_output) == (0, None)
    for one, other in zip(loaded.weights, model.weights, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.once
def test_refuses_what_does_not_fit_and_leaves_the_model_as_it_was(upernet, state, write, small_classifier, tmp_path):
    import torch

    missing, extra = dict(state), {**state, "decode_head.lateral_convs.3.conv.weight": torch.ones(8, 4, 1, 1)}
    del missing["decode_head.fpn_bottleneck.bn.running_var"]
    partial = {name: value for name, value in state.items() if name != "auxiliary_head.convs.0.conv.weight"}
    wide = {**state, "decode_head.bottleneck.conv.weight": torch.ones(9, 48, 3, 3)}
    broken = {**state, "decode_head.conv_seg.bias": torch.full((5,), torch.nan)}
    model = upernet()
    before = model.get_weights()
    for other, message in (
        (
            missing,
            r"level_fusion/bottleneck/norm/moving_variance: not in the checkpoint, where it would be decode_head\.f",
        ),
        (extra, r"decode_head\.lateral_convs\.3\.conv\.weight: the model has no such weight"),
        (partial, "auxiliary_conv/conv/kernel: not in the checkpoint"),
        (wide, r"pyramid_pooling/bottleneck/conv/kernel: expected .* in decode_head\.bottleneck\.conv\.weight"),
        (broken, r"pixel_head/bias: decode_head\.conv_seg\.bias has NaN or Inf"),
    ):
        with pytest.raises(ValueError, match=message):
            load_checkpoint(model, write(other))
    save_checkpoint(small_classifier(), tmp_path / "classifier.pth")
    with pytest.raises(ValueError, match="Load the checkpoint of a classifier into the `backbone` of a UPerNet"):
        load_checkpoint(model, tmp_path / "classifier.pth")
    for one, other in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(one, other)


# === Presets


@pytest.mark.once
def test_the_six_of_the_authors_are_in_the_catalog():
    rows = json.loads((REFERENCE / "checkpoints.json").read_text())["downstream_fb"]
    urls = {row["file"].removesuffix(".pth"): row["url"] for row in rows if row["task"] == "ade20k"}
    models = json.loads((REFERENCE / "recipes.json").read_text())["recipes"]["segmentation_v1"]["models"]
    published = {(row["backbone"], row["crop"]): row["published"]["mIoU_ss"] for row in models}
    assert len(urls) == 6
    assert list_presets("upernet") == list(urls)
    for name, url in urls.items():
        variant, entry = find_preset(name)
        assert (entry.url, entry.license, entry.num_classes, entry.sha256) == (url, "MIT", 150, "")
        assert entry.miou == published[variant, entry.image_size]
        assert (entry.output, entry.is_classifier, entry.is_segmenter) == ("label map", False, True)
        assert name.endswith(f"_{entry.image_size}x{entry.image_size}")


@pytest.fixture
def published(monkeypatch, tmp_path):
    """The preset, on a small variant, with a file in the cache; returns the model in it."""
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    entry = replace(CHECKPOINTS[PRESET], variant="convnext_mini")
    monkeypatch.setitem(CHECKPOINTS, PRESET, entry)
    cached_path(entry).parent.mkdir(parents=True)
    model = UPerNet.from_preset("convnext_mini", 150, hidden_size=8, auxiliary_hidden_size=4)
    save_checkpoint(model, cached_path(entry))
    return model


@pytest.mark.once
def test_a_preset_by_name(published):
    for model in (
        UPerNet.from_preset(PRESET, hidden_size=8, auxiliary_hidden_size=4),
        load_model(PRESET),
        load_model(cached_path(CHECKPOINTS[PRESET])),
    ):
        assert isinstance(model, UPerNet)
        assert (model.num_classes, model.hidden_size, model.auxiliary_hidden_size) == (150, 8, 4)
        assert (model.backbone.preset, model.backbone.license) == (PRESET, "MIT")
        for one, other in zip(model.weights, published.weights, strict=True):
            np.testing.assert_array_equal(one, other)


@pytest.mark.once
def test_a_preset_for_other_models(published):
    backbone = ConvNeXtBackbone.from_preset(PRESET)
    np.testing.assert_array_equal(backbone.weights[0], published.weights[0])
    with pytest.warns(UserWarning, match="150 classes and the model 2"):
        UPerNet.from_preset(PRESET, num_classes=2, hidden_size=8, auxiliary_hidden_size=4)
    with pytest.raises(ValueError, match="is a checkpoint of semantic segmentation: `segmentation"):
        ConvNeXtClassifier.from_preset(PRESET)
    with pytest.raises(TypeError, match=r"unexpected argument `hiden_size`\. Did you mean `hidden_size`"):
        UPerNet.from_preset(PRESET, hiden_size=8)


@pytest.mark.once
def test_a_pretrained_backbone(monkeypatch, tmp_path):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    name = "convnext_atto.d2_in1k"
    monkeypatch.setitem(CHECKPOINTS, name, replace(CHECKPOINTS[name], variant="convnext_mini", sha256=""))
    pretrained = ConvNeXtClassifier.from_preset("convnext_mini", num_classes=1000)
    cached_path(CHECKPOINTS[name]).parent.mkdir(parents=True)
    save_checkpoint(pretrained, cached_path(CHECKPOINTS[name]), layout="timm")
    with pytest.warns(UserWarning, match="no norms of pyramid levels"):
        model = UPerNet.from_preset(name, num_classes=3, hidden_size=8, drop_path_rate=0.2)
    assert (model.num_classes, model.backbone.drop_path_rate) == (3, 0.2)
    np.testing.assert_array_equal(model.weights[0], pretrained.weights[0])


@pytest.mark.once
def test_the_classes_of_ade20k():
    classes = ade20k_classes()
    assert len(classes) == len({one.name for one in classes}) == 150
    assert [classes[index].name for index in (0, 12, 20, 149)] == ["wall", "person", "car", "flag"]
    assert [classes[index].color for index in (0, 2, 149)] == [(120, 120, 120), (6, 230, 230), (92, 0, 255)]
    assert all(0 <= value <= 255 for one in classes for value in one.color)
