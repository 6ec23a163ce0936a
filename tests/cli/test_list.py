"""`list`: the names of the presets."""

import inspect
import json

import pytest

from keras_convnext import ConvNeXtBackbone, ConvNeXtClassifier
from keras_convnext.checkpoints import CHECKPOINTS
from keras_convnext.variants import VARIANTS


def test_lists_all(cli):
    result = cli("list")
    assert result.code == 0
    architectures, weights = (part.splitlines() for part in result.out.split("\n\n"))
    assert architectures[0].split() == ["architecture", "depths", "dims", "source"]
    assert [row.split()[0] for row in architectures[1:]] == list(VARIANTS)
    assert weights[0].split()[:5] == ["weights", "pixels", "classes", "top-1", "top-5"]
    assert [row.split()[0] for row in weights[1:]] == list(CHECKPOINTS)


def test_a_row_has_depths_dims_and_source(cli):
    row = cli("list", "convnext_tiny").out.splitlines()[1]
    assert row.split()[:3] == ["convnext_tiny", "3-3-9-3", "96-192-384-768"]
    assert "arXiv:2201.03545" in row


@pytest.mark.parametrize(
    "row",
    [
        ["convnext_tiny_1k_224_ema", "224", "1000", "82.10", "MIT"],
        ["convnextv2_huge_22k_512_ema", "512", "1000", "88.90", "CC-BY-NC-4.0"],
        ["convnextv2_atto_1k_224_fcmae", "224", "0", "CC-BY-NC-4.0"],
        ["convnext_atto.d2_in1k", "224", "1000", "75.67", "92.91", "Apache-2.0"],
    ],
)
def test_a_row_of_weights_has_their_facts_and_licence(cli, row):
    assert cli("list", row[0]).out.splitlines()[1].split() == row


@pytest.mark.parametrize(
    "pattern, names",
    [
        ("convnext_isotropic*", ["convnext_isotropic_small", "convnext_isotropic_base", "convnext_isotropic_large"]),
        ("convnext_[!z]*_ol?", ["convnext_atto_ols", "convnext_femto_ols", "convnext_pico_ols", "convnext_nano_ols"]),
        ("convnext_mini", ["convnext_mini"]),
        ("torchvision/*", [f"torchvision/convnext_{size}" for size in ("tiny", "small", "base", "large")]),
    ],
)
@pytest.mark.parametrize("option", [[], ["--json"]])
def test_lists_what_matches(cli, pattern, names, option):
    result = cli("list", pattern, *option)
    assert result.code == 0
    listed = [fact["name"] for fact in json.loads(result.out)] if option else result.out.splitlines()[1:]
    assert [row.split()[0] for row in listed] == names


def test_json_has_the_arguments_of_the_backbone(cli):
    (fact,) = json.loads(cli("list", "convnextv2_atto", "--json").out)
    models = (ConvNeXtBackbone, ConvNeXtClassifier)
    arguments = {name for model in models for name in inspect.signature(model.__init__).parameters}
    assert fact.keys() - arguments == {"source"}
    assert (fact["name"], fact["depths"], fact["dims"]) == ("convnextv2_atto", [2, 2, 6, 2], [40, 80, 160, 320])
    assert fact["use_grn"] is True
    assert fact["layer_scale_init_value"] is None
    assert "arXiv:2301.00808" in fact["source"]


def test_json_has_the_facts_of_weights(cli):
    (fact,) = json.loads(cli("list", "torchvision/convnext_tiny", "--json").out)
    assert (fact["variant"], fact["top1"], fact["sha256"]) == ("convnext_tiny", 82.52, "983f1562")
    assert fact["cached_path"].endswith("convnext_tiny-983f1562.pth")


@pytest.mark.parametrize("option", [[], ["--json"]])
def test_refuses_a_pattern_that_nothing_matches(refusal, option):
    assert "no preset matches 'resnet*'" in refusal("list", "resnet*", *option)
