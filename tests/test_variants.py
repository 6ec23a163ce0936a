"""Every variant against the exact figures of reference/variants.json; names and patterns."""

import json
from dataclasses import FrozenInstanceError
from pathlib import Path

import pytest

from keras_convnext import VARIANTS, ConvNeXtBackbone, ConvNeXtClassifier
from keras_convnext.variants import get_variant, variant_for

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
