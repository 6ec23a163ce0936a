"""`list`: the names of the presets."""

import json

import pytest

from keras_convnext import ConvNeXtBackbone
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
    backbone = ConvNeXtBackbone.from_preset("convnextv2_atto").get_config()
    for name, value in backbone.items():
        if name in fact and name != "name":
            assert fact[name] == (list(value) if isinstance(value, tuple) else value), name
    assert fact["depths"] == [2, 2, 6, 2]
    assert fact["use_grn"] is True
    assert "arXiv:2301.00808" in fact["source"]


@pytest.mark.parametrize("option", [[], ["--json"]])
def test_refuses_a_pattern_that_nothing_matches(refusal, option):
    assert "no preset matches 'resnet*'" in refusal("list", "resnet*", *option)
