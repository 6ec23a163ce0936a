"""Backbones with a norm for each level: those of transformers, of the authors' detection code, and DINOv3's."""

import warnings

import keras
import numpy as np
import pytest

from keras_convnext import ConvNeXtClassifier, load_checkpoint, save_checkpoint


def loaded_strictly(kind, config, folder):
    """A model of transformers from our file: it took every array, and lacked none."""
    peer, report = kind.from_pretrained(folder, config=config, output_loading_info=True)
    assert not any(report[problem] for problem in ("missing_keys", "unexpected_keys", "mismatched_keys")), report
    return peer.eval()


@pytest.fixture
def levels(numpy_of):
    """A function: the pyramid levels of a backbone."""
    return lambda model, images: list(numpy_of(keras.Model(model.input, model.pyramid_outputs), images).values())


@pytest.fixture
def for_transformers(small_backbone):
    """A function: a small backbone such as transformers has, and its sizes as their configurations take them."""

    def make(version="v1", **changes):
        changes = {"kernel_size": 7, "include_preprocessing": False, "input_shape": (64, 64, 3), **changes}
        model = small_backbone(version, **changes)
        return model, {"depths": list(model.depths), "hidden_sizes": list(model.dims)}

    return make


STAGES = ["stage1", "stage2", "stage3", "stage4"]


@pytest.mark.parametrize("kind", ["ConvNext", "ConvNextV2"])
def test_a_backbone_of_transformers(
    kind, transformers, randomized, run_torch, small_images, for_transformers, levels, assert_close, tmp_path
):
    model, sizes = for_transformers("v2" if kind == "ConvNextV2" else "v1", level_norm=True)
    config = getattr(transformers, f"{kind}Config")(**sizes, out_features=STAGES)
    peer = randomized(getattr(transformers, f"{kind}Backbone")(config))
    peer.save_pretrained(tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert load_checkpoint(model, tmp_path / "model.safetensors") == "transformers"
    expected = run_torch(lambda x: peer(x).feature_maps, small_images)
    assert_close(levels(model, small_images), expected)
    save_checkpoint(model, tmp_path / "model.safetensors", layout="transformers")
    again = loaded_strictly(type(peer), config, tmp_path)
    assert_close(run_torch(lambda x: again(x).feature_maps, small_images), expected)


@pytest.mark.parametrize("chosen", [["stage4"], ["stem", "stage2", "stage4"]])
def test_a_backbone_of_transformers_with_some_of_the_levels(
    chosen, transformers, randomized, run_torch, small_images, for_transformers, levels, assert_close, tmp_path
):
    model, sizes = for_transformers(level_norm=True)
    peer = randomized(transformers.ConvNextBackbone(transformers.ConvNextConfig(**sizes, out_features=chosen)))
    peer.save_pretrained(tmp_path)
    with pytest.warns(UserWarning) as caught:
        load_checkpoint(model, tmp_path / "model.safetensors")
    said = " ".join(str(warning.message) for warning in caught)
    lacking = [f"stage_{number}_norm" for number, stage in enumerate(STAGES) if stage not in chosen]
    assert f"has no norms of pyramid levels for {', '.join(lacking)}: the model's are unchanged" in said
    assert ("no pyramid levels for hidden_states_norms.stem.weight" in said) == ("stem" in chosen)
    expected = run_torch(lambda x: peer(x).feature_maps, small_images)[-len(set(chosen) & set(STAGES)) :]
    found = [level for stage, level in zip(STAGES, levels(model, small_images), strict=True) if stage in chosen]
    assert_close(found, expected)


def test_a_dilated_network_in_which_one_level_has_no_norm(transformers, randomized, for_transformers, tmp_path):
    model, sizes = for_transformers(level_norm=(0, 1, 3), output_stride=16)
    peer = randomized(transformers.ConvNextBackbone(transformers.ConvNextConfig(**sizes, out_features=STAGES)))
    peer.save_pretrained(tmp_path)
    with pytest.warns(
        UserWarning, match=r"no pyramid levels for hidden_states_norms\.stage3\.weight, .*bias: they are"
    ):
        load_checkpoint(model, tmp_path / "model.safetensors")
    np.testing.assert_array_equal(
        model.get_layer("stage_3_norm").gamma, peer.hidden_states_norms.stage4.weight.detach()
    )


def test_norms_of_levels_need_a_model_with_levels(transformers, for_transformers, small_classifier, tmp_path):
    model, sizes = for_transformers()
    transformers.ConvNextBackbone(transformers.ConvNextConfig(**sizes, out_features=STAGES)).save_pretrained(tmp_path)
    with pytest.raises(
        ValueError, match=r"hidden_states_norms\.stage1\.weight: .* no such weight \(level_norm=True has"
    ):
        load_checkpoint(model, tmp_path / "model.safetensors")
    with pytest.raises(ValueError, match="both a head and norms of pyramid levels: save the model's `backbone`"):
        save_checkpoint(small_classifier(level_norm=True), tmp_path / "other.safetensors", layout="transformers")


def test_the_authors_backbone_for_detection(
    timm, torch, randomized, run_torch, small_images, small_backbone, levels, assert_close, tmp_path
):
    """timm's blocks with the names and norms of the authors' detection backbone; the detector's file has more."""
    sizes = {"depths": (1, 1, 2, 1), "dims": (8, 16, 24, 32)}
    peer = randomized(timm.models.convnext.ConvNeXt(**sizes, kernel_sizes=3, num_classes=0, ls_init_value=1.0))
    norms = randomized(torch.nn.ModuleList(torch.nn.LayerNorm(dim, eps=1e-6) for dim in sizes["dims"]))
    state = {name: value for name, value in peer.state_dict().items() if not name.startswith("head.norm")}
    for theirs, ours in (
        ("conv_dw", "dwconv"),
        ("mlp.fc", "pwconv"),
        (".blocks.", "."),
        ("stem.", "downsample_layers.0."),
        *((f"stages.{stage}.downsample.", f"downsample_layers.{stage}.") for stage in (1, 2, 3)),
    ):
        state = {name.replace(theirs, ours): value for name, value in state.items()}
    state |= {f"norm{name}": value for name, value in norms.state_dict().items()}
    torch.save({"state_dict": state}, tmp_path / "backbone.pth")
    detector = {f"backbone.{name}": value for name, value in state.items()}
    detector |= {name: torch.ones(3) for name in ("neck.fpn.weight", "rpn_head.conv.weight", "roi_head.bbox.bias")}
    torch.save({"meta": {"epoch": 36}, "state_dict": detector}, tmp_path / "detector.pth")

    def run(x):
        maps = peer.forward_intermediates(x, intermediates_only=True)
        return [norm(y.permute(0, 2, 3, 1)).permute(0, 3, 1, 2) for norm, y in zip(norms, maps, strict=True)]

    expected = run_torch(run, small_images)
    for name in ("backbone.pth", "detector.pth"):
        model = small_backbone(level_norm=True, include_preprocessing=False, input_shape=(64, 64, 3))
        assert load_checkpoint(model, tmp_path / name) == "official"
        assert_close(levels(model, small_images), expected)
    save_checkpoint(model, tmp_path / "ours.pth", layout="official")
    saved = torch.load(tmp_path / "ours.pth", weights_only=True)["model"]
    assert saved.keys() == state.keys()
    assert all(torch.equal(saved[name], state[name]) for name in state)


@pytest.mark.parametrize("prefix", ["", "model."])
def test_dinov3(
    prefix, transformers, torch, randomized, run_torch, small_images, for_transformers, levels, assert_close, tmp_path
):
    """With the names that transformers' model has, and those in its files."""
    backbone, sizes = for_transformers()
    model = ConvNeXtClassifier(backbone, num_classes=0)
    config = transformers.DINOv3ConvNextConfig(**sizes)
    peer = randomized(transformers.DINOv3ConvNextModel(config))
    if prefix:
        torch.save(peer.state_dict(), tmp_path / "theirs.pth")
    else:
        peer.save_pretrained(tmp_path)
    assert load_checkpoint(model, tmp_path / ("theirs.pth" if prefix else "model.safetensors")) == "dinov3"

    def run(x):
        found = peer(x, output_hidden_states=True)
        return [found.pooler_output, *found.hidden_states[-4:]]

    expected = run_torch(run, small_images)
    assert_close([model.predict(small_images, verbose=0), *levels(backbone, small_images)], expected)
    save_checkpoint(model, tmp_path / "model.safetensors", layout="dinov3")
    config.save_pretrained(tmp_path)
    again = loaded_strictly(transformers.DINOv3ConvNextModel, config, tmp_path)
    for name, value in peer.state_dict().items():
        assert torch.equal(again.state_dict()[name], value), name


def test_a_backbone_of_dinov3(transformers, randomized, for_transformers, small_classifier, tmp_path):
    model, sizes = for_transformers()
    config = transformers.DINOv3ConvNextConfig(**sizes, out_features=STAGES)
    peer = randomized(transformers.DINOv3ConvNextBackbone(config))
    peer.save_pretrained(tmp_path)
    assert load_checkpoint(model, tmp_path / "model.safetensors") == "dinov3"
    save_checkpoint(model, tmp_path / "model.safetensors", layout="dinov3")
    loaded_strictly(transformers.DINOv3ConvNextBackbone, config, tmp_path)
    with pytest.raises(ValueError, match="The layout dinov3 has no such model: it lacks head/kernel, head/bias"):
        save_checkpoint(small_classifier(), tmp_path / "other.safetensors", layout="dinov3")


def test_dinov3s_own_files(torch, small_backbone, randomize, tmp_path):
    """They have the authors' names, and the last norm twice."""
    model, other = (ConvNeXtClassifier(small_backbone(), num_classes=0) for _ in range(2))
    save_checkpoint(randomize(model), tmp_path / "model.pth")
    state = torch.load(tmp_path / "model.pth", weights_only=True)["model"]
    torch.save(
        {**state, "norms.3.weight": state["norm.weight"], "norms.3.bias": state["norm.bias"]}, tmp_path / "x.pth"
    )
    assert load_checkpoint(other, tmp_path / "x.pth") == "official"
    for weight, exact in zip(other.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(weight, exact)
