"""The catalog against the publishers' facts in reference/checkpoints.json, and names in it."""

import json
import math
from dataclasses import FrozenInstanceError
from pathlib import Path

import pytest

from keras_convnext import VARIANTS, ConvNeXtBackbone, ConvNeXtClassifier, list_presets, preprocessor
from keras_convnext.checkpoints import CHECKPOINTS, cached_path, find_preset
from keras_convnext.checkpoints.published import WITHOUT_WEIGHTS

REFERENCE = json.loads((Path(__file__).parents[1] / "reference" / "checkpoints.json").read_text())
OFFICIAL = {row["id"]: row for row in REFERENCE["official_fb"]}
TIMM = {row["id"]: row for row in REFERENCE["timm"]["models"]}
TORCHVISION = {f"torchvision/{row['name']}": row for row in REFERENCE["torchvision"]["models"]}
KERAS_APPLICATIONS = {f"keras.applications/{row['name']}": row for row in REFERENCE["keras_applications"]["models"]}
DINOV3 = {row["hub"]: row for row in REFERENCE["dinov3"]["models"]}
ADE20K = {row["file"].removesuffix(".pth") for row in REFERENCE["downstream_fb"] if row["task"] == "ade20k"}
LICENSES = {"apache-2.0": "Apache-2.0", "cc-by-nc-4.0": "CC-BY-NC-4.0"}


def test_has_every_published_checkpoint_and_no_other():
    without_head = {f"{name}_notop" for name in KERAS_APPLICATIONS}
    assert len(OFFICIAL) == 53
    assert CHECKPOINTS.keys() | {*WITHOUT_WEIGHTS} == {
        *(OFFICIAL.keys() | TIMM.keys() | TORCHVISION.keys() | KERAS_APPLICATIONS.keys() | DINOV3.keys()),
        *without_head,
        *ADE20K,
    }
    assert not CHECKPOINTS.keys() & {*WITHOUT_WEIGHTS}


@pytest.mark.parametrize("name", OFFICIAL)
def test_the_authors(name):
    entry, row = CHECKPOINTS[name], OFFICIAL[name]
    found = entry.variant, entry.url, entry.image_size, entry.num_classes, entry.top1, entry.hub_name or None
    assert found == (
        row["variant"],
        row["url"],
        row["resolution"],
        row["num_classes"] or 0,
        row["top1"],
        row.get("hf"),
    )
    assert entry.license == ("CC-BY-NC-4.0" if row["version"] == "v2" else "MIT")
    evaluation = REFERENCE["_meta"]["eval"][f"r{row['resolution']}"]
    assert (entry.crop_pct, entry.interpolation) == (evaluation["crop_pct"], evaluation["interpolation"])
    assert entry.squash == evaluation.get("mode", "").startswith("squash")
    normalization = REFERENCE["_meta"]["normalization"]
    assert [list(entry.mean), list(entry.std)] == [normalization["mean"], normalization["std"]]


@pytest.mark.parametrize("name", [name for name in TIMM if name not in WITHOUT_WEIGHTS])
def test_timm(name):
    entry, row, defaults = CHECKPOINTS[name], TIMM[name], REFERENCE["timm"]["defaults"]
    assert entry.variant == name.partition(".")[0]
    assert entry.url == row.get("url", f"https://huggingface.co/{row['hub']}/resolve/main/model.safetensors")
    assert ("safetensors" in entry.url) == ("url" not in row)
    found = entry.image_size, entry.num_classes, entry.crop_pct, entry.interpolation
    assert found == (row["input_size"][1], row["num_classes"], row["crop_pct"], row["interpolation"])
    assert entry.squash == (row.get("crop_mode") == "squash")
    assert list(entry.mean) == row.get("mean", defaults["mean"])
    assert list(entry.std) == row.get("std", defaults["std"])
    assert entry.sha256 == row.get("sha256_prefix", "")
    same = [r for r in row.get("results", ()) if (r["img"], r["crop_pct"]) == (entry.image_size, entry.crop_pct)]
    assert [(entry.top1, entry.top5)] == ([(r["top1"], r["top5"]) for r in same] or [(None, None)])
    license = LICENSES.get(row["license"], row["license"])
    if "dl.fbaipublicfiles.com" in entry.url:  # the authors' own files: V1's have the licence of their repository
        license = "MIT" if license == "Apache-2.0" else license
    assert entry.license == license


@pytest.mark.parametrize("name", TORCHVISION)
def test_torchvision(name):
    entry, row = CHECKPOINTS[name], TORCHVISION[name]
    found = entry.variant, entry.url, entry.sha256, entry.top1, entry.top5, entry.image_size, entry.num_classes
    assert found == (row["name"], row["url"], row["sha256_prefix"], row["top1"], row["top5"], row["crop"], 1000)
    assert math.floor(entry.image_size / entry.crop_pct) == row["resize"]
    assert entry.interpolation in REFERENCE["torchvision"]["interpolation"]


@pytest.mark.parametrize("name", KERAS_APPLICATIONS)
def test_keras_applications(name):
    row = KERAS_APPLICATIONS[name]
    for entry, file in ((CHECKPOINTS[name], row["top"]), (CHECKPOINTS[f"{name}_notop"], row["notop"])):
        assert (entry.variant, entry.url, entry.sha256) == (row["name"], file["url"], file["sha256"])
    assert (CHECKPOINTS[name].top1, CHECKPOINTS[f"{name}_notop"].num_classes) == (row["keras_top1"], 0)


@pytest.mark.parametrize("name", DINOV3)
def test_dinov3_of_transformers(name):
    entry, facts = CHECKPOINTS[name], REFERENCE["dinov3"]
    assert find_preset(name) == (DINOV3[name]["variant"], entry)
    assert entry.url == f"https://huggingface.co/{name}/resolve/main/model.safetensors"
    assert (entry.license, entry.num_classes) == (facts["license"], 0)
    assert ([entry.image_size] * 2, entry.interpolation, entry.squash) == (facts["size"], facts["interpolation"], True)


@pytest.mark.parametrize("name", CHECKPOINTS)
def test_entries_are_of_variants_and_have_files_of_their_own(name):
    entry = CHECKPOINTS[name]
    assert entry.variant in VARIANTS
    others = {other.url for other in CHECKPOINTS.values() if cached_path(other) == cached_path(entry)}
    assert others == {entry.url}


def test_the_published_facts_cannot_be_changed():
    with pytest.raises(FrozenInstanceError):
        CHECKPOINTS["convnext_tiny_1k_224_ema"].top1 = 100.0


# === Names


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("convnextv2_?a*_1k_*_ema", [f"convnextv2_{size}_1k_224_ema" for size in ("nano", "base", "large")]),
        ("Isotropic_Small", ["convnext_isotropic_small"]),
        ("torchvision/*", [f"torchvision/convnext_{size}" for size in ("tiny", "small", "base", "large")]),
        ("convnext_iso*small*", ["convnext_isotropic_small", "convnext_iso_small_1k_224_ema"]),
        (
            "timm/convnext_*.d1_in1k",
            [f"convnext_{size}.d1_in1k" for size in ("femto", "femto_ols", "pico", "pico_ols")],
        ),
        ("facebook/convnext-base-384", ["convnext_base_1k_384", "convnext_base_22k_1k_384"]),
        ("tiny*", []),
    ],
)
def test_list_presets_by_pattern(pattern, names):
    assert list_presets(pattern) == names


def test_list_presets_has_the_variants_and_then_the_checkpoints():
    assert list_presets() == [*VARIANTS, *CHECKPOINTS]


@pytest.mark.parametrize("prefix", ["", "timm/", "hf_hub:timm/", "hf-hub:timm/"])
def test_takes_names_of_timm_on_the_hub(prefix):
    assert find_preset(f"{prefix}convnext_nano.in12k") == ("convnext_nano", CHECKPOINTS["convnext_nano.in12k"])


@pytest.mark.parametrize(("name", "row"), [(row["hf"], row) for row in OFFICIAL.values() if row.get("hf")])
def test_takes_names_of_transformers_on_the_hub(name, row):
    assert find_preset(name) == (row["variant"], CHECKPOINTS[row["id"]])


@pytest.mark.parametrize("name", WITHOUT_WEIGHTS)
@pytest.mark.parametrize("prefix", ["", "timm/"])
def test_says_of_which_architecture_no_weights_were_published(prefix, name):
    variant = name.partition(".")[0]
    with pytest.raises(ValueError, match=f"{prefix}{name}: no weights were published. '{variant}' is the architecture"):
        find_preset(prefix + name)
    assert find_preset(variant) == (variant, None)


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("convnextv2_atto_22k_224", "convnextv2_nano_22k_224_ema"),
        ("convnext_tiny.fb_in21k", "convnext_tiny.fb_in22k"),
        ("facebook/convnext-tiny", "facebook/convnext-tiny-224"),
    ],
)
def test_an_unknown_name_is_answered_with_the_nearest(name, nearest):
    with pytest.raises(ValueError, match=f"Unknown preset '{name}x'.*{nearest}"):
        find_preset(f"{name}x")


@pytest.mark.parametrize(
    "call", [find_preset, ConvNeXtBackbone.from_preset, ConvNeXtClassifier.from_preset, preprocessor]
)
@pytest.mark.parametrize("name", ["there", "there.pth", "missing.pth", "missing.keras", "./missing", "/missing"])
def test_a_path_in_place_of_a_preset_is_answered_with_what_takes_paths(tmp_path, monkeypatch, call, name):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "there").mkdir()
    (tmp_path / "there.pth").touch()
    with pytest.raises(ValueError) as refused:
        call(name)
    message = str(refused.value)
    assert message.startswith(f"Expected the name of a preset. Received the path of a file or folder: {name!r}. ")
    assert "`load_model`" in message and "`load_checkpoint`" in message


@pytest.mark.parametrize("name", ["", "resnet", 5, None])
def test_what_is_no_path_is_an_unknown_preset(name):
    with pytest.raises(ValueError, match="Unknown preset"):
        ConvNeXtClassifier.from_preset(name)


def test_a_preset_comes_before_a_folder_of_its_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "convnext_mini").mkdir()
    assert find_preset("convnext_mini") == ("convnext_mini", None)
