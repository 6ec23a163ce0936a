"""Logits and all pyramid levels against the models of other packages, from their checkpoints; and ours in theirs."""

import h5py
import keras
import numpy as np
import pytest

from keras_convnext import ConvNeXtBackbone, ConvNeXtClassifier, load_checkpoint, save_checkpoint
from keras_convnext.checkpoints import identify, read_arrays

TIMM = ["convnext_atto_ols", "convnextv2_atto", "test_convnext", "test_convnext3"]
# What these have, one of the others has too, or one of CUSTOM.
ONCE_TIMM = [
    pytest.param(name, marks=pytest.mark.once)
    for name in (
        *("convnext_tiny", "convnext_nano_ols", "convnext_zepto_rms_ols", "test_convnext2"),
        *("convnext_tiny_hnf", "convnext_zepto_rms", "convnext_atto_rms"),
    )
]
HEAVY_TIMM = [pytest.param(name, marks=pytest.mark.slow) for name in ("convnextv2_base", "convnext_large_mlp")]
SIZES = [
    pytest.param("Tiny", marks=pytest.mark.once),
    *(pytest.param(size, marks=pytest.mark.slow) for size in ("Small", "Base", "Large", "XLarge")),
]


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


@pytest.mark.parametrize("variant", [*TIMM, *ONCE_TIMM, *HEAVY_TIMM])
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
    assert_close(outputs(model, small_images), run_torch(stages_of_timm(peer), small_images))
    check_and_return(model, peer, "timm", tmp_path, torch)


@pytest.mark.parametrize(
    "variant",
    [
        pytest.param("convnext_tiny", marks=pytest.mark.once),
        "convnextv2_atto",
        pytest.param("convnextv2_base", marks=pytest.mark.slow),
    ],
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
    with pytest.warns(UserWarning, match="parts of the model are unchanged: head"):
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
    """The authors' isotropic model has other names; its blocks are those of timm."""
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
    """Keras numbers the name of its last norm."""
    from keras.src.legacy.saving import legacy_h5_format

    peer = keras.applications.ConvNeXtTiny(
        weights=None, include_top=False, pooling="avg", input_shape=(64, 64, 3), name="convnext_tiny"
    )
    for weight in peer.weights:
        weight.assign(np.full(weight.shape, 0.1, "float32"))
    with h5py.File(tmp_path / "notop.h5", "w") as file:
        legacy_h5_format.save_weights_to_hdf5_group(file, peer)
    model = classifier("convnext_tiny")
    with pytest.warns(UserWarning, match="parts of the model are unchanged: head"):
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
