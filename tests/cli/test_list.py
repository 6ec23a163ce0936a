"""`list`: the names of the presets."""

import inspect
import json

import pytest

from keras_convnext import ConvNeXtBackbone, ConvNeXtClassifier
from keras_convnext.variants import VARIANTS


def test_lists_all(cli):
    result = cli("list")
    assert result.code == 0
    header, *rows = result.out.splitlines()
    assert header.split() == ["name", "depths", "dims", "source"]
    assert [row.split()[0] for row in rows] == list(VARIANTS)


def test_a_row_has_depths_dims_and_source(cli):
    row = cli("list", "convnext_tiny").out.splitlines()[1]
    assert row.split()[:3] == ["convnext_tiny", "3-3-9-3", "96-192-384-768"]
    assert "arXiv:2201.03545" in row


@pytest.mark.parametrize(
    "pattern, names",
    [
        ("convnext_iso*", ["convnext_isotropic_small", "convnext_isotropic_base", "convnext_isotropic_large"]),
        ("*_ol?", ["convnext_atto_ols", "convnext_femto_ols", "convnext_pico_ols", "convnext_nano_ols"]),
        ("convnext_mini", ["convnext_mini"]),
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


@pytest.mark.parametrize("option", [[], ["--json"]])
def test_refuses_a_pattern_that_nothing_matches(refusal, option):
    assert "no preset matches 'resnet*'" in refusal("list", "resnet*", *option)
