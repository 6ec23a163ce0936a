"""`summary`: the stages of a variant with their parameters and multiply-accumulates."""

import json

import pytest


@pytest.fixture
def summary(cli):
    """A function: what `summary --json` prints."""

    def call(*arguments):
        result = cli("summary", *arguments, "--json")
        assert result.code == 0
        return json.loads(result.out)

    return call


def test_tiny_has_the_published_figures(summary):
    facts = summary("convnext_tiny")
    assert facts["params"] == 28_589_128
    assert facts["macs"] == 4_455_531_264
    assert facts["input_shape"] == [224, 224, 3]
    stages = {stage["name"]: stage for stage in facts["stages"]}
    assert list(stages) == ["normalization", "stem", "stage_0", "stage_1", "stage_2", "stage_3", "head"]
    for number, (side, dim) in enumerate([(56, 96), (28, 192), (14, 384), (7, 768)]):
        assert stages[f"stage_{number}"]["output_shape"] == [side, side, dim]
    assert stages["head"]["output_shape"] == [1000]
    assert sum(stage["params"] for stage in stages.values()) == facts["params"]
    assert sum(stage["macs"] for stage in stages.values()) == facts["macs"]
    assert sum(stage["activation_bytes"] for stage in stages.values()) == facts["activation_bytes"]
    assert stages["stem"]["activation_bytes"] == 2 * 56 * 56 * 96 * 4  # its convolution's and its norm's


def test_norms_and_pooling_count_where_asked_for(summary):
    stages = {stage["name"]: stage for stage in summary("convnext_mini", "--elementwise")["stages"]}
    assert stages["head"]["macs"] == 128 + 128 + 128 * 1000  # pooling, norm, linear layer


def test_options_change_the_model(summary):
    facts = summary("convnext_mini", "--size", "16", "--channels", "2", "--classes", "5", "--stem", "2")
    assert facts["input_shape"] == [16, 16, 2]
    stages = {stage["name"]: stage for stage in facts["stages"]}
    assert stages["stem"]["output_shape"] == [8, 8, 32]
    assert stages["stem"]["params"] == 2 * 2 * 2 * 32 + 32 + 2 * 32
    assert stages["head"]["output_shape"] == [5]
    assert stages["head"]["params"] == 2 * 128 + 128 * 5 + 5


def test_without_classes_the_head_is_its_norm(summary):
    facts = summary("convnext_mini", "--classes", "0")
    assert facts["stages"][-1]["output_shape"] == [128]
    assert facts["stages"][-1]["params"] == 2 * 128


def test_prints_a_table(cli):
    result = cli("summary", "convnext_mini", "--channels", "1", "--classes", "10")
    assert result.code == 0
    assert result.out.startswith("convnext_mini, images 8 x 8 x 1\n")
    rows = [line.split() for line in result.out.splitlines()[2:]]
    assert [row[0] for row in rows] == [
        "stage",
        "normalization",
        "stem",
        "stage_0",
        "stage_1",
        "stage_2",
        "head",
        "total",
    ]
    assert rows[-1][1] == "413,066"


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["convnext_tinny"], "Unknown variant 'convnext_tinny': the nearest names are convnext_tiny"),
        (["zzz"], "Unknown variant 'zzz'"),
        (["convnext_tiny", "--size", "16"], "smaller than this network's stride of 32"),
        (["convnext_tiny", "--stem", "3"], "stem_patch_size"),
        (["convnext_mini", "--classes", "-1"], "num_classes"),
    ],
)
@pytest.mark.parametrize("option", [[], ["--json"]])
def test_refuses(refusal, arguments, message, option):
    assert message in refusal("summary", *arguments, *option)
