"""Counts from an architecture's row, against the reference figures and against what `profile` counts on the model."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from keras_convnext import VARIANTS, ConvNeXtClassifier
from keras_convnext.profiling import count, profile

REFERENCE = json.loads((Path(__file__).parents[1] / "reference" / "variants.json").read_text())
COMPUTED = {row["name"]: row["computed"] for row in REFERENCE["variants"] if "computed" in row}


def counted(name, num_classes=1000, image_size=None):
    """What `profile` counts."""
    size = image_size or VARIANTS[name].image_size
    result = profile(ConvNeXtClassifier.from_preset(name, num_classes=num_classes), (size, size, 3))
    return result.params, result.macs


@pytest.mark.parametrize("name", VARIANTS)
def test_every_variant(name):
    if name in COMPUTED:
        row = COMPUTED[name]
        assert row["resolution"] == VARIANTS[name].image_size
        assert count(VARIANTS[name], row["num_classes"]) == (row["params"], row["macs_conv_linear"])
    else:
        assert count(VARIANTS[name]) == counted(name)


@pytest.mark.parametrize("name", COMPUTED)
def test_other_sizes_and_classes(name):
    for key, expected in COMPUTED[name].items():
        if key.startswith("macs_conv_linear_"):
            assert count(VARIANTS[name], image_size=int(key.rpartition("_")[2])).macs == expected
        elif key == "params_21841_classes":
            assert count(VARIANTS[name], 21841).params == expected


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"use_grn": True},
        {"layer_scale_init_value": None},
        {"kernel_size": 3, "mlp_ratio": 2},
        {"stem": "overlap"},
        {"stem": "overlap_tiered"},
        {"stem_norm": False, "stem_patch_size": 2},
        {"head_norm_first": True},
        {"head_hidden_size": 24},
        {"stem": "overlap_act", "norm": "simple_norm"},
        {"norm": "rms_norm", "conv_bias": False},
        {"kernel_size": (3, 5, 7, 3), "mlp_ratio": 2.3},
    ],
    ids=str,
)
@pytest.mark.parametrize("num_classes", [0, 7])
def test_every_argument_of_the_architecture(monkeypatch, changes, num_classes):
    row = replace(VARIANTS["convnext_atto"], depths=(1, 2, 1, 1), dims=(40, 48, 64, 80), **changes)
    monkeypatch.setitem(VARIANTS, "small", row)
    assert count(row, num_classes, image_size=32) == counted("small", num_classes, image_size=32)


@pytest.mark.parametrize("stem", ["patchify", "overlap", "overlap_tiered", "overlap_act"])
@pytest.mark.parametrize("image_size", [37, 42, 100])
def test_sizes_that_the_stride_does_not_divide(monkeypatch, stem, image_size):
    row = replace(VARIANTS["convnext_atto"], depths=(1, 1, 1, 1), dims=(8, 16, 24, 32), stem=stem)
    monkeypatch.setitem(VARIANTS, "small", row)
    assert count(row, image_size=image_size) == counted("small", image_size=image_size)


def test_megabytes_are_those_of_float32():
    assert count(VARIANTS["convnext_tiny"]).megabytes == pytest.approx(114.356512)
