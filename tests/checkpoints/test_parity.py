"""Logits and all pyramid levels against the models of other packages, from their checkpoints; and ours in theirs."""

import warnings

import h5py
import keras
import numpy as np
import pytest

from keras_convnext import ConvNeXtBackbone, ConvNeXtClassifier, load_checkpoint, save_checkpoint
from keras_convnext.checkpoints import identify, read_arrays

TIMM = [
    *("convnext_tiny", "convnext_atto_ols", "convnext_nano_ols", "convnext_tiny_hnf", "convnextv2_atto"),
    *("convnext_zepto_rms", "convnext_zepto_rms_ols", "convnext_atto_rms"),
    *("test_convnext", "test_convnext2", "test_convnext3"),
]
HEAVY_TIMM = [pytest.param(name, marks=pytest.mark.slow) for name in ("convnextv2_base", "convnext_large_mlp")]
SIZES = ["Tiny", *(pytest.param(size, marks=pytest.mark.slow) for size in ("Small", "Base", "Large", "XLarge"))]


def stages_of_timm(model):
    return lambda x: [model(x), *model.forward_intermediates(x, intermediates_only=True)]


def check_and_return(model, peer, layout, tmp_path, torch, wrapper=None):
    """Our weights in a file of the peer's: it takes all of them, and they are those that it had, to the bit."""
    path = tmp_path / "ours.pth"
    save_checkpoint(model, path, layout=layout)
    state = torch.load(path, weights_only=True)
    state = state[wrapper] if wrapper else state
    theirs = peer.state_dict()
    assert state.keys() == theirs.keys()
    for name, value in theirs.items():
        assert torch.equal(state[name], value), name


@pytest.mark.parametrize("variant", [*TIMM, *HEAVY_TIMM])
def test_timm(variant, timm, torch, randomized, run_torch, small_images, classifier, outputs, assert_close, tmp_path):
    peer = randomized(timm.create_model(variant, num_classes=10))
    torch.save(peer.state_dict(), tmp_path / "theirs.pth")
    assert identify(read_arrays(tmp_path / "theirs.pth")) == (variant, 10)
    model = classifier(variant)
    assert load_checkpoint(model, tmp_path / "theirs.pth") == "timm"
    assert_close(outputs(model, small_images), run_torch(stages_of_timm(peer), small_images))
    check_and_return(model, peer, "timm", tmp_path, torch)


# Arguments of timm's ConvNeXt that no variant has together, and ours.
SHARED = {"depths": (1, 1, 2, 1), "dims": (8, 16, 24, 32)}
CUSTOM = {
    "kernel sizes, no biases": ({"kernel_sizes": (3, 5, 7, 9)}, {"kernel_size": (3, 5, 7, 9)}, {}),
    "rms, dilated, v2": (
        {"norm_layer": "rmsnorm", "act_layer": "relu", "output_stride": 8, "use_grn": True, "ls_init_value": None},
        {
            **{"norm": "rms_norm", "hidden_activation": "relu", "output_stride": 8},
            **{"use_grn": True, "layer_scale_init_value": None},
        },
        {},
    ),
    "simple, overlapping": (
        {"norm_layer": "simplenorm", "act_layer": "silu", "stem_type": "overlap_act", "conv_mlp": True},
        {"norm": "simple_norm", "hidden_activation": "silu", "stem": "overlap_act"},
        {},
    ),
    "head norm first": (
        {"norm_layer": "rmsnorm2d", "norm_eps": 1e-3, "head_norm_first": True, "conv_mlp": True, "kernel_sizes": 3},
        {"norm": "rms_norm", "norm_eps": 1e-3, "kernel_size": 3},
        {"head_norm_first": True},
    ),
}


@pytest.mark.parametrize("name", CUSTOM)
def test_timm_with_other_arguments(
    name, timm, torch, randomized, run_torch, small_images, outputs, assert_close, tmp_path
):
    theirs, ours, head = CUSTOM[name]
    peer = randomized(timm.models.convnext.ConvNeXt(num_classes=10, conv_bias=False, **SHARED, **theirs))
    torch.save(peer.state_dict(), tmp_path / "theirs.pth")
    backbone = ConvNeXtBackbone(**SHARED, **ours, conv_bias=False, include_preprocessing=False, input_shape=(64, 64, 3))
    model = ConvNeXtClassifier(backbone, 10, **head)
    assert load_checkpoint(model, tmp_path / "theirs.pth") == "timm"
    if "output_stride" in ours:  # the levels of one stride are one level here
        assert_close(outputs(model, small_images)[:1], run_torch(lambda x: [peer(x)], small_images))
    else:
        assert_close(outputs(model, small_images), run_torch(stages_of_timm(peer), small_images))
    check_and_return(model, peer, "timm", tmp_path, torch)


@pytest.mark.parametrize(
    "variant", ["convnext_tiny", "convnextv2_atto", pytest.param("convnextv2_base", marks=pytest.mark.slow)]
)
def test_transformers(
    variant, transformers, torch, randomized, run_torch, small_images, classifier, outputs, assert_close, tmp_path
):
    model = classifier(variant)
    kind = "ConvNextV2" if model.backbone.use_grn else "ConvNext"
    config = getattr(transformers, f"{kind}Config")(
        depths=model.backbone.depths, hidden_sizes=model.backbone.dims, num_labels=10, image_size=64
    )
    peer = randomized(getattr(transformers, f"{kind}ForImageClassification")(config))
    peer.save_pretrained(tmp_path)
    assert load_checkpoint(model, tmp_path / "model.safetensors") == "transformers"

    def stages(x):
        found = peer(x, output_hidden_states=True)
        return [found.logits, *found.hidden_states[1:]]

    assert_close(outputs(model, small_images), run_torch(stages, small_images))
    check_and_return(model, peer, "transformers", tmp_path, torch)


def test_a_base_model_of_transformers(transformers, torch, randomized, classifier, tmp_path):
    model = classifier("convnext_tiny")
    config = transformers.ConvNextConfig(depths=model.backbone.depths, hidden_sizes=model.backbone.dims)
    peer = randomized(transformers.ConvNextModel(config))
    peer.save_pretrained(tmp_path)
    with pytest.warns(UserWarning, match="of the model head stay as they are"):
        assert load_checkpoint(model, tmp_path / "model.safetensors") == "transformers"
    np.testing.assert_array_equal(model.get_layer("head_norm").gamma, peer.layernorm.weight.detach())


def test_torchvision(
    torchvision, torch, randomized, run_torch, small_images, classifier, outputs, assert_close, tmp_path
):
    peer = randomized(torchvision.models.convnext_tiny(num_classes=10))
    torch.save(peer.state_dict(), tmp_path / "theirs.pth")
    model = classifier("convnext_tiny")
    assert load_checkpoint(model, tmp_path / "theirs.pth") == "torchvision"

    def stages(x):
        maps = [peer(x)]
        for number, feature in enumerate(peer.features):
            x = feature(x)
            maps += [x] if number % 2 else []
        return maps

    assert_close(outputs(model, small_images), run_torch(stages, small_images))
    check_and_return(model, peer, "torchvision", tmp_path, torch)


def test_isotropic(timm, torch, randomized, run_torch, small_images, classifier, outputs, assert_close, tmp_path):
    """The authors' isotropic model has names of its own; its blocks are those of timm."""
    from timm.models.convnext import ConvNeXtBlock

    class Isotropic(torch.nn.Module):
        def __init__(self, depth, dim):
            super().__init__()
            self.stem = torch.nn.Conv2d(3, dim, 16, 16)
            self.blocks = torch.nn.Sequential(*(ConvNeXtBlock(dim, ls_init_value=None) for _ in range(depth)))
            self.norm = torch.nn.LayerNorm(dim, eps=1e-6)
            self.head = torch.nn.Linear(dim, 10)

        def forward(self, x):
            x = self.blocks(self.stem(x))
            return [self.head(self.norm(x.mean((2, 3)))), x]

    peer = randomized(Isotropic(18, 384))
    official = {"conv_dw": "dwconv", "mlp.fc": "pwconv"}
    state = {}
    for name, value in peer.state_dict().items():
        for theirs, ours in official.items():
            name = name.replace(theirs, ours)
        state[name] = value
    torch.save({"model": state, "epoch": 3}, tmp_path / "theirs.pth")
    model = classifier("convnext_isotropic_small")
    assert load_checkpoint(model, tmp_path / "theirs.pth") == "official"
    assert_close(outputs(model, small_images), run_torch(peer, small_images))
    save_checkpoint(model, tmp_path / "ours.pth")
    saved = torch.load(tmp_path / "ours.pth", weights_only=True)["model"]
    assert saved.keys() == state.keys()
    assert all(torch.equal(saved[name], state[name]) for name in state)


@pytest.mark.parametrize("variant", ["convnext_tiny", "convnextv2_atto"])
def test_official(
    variant, timm, torch, with_random_weights, run_torch, small_images, classifier, outputs, assert_close, tmp_path
):
    """timm's model with the authors' names, as timm's own conversion has them."""
    from timm.models.convnext import checkpoint_filter_fn

    donor = with_random_weights(classifier(variant))
    peer = timm.create_model(variant, num_classes=10)
    save_checkpoint(donor, tmp_path / "official.pth")
    state = torch.load(tmp_path / "official.pth", weights_only=True)["model"]
    peer.load_state_dict(checkpoint_filter_fn(state, peer))
    peer.eval()
    model = classifier(variant)
    assert load_checkpoint(model, tmp_path / "official.pth") == "official"
    assert_close(outputs(model, small_images), run_torch(stages_of_timm(peer), small_images))


@pytest.mark.parametrize("size", SIZES)
def test_keras_applications(
    size, with_random_weights, small_images, classifier, outputs, numpy_of, assert_close, tmp_path
):
    def build():
        return getattr(keras.applications, f"ConvNeXt{size}")(
            weights=None,
            include_preprocessing=False,
            classifier_activation=None,
            classes=10,
            input_shape=(64, 64, 3),
            name=f"convnext_{size.lower()}",
        )

    model = with_random_weights(classifier(f"convnext_{size.lower()}"))
    peer = build()
    save_checkpoint(model, tmp_path / "ours.h5", layout="keras.applications")
    peer.load_weights(tmp_path / "ours.h5")
    stages = [peer.get_layer(f"convnext_{size.lower()}_downsampling_block_{number}") for number in range(3)]
    maps = [layer._inbound_nodes[-1].input_tensors[0] for layer in stages]
    gap = peer.get_layer(f"convnext_{size.lower()}_head_gap")
    expected = numpy_of(keras.Model(peer.input, [peer.output, *maps, gap.input]), small_images)
    again = classifier(f"convnext_{size.lower()}")
    assert load_checkpoint(again, tmp_path / "ours.h5") == "keras.applications"
    assert_close(outputs(again, small_images), expected)
    for weight, other in zip(model.weights, again.weights, strict=True):
        np.testing.assert_array_equal(weight, other)


def test_keras_applications_without_a_top(classifier, tmp_path):
    """Its last norm has no name of its own."""
    from keras.src.legacy.saving import legacy_h5_format

    peer = keras.applications.ConvNeXtTiny(
        weights=None, include_top=False, pooling="avg", input_shape=(64, 64, 3), name="convnext_tiny"
    )
    for weight in peer.weights:
        weight.assign(np.full(weight.shape, 0.1, "float32"))
    with h5py.File(tmp_path / "notop.h5", "w") as file:
        legacy_h5_format.save_weights_to_hdf5_group(file, peer)
    model = classifier("convnext_tiny")
    with pytest.warns(UserWarning, match="of the model head stay as they are"):
        assert load_checkpoint(model, tmp_path / "notop.h5") == "keras.applications"
    for weight in model.weights[:-2]:
        np.testing.assert_array_equal(weight, np.full(weight.shape, 0.1, "float32"), err_msg=weight.path)


def remapped(state):
    """The encoder of a masked pre-training as a classifier's weights, as the V2 authors' fine-tuning does it."""
    found = {}
    for name, value in state.items():
        if any(part in name for part in ("decoder", "mask_token", "proj", "pred")):
            continue
        name = name.removeprefix("encoder.").replace(".ln.", ".").replace(".linear.", ".")
        if name.endswith(".kernel"):
            name, side = name.replace(".kernel", ".weight"), int(len(value) ** 0.5)
            value = value.permute(*reversed(range(value.ndim)))
            inputs = value.shape[1] if value.ndim == 3 else 1
            value = value.reshape(len(value), inputs, side, side).transpose(3, 2)
        elif name.endswith(".bias") and value.ndim == 2:
            value = value.flatten()
        found[name] = value[None, None] if "grn" in name and value.ndim == 2 else value
    return found


def test_fcmae(torch, small_backbone, randomize, tmp_path):
    model, other = randomize(small_backbone("v2")), small_backbone("v2")
    for layout in ("fcmae", "official"):
        save_checkpoint(model, tmp_path / f"{layout}.pth", layout)
    sparse, dense = (torch.load(tmp_path / f"{name}.pth", weights_only=True)["model"] for name in ("fcmae", "official"))
    assert sparse["encoder.stages.0.0.dwconv.kernel"].shape == (9, 8)
    assert sparse["encoder.downsample_layers.1.1.kernel"].shape == (4, 8, 16)
    assert sparse["encoder.stages.0.0.grn.gamma"].shape == (1, 32)
    found = remapped(sparse)
    assert found.keys() == dense.keys()
    assert all(torch.equal(found[name].reshape(dense[name].shape), dense[name]) for name in dense)
    decoder = {"mask_token": torch.ones(1, 8, 1, 1), "decoder.0.norm.weight": torch.ones(3), "proj.bias": torch.ones(8)}
    torch.save({"model": {**sparse, **decoder}}, tmp_path / "with_decoder.pth")
    assert load_checkpoint(other, tmp_path / "with_decoder.pth") == "fcmae"
    for weight, exact in zip(other.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(weight, exact)


# === Backbones with a norm for each level, and DINOv3


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
    assert f"has no norms of pyramid levels for {', '.join(lacking)}: the model's stay" in said
    assert ("no pyramid levels for hidden_states_norms.stem.weight" in said) == ("stem" in chosen)
    expected = run_torch(lambda x: peer(x).feature_maps, small_images)[-len(set(chosen) & set(STAGES)) :]
    found = [level for stage, level in zip(STAGES, levels(model, small_images), strict=True) if stage in chosen]
    assert_close(found, expected)


def test_levels_that_share_a_stride(transformers, randomized, for_transformers, tmp_path):
    """The later of the two has the level, and the norm."""
    model, sizes = for_transformers(level_norm=True, output_stride=16)
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
