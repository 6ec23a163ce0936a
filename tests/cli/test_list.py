"""`list`: the names of the presets."""

import inspect
import json

import pytest

from keras_convnext import ConvNeXtBackbone, ConvNeXtClassifier
from keras_convnext.checkpoints import CHECKPOINTS
from keras_convnext.variants import VARIANTS

FEW = {"classes": {1000, 11821, 21841}, "embedding": {640, 768, 1024}, "features": {0}, "masked pre-training": {0}}
"""What the models of weights give, and how many numbers `num_classes` has for it."""


def test_lists_all(cli):
    result = cli("list")
    assert result.code == 0
    variants, checkpoints = (part.splitlines() for part in result.out.split("\n\n"))
    counts = ["parameters", "GMACs", "MB"]
    assert variants[0].split() == ["variant", "depths", "dims", "pixels", *counts, "source"]
    assert [row.split()[0] for row in variants[1:]] == list(VARIANTS)
    assert checkpoints[0].split()[:8] == ["checkpoint", "output", "pixels", *counts, "top-1", "top-5"]
    assert [row.split()[0] for row in checkpoints[1:]] == list(CHECKPOINTS)


def test_a_row_has_depths_dims_counts_and_source(cli):
    row = cli("list", "convnext_tiny").out.splitlines()[1]
    assert row.split()[:3] == ["convnext_tiny", "3-3-9-3", "96-192-384-768"]
    assert row.split()[3:8] == ["224", "28.59", "M", "4.46", "114"]
    assert "arXiv:2201.03545" in row


@pytest.mark.parametrize(
    "row",
    [
        "convnext_tiny_1k_224_ema  1000 classes  224  28.59 M  4.46  114  82.10  MIT",
        "convnextv2_huge_22k_512_ema  1000 classes  512  660.29 M  600.40  2641  88.90  CC-BY-NC-4.0",
        "convnextv2_atto_1k_224_fcmae  masked pre-training  224  3.39 M  0.55  14  CC-BY-NC-4.0",
        "convnext_atto.d2_in1k  1000 classes  224  3.70 M  0.55  15  75.67  92.91  Apache-2.0",
        "convnext_base.clip_laiona_augreg_320  embedding of 640  320  88.22 M  31.33  353  Apache-2.0",
        "convnext_tiny.dinov3_lvd1689m  features of 768  224  27.82 M  4.45  111  dinov3-license",
        "upernet_convnext_tiny_1k_512x512  label map of 150  512  MIT",
    ],
)
def test_a_row_of_weights_has_their_facts_and_licence(cli, row):
    assert cli("list", row.split()[0]).out.splitlines()[1].split() == row.split()


@pytest.mark.parametrize(
    "pattern, names",
    [
        ("convnext_isotropic*", ["convnext_isotropic_small", "convnext_isotropic_base", "convnext_isotropic_large"]),
        ("convnext_[!z]*_ol?", ["convnext_atto_ols", "convnext_femto_ols", "convnext_pico_ols", "convnext_nano_ols"]),
        ("convnext_mini", ["convnext_mini"]),
        ("torchvision/*", [f"torchvision/convnext_{size}" for size in ("tiny", "small", "base", "large")]),
        ("OLS.D1H", ["convnext_nano_ols.d1h_in1k"]),
        ("facebook/convnext-tiny", ["convnext_tiny_1k_224_ema"]),
    ],
)
@pytest.mark.parametrize("option", [[], ["--json"]])
def test_lists_what_matches(cli, pattern, names, option):
    result = cli("list", pattern, *option)
    assert result.code == 0
    listed = [fact["name"] for fact in json.loads(result.out)] if option else result.out.splitlines()[1:]
    assert [row.split()[0] for row in listed] == names


def test_json_has_the_arguments_of_the_backbone(cli):
    fact = json.loads(cli("list", "convnextv2_atto", "--json").out)[0]
    models = (ConvNeXtBackbone, ConvNeXtClassifier)
    arguments = {name for model in models for name in inspect.signature(model.__init__).parameters}
    assert fact.keys() - arguments == {"source", "image_size", "params", "macs", "megabytes"}
    assert (fact["name"], fact["depths"], fact["dims"]) == ("convnextv2_atto", [2, 2, 6, 2], [40, 80, 160, 320])
    assert fact["use_grn"] is True
    assert fact["layer_scale_init_value"] is None
    assert "arXiv:2301.00808" in fact["source"]
    assert (fact["image_size"], fact["params"], fact["macs"]) == (224, 3_708_400, 547_332_480)


def test_json_has_the_facts_of_weights(cli):
    (fact,) = json.loads(cli("list", "torchvision/convnext_tiny", "--json").out)
    assert (fact["variant"], fact["top1"], fact["sha256"]) == ("convnext_tiny", 82.52, "983f1562")
    assert fact["cached_path"].endswith("convnext_tiny-983f1562.pth")
    assert (fact["output"], fact["params"], fact["macs"]) == ("classes", 28_589_128, 4_455_531_264)
    assert fact["megabytes"] == 114.4


def test_what_weights_give_is_said_of_each(cli):
    facts = [fact for fact in json.loads(cli("list", "--json").out) if "url" in fact]
    of_kind = {kind: {fact["num_classes"] for fact in facts if fact["output"] == kind} for kind in FEW}
    assert of_kind == FEW
    assert all("fcmae" in fact["name"] for fact in facts if fact["output"] == "masked pre-training")
    assert all(".clip_" in fact["name"] for fact in facts if fact["output"] == "embedding")


@pytest.mark.parametrize("name", ["convnext_mini", "convnext_atto.d2_in1k", "convnextv2_atto_1k_224_fcmae"])
def test_the_counts_are_those_of_summary(cli, name):
    listed = json.loads(cli("list", name, "--json").out)[0]
    summarized = json.loads(cli("summary", name, "--json").out)
    assert (listed["params"], listed["macs"]) == (summarized["params"], summarized["macs"])


def test_builds_no_model(cli, monkeypatch):
    """Thirty of them would take a minute."""
    monkeypatch.setattr(ConvNeXtBackbone, "__init__", lambda self, **arguments: pytest.fail("A model was built."))
    assert cli("list", "--json").code == 0


@pytest.mark.parametrize("pattern", ["resnet*", "resnet", "*_olz", "", "convnext tiny"])
@pytest.mark.parametrize("option", [[], ["--json"]])
def test_refuses_a_pattern_that_nothing_matches(refusal, pattern, option):
    assert f"no preset matches {pattern!r}" in refusal("list", pattern, *option)
