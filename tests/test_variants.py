"""Every variant against the exact figures of reference/variants.json; names and patterns."""

import json
from dataclasses import FrozenInstanceError, replace
from pathlib import Path

import pytest

from keras_convnext import VARIANTS, ConvNeXtBackbone, ConvNeXtClassifier
from keras_convnext.variants import get_variant, match, stem_for, variant_for

REFERENCE = json.loads(Path(__file__).with_name("reference").joinpath("variants.json").read_text())
ROWS = {row["name"]: row for row in REFERENCE["variants"]}
COMPUTED = {name: row["computed"] for name, row in ROWS.items() if "computed" in row}


@pytest.mark.parametrize("name", ROWS)
def test_every_row_is_a_variant(name):
    variant, row = VARIANTS[name], ROWS[name]
    assert (list(variant.depths), list(variant.dims), variant.stem) == (row["depths"], row["dims"], row["stem"]["type"])


@pytest.mark.parametrize("name", COMPUTED)
def test_the_row_equals_the_reference(name):
    """What parameters and MACs do not show as well: epsilon, initial values, the order of the stages."""
    variant, row = VARIANTS[name], ROWS[name]
    stem = row["stem"]
    assert {
        "depths": list(variant.depths),
        "dims": list(variant.dims),
        "stem": (variant.stem, variant.stem_norm, variant.stem_patch_size),
        "kernel_size": variant.kernel_size,
        "mlp_ratio": variant.mlp_ratio,
        "norm_eps": variant.norm_eps,
        "grn": variant.use_grn,
        "layer_scale_init": variant.layer_scale_init_value,
    } == {
        key: row[key] for key in ("depths", "dims", "kernel_size", "mlp_ratio", "norm_eps", "grn", "layer_scale_init")
    } | {"stem": (stem["type"], stem["norm_after"], stem.get("kernel", 4))}


@pytest.mark.parametrize("name", VARIANTS)
def test_every_row_names_its_source(name):
    assert VARIANTS[name].source


def test_rows_cannot_be_changed():
    with pytest.raises(FrozenInstanceError):
        VARIANTS["convnext_tiny"].depths = (1, 1, 1, 1)


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("convnext_tinny", "convnext_tiny"),
        ("ConvNeXtV2_Atto", "convnextv2_atto"),
        ("convnextv2-huge", "convnextv2_huge"),
        ("convnext_iso_small", "convnext_isotropic_small"),
    ],
)
@pytest.mark.parametrize("get", [get_variant, ConvNeXtBackbone.from_preset, ConvNeXtClassifier.from_preset])
def test_an_unknown_name_is_answered_with_the_nearest(get, name, nearest):
    with pytest.raises(ValueError, match=f"Unknown (variant|preset) '{name}'.*nearest names are.*{nearest}"):
        get(name)


@pytest.mark.parametrize("name", ["", "resnet", 5, None])
def test_a_name_that_is_near_to_none(name):
    with pytest.raises(ValueError, match=r"Unknown variant.*(VARIANTS has the names|nearest)"):
        get_variant(name)


@pytest.mark.parametrize(
    ("image_size", "name", "stem_patch_size"),
    [
        (8, "convnext_mini", 1),
        (16, "convnext_mini", 1),
        (17, "convnext_mini", 2),
        (40, "convnext_mini", 2),
        (41, "convnext_atto", 2),
        (80, "convnext_atto", 2),
        (81, "convnext_atto", 4),
        (5000, "convnext_atto", 4),
    ],
)
def test_the_variant_to_start_with(image_size, name, stem_patch_size):
    assert variant_for(image_size) == (name, stem_patch_size)
    variant = VARIANTS[name]
    assert stem_patch_size * 2 ** (len(variant.depths) - 1) <= image_size


@pytest.mark.parametrize(
    ("name", "strides"),
    [
        ("convnext_mini", {8: 1, 16: 1, 32: 2, 64: 2, 80: 2, 96: 4, 224: 4}),
        ("convnext_atto", {8: 1, 16: 1, 32: 2, 64: 2, 80: 2, 96: 4, 224: 4}),
        ("convnext_atto_ols", {32: 4, 64: 4, 224: 4}),
        ("convnext_zepto_rms_ols", {64: 4}),
        ("convnext_isotropic_small", {64: 16, 224: 16}),
    ],
)
def test_the_stem_of_a_variant_fits_the_images_where_it_can(name, strides):
    assert {size: stem_for(name, size) for size in strides} == strides


@pytest.mark.parametrize("image_size", [8, 16, 17, 40, 41, 80, 81, 224])
def test_the_stem_is_that_of_the_variant_to_start_with(image_size):
    name, stem_patch_size = variant_for(image_size)
    assert stem_for(name, image_size) == stem_patch_size


@pytest.mark.parametrize("name", VARIANTS)
def test_a_row_is_its_own_variant(name):
    row = VARIANTS[name]
    assert match(row) == name
    arguments = row.backbone_arguments() | row.head_arguments()
    assert match(json.loads(json.dumps(arguments))) == name


def test_a_model_is_of_its_variant():
    backbone = ConvNeXtBackbone.from_preset("convnext_mini", layer_scale_init_value=0.1, drop_path_rate=0.2)
    assert match(backbone.get_config()) == "convnext_mini"
    changed = ConvNeXtBackbone.from_preset("convnext_mini", stem_patch_size=2).get_config()
    assert match(changed) is None
    assert match(changed, ignore=("stem_patch_size",)) == "convnext_mini"


def test_the_head_is_compared_where_it_is_given():
    row = VARIANTS["convnext_tiny_hnf"]
    assert match(row.backbone_arguments()) == "convnext_tiny"
    assert match(row.backbone_arguments() | {"head_norm_first": True}) == "convnext_tiny_hnf"
    assert match(row.backbone_arguments() | {"head_hidden_size": 8}) is None


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"layer_scale_init_value": 0.5}, "convnext_tiny"),
        ({"layer_scale_init_value": None}, None),
        ({"kernel_size": (7, 7, 7, 7)}, "convnext_tiny"),
        ({"kernel_size": 5}, None),
        ({"norm": {"layer_norm", "rms_norm"}}, "convnext_tiny"),
        ({"norm": {"rms_norm", "simple_norm"}}, None),
        ({"mlp_ratio": 4.0}, "convnext_tiny"),
        ({"mlp_ratio": 3}, None),
        ({"conv_bias": False}, None),
        ({"name": "mine", "image_size": 99}, "convnext_tiny"),
        ({"hidden_activation": {"class_name": "Custom"}}, None),
    ],
)
def test_arguments_that_make_another_variant_and_those_that_do_not(changes, name):
    assert match(VARIANTS["convnext_tiny"].backbone_arguments() | changes) == name


@pytest.mark.parametrize("missing", ["depths", "dims"])
def test_too_few_arguments_are_of_no_variant(missing):
    arguments = VARIANTS["convnext_tiny"].backbone_arguments()
    del arguments[missing]
    assert match(arguments) is None
    assert match({}) is None
    assert match(replace(VARIANTS["convnext_tiny"], dims=(1, 2, 3, 4))) is None
