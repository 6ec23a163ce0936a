"""A small UPerNet, and the same one of transformers."""

from types import SimpleNamespace

import numpy as np
import pytest

from keras_convnext import ConvNeXtBackbone
from keras_convnext.segmentation import UPerNet

SIZES = {"depths": (1, 1, 2, 1), "dims": (4, 8, 12, 16)}
HEADS = {"num_classes": 5, "hidden_size": 8, "auxiliary_hidden_size": 4}
STAGES = ["stage1", "stage2", "stage3", "stage4"]


@pytest.fixture
def upernet():
    """A factory: `upernet(heads={...}, **changes of the backbone)`, for normalized images."""

    def make(heads=None, **changes):
        backbone = ConvNeXtBackbone(**{**SIZES, "level_norm": True, "include_preprocessing": False, **changes})
        return UPerNet(backbone, **{**HEADS, **(heads or {})})

    return make


@pytest.fixture
def smallest(upernet):
    """A factory: the same with two levels, small kernels, and two scales of pooling."""

    def make(heads=None, **changes):
        return upernet({"pool_scales": (1, 2), **(heads or {})}, depths=(1, 1), dims=(4, 8), kernel_size=3, **changes)

    return make


@pytest.fixture
def randomize(rng):
    """A function that gives every weight of a model a new random value, none of them 0, 1 or 1e-6, and returns it."""

    def set_weights(model, deviation=0.3):
        for weight in model.weights:
            values = deviation * rng.normal(size=weight.shape)
            start = 1.0 if weight.path.endswith(("gamma", "moving_variance")) else 0.0
            weight.assign((start + (abs(values) if "variance" in weight.path else values)).astype("float32"))
        return model

    return set_weights


@pytest.fixture(scope="session")
def peer():
    """The model of transformers with random weights and statistics, as `model`; `logits(images)` gives both outputs."""
    from keras_convnext.extras import import_torchvision

    import_torchvision()
    import torch
    import transformers

    config = transformers.UperNetConfig(
        backbone_config=transformers.ConvNextConfig(
            depths=list(SIZES["depths"]), hidden_sizes=list(SIZES["dims"]), out_features=STAGES
        ),
        hidden_size=8,
        auxiliary_channels=4,
        auxiliary_in_channels=12,
        num_labels=5,
    )
    model = transformers.UperNetForSemanticSegmentation(config).eval()
    generator = torch.Generator().manual_seed(0)
    for name, weight in model.state_dict().items():
        if "running_var" in name:
            weight.copy_(0.5 + torch.rand(weight.shape, generator=generator))
        elif weight.is_floating_point():
            start = 1.0 if name.endswith("norm.weight") else 0.0
            weight.copy_(start + 0.3 * torch.randn(weight.shape, generator=generator))

    def logits(images):
        with torch.no_grad():
            x = torch.from_numpy(images.transpose(0, 3, 1, 2).copy())
            auxiliary = model.auxiliary_head(model.backbone(x).feature_maps)
            auxiliary = torch.nn.functional.interpolate(auxiliary, size=x.shape[2:], mode="bilinear")
            return [y.numpy().transpose(0, 2, 3, 1) for y in (model(x).logits, auxiliary)]

    return SimpleNamespace(model=model, logits=logits)


@pytest.fixture
def peer_file(peer, tmp_path):
    """The path of a file with the weights of `peer`, as torch saves them."""
    import torch

    torch.save(peer.model.state_dict(), tmp_path / "peer.pth")
    return tmp_path / "peer.pth"


@pytest.fixture
def normalized(rng):
    """A function: random normalized images, `normalized(batch, height, width)`."""
    return lambda *shape: rng.normal(size=(*shape, 3)).astype("float32")


@pytest.fixture
def label_maps(rng):
    """A function: random label maps of five classes, a part of each not annotated."""

    def make(*shape):
        labels = rng.integers(0, 5, shape).astype("uint8")
        labels[:, : shape[1] // 4] = 255
        return labels

    return make


@pytest.fixture
def assert_same():
    """A function: holds an array against an expected one, to 1e-4; its values must not be all alike."""

    def check(found, expected):
        assert np.std(expected) > 0.01
        np.testing.assert_allclose(found, expected, atol=1e-4, rtol=1e-4)

    return check
