"""The blocks of Figure 4 against torchvision's: what torch counts in them, and what they call."""

import pytest
import torch

from keras_convnext.extras import import_torchvision
from keras_convnext.roadmap.blocks import SIDE, blocks, totals
from keras_convnext.roadmap.blocks_figure import draw_blocks


@pytest.fixture(scope="module")
def theirs():
    """torchvision's blocks of the first stage, by name, each with an input."""
    models = import_torchvision().models
    return {
        "ResNet": (models.resnet50().layer1[1], torch.zeros(1, 256, SIDE, SIDE)),
        "Swin Transformer": (models.swin_t().features[1][0], torch.zeros(1, SIDE, SIDE, 96)),
        "ConvNeXt": (models.convnext_tiny().features[1][0], torch.zeros(1, 96, SIDE, SIDE)),
    }


@pytest.fixture(scope="module")
def ours():
    return {block.name: block for block in blocks()}


NAMES = ("ResNet", "Swin Transformer", "ConvNeXt")


@pytest.mark.parametrize("name", NAMES)
def test_costs_what_torchvisions_costs(ours, theirs, macs_in_torch, name):
    block, x = theirs[name]
    params = {key: parameter.numel() for key, parameter in block.named_parameters() if key != "layer_scale"}
    assert ours[name].params == sum(params.values())
    assert ours[name].macs == macs_in_torch(block, x)


@pytest.mark.parametrize("name", NAMES)
def test_has_the_norms_and_activations_of_torchvisions(ours, theirs, calls_in_torch, name):
    """Each call counts: ResNet's has one ReLU module, called three times."""
    calls = calls_in_torch(*theirs[name])
    assert ours[name].count("norm") == sum(calls[kind] for kind in ("BatchNorm2d", "LayerNorm"))
    assert ours[name].count("activation") == sum(calls[kind] for kind in ("ReLU", "GELU"))


def test_parts_stand_as_in_the_papers_figure(ours):
    labels = {name: [part.label for part in block.parts] for name, block in ours.items()}
    bottleneck = ["1x1, 64", "BN", "ReLU", "3x3, 64", "BN", "ReLU", "1x1, 256", "BN", "+", "ReLU"]
    attention = [
        "LN",
        "1x1, 288",
        "queries x keys, 3 heads",
        "relative positions",
        "weights x values, 3 heads",
        "1x1, 96",
        "+",
    ]
    assert labels == {
        "ResNet": bottleneck,
        "Swin Transformer": [*attention, "LN", "1x1, 384", "GELU", "1x1, 96", "+"],
        "ConvNeXt": ["d7x7, 96", "LN", "1x1, 384", "GELU", "1x1, 96", "+"],
    }
    begins = {name: [part.begin for part in block.parts if part.kind == "sum"] for name, block in ours.items()}
    assert begins == {"ResNet": [0], "Swin Transformer": [0, 7], "ConvNeXt": [0]}


def test_one_line_says_what_a_block_takes(ours):
    assert totals(ours["ConvNeXt"]) == "246.0 M MACs, 79,200 parameters, 1 norm, 1 activation"


def test_the_same_whatever_keras_json_says(ours, channels_first_globally):
    assert {block.name: totals(block) for block in blocks()} == {name: totals(block) for name, block in ours.items()}


def test_draws(ours, tmp_path):
    draw_blocks(list(ours.values()), tmp_path / "blocks.svg")
    text = (tmp_path / "blocks.svg").read_text()
    assert text.startswith("<?xml")
    assert all(name in text for name in NAMES)
