"""`summary`: the stages of a variant with their parameters and multiply-accumulates."""

import json

import pytest

from keras_convnext import ConvNeXtBackbone, ConvNeXtClassifier, save_checkpoint
from keras_convnext.models import load_model


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


@pytest.mark.parametrize("name", ["convnext_atto.d2_in1k", "timm/convnext_atto.d2_in1k"])
def test_takes_the_name_of_weights_and_downloads_nothing(summary, name, tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "home"))
    facts = summary(name)
    assert (facts["name"], facts["variant"], facts["input_shape"]) == (name, "convnext_atto", [224, 224, 3])
    assert facts["params"] == 3_695_520
    assert facts["stages"][-1]["output_shape"] == [1000]
    assert not (tmp_path / "home").exists()


def test_weights_have_their_own_size_and_classes(summary):
    facts = summary("convnextv2_nano_22k_384_ema", "--classes", "5")
    assert facts["input_shape"] == [384, 384, 3]
    assert facts["stages"][-1]["output_shape"] == [5]
    assert summary("convnextv2_atto_1k_224_fcmae", "--size", "64")["stages"][-1]["output_shape"] == [320]


@pytest.mark.parametrize("form", ["run", "file of a run"])
def test_takes_a_run(summary, trained, form):
    name = trained.path if form == "run" else trained.path / "model.keras"
    facts = summary(name)
    assert facts["name"] == str(name)
    assert facts["input_shape"] == [8, 8, 1]
    assert facts["params"] == load_model(trained.path / "model.keras").count_params()
    assert facts["stages"][-1]["output_shape"] == [10]


@pytest.mark.parametrize("form", ["keras", "safetensors"])
def test_takes_a_file(summary, tmp_path, form):
    """Frozen layers count: their parameters are the model's too."""
    model = ConvNeXtClassifier.from_preset("convnext_mini", num_classes=3)
    model.backbone.freeze_stages(2)
    path = tmp_path / f"model.{form}"
    model.save(path) if form == "keras" else save_checkpoint(model, path)
    facts = summary(path, "--size", "16")
    assert (facts["variant"], facts["input_shape"]) == ("convnext_mini", [16, 16, 3])
    assert facts["params"] == model.count_params()


def test_takes_a_backbone_and_channels_first(summary, tmp_path):
    ConvNeXtBackbone.from_preset("convnext_mini", data_format="channels_first").save(tmp_path / "backbone.keras")
    facts = summary(tmp_path / "backbone.keras", "--size", "8")
    assert facts["input_shape"] == [3, 8, 8]


def test_refuses_changes_of_a_file(refusal, trained):
    assert "--classes applies to names" in refusal("summary", trained.path, "--classes", "3")
    assert "the model takes images of 8 x 8 pixels" in refusal("summary", trained.path, "--size", "16")


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["convnext_tinny"], "Unknown preset 'convnext_tinny': the nearest names are convnext_tiny"),
        (["zzz"], "No such file or folder, and no such preset: zzz. Unknown preset 'zzz'"),
        (["zzz.keras"], "No such file or folder: zzz.keras"),
        (["convnext_tiny", "--size", "16"], "smaller than this network's stride of 32"),
        (["convnext_tiny", "--stem", "3"], "stem_patch_size"),
    ],
)
@pytest.mark.parametrize("option", [[], ["--json"]])
def test_refuses(refusal, arguments, message, option):
    assert message in refusal("summary", *arguments, *option)


@pytest.mark.parametrize("form", ["keras", "safetensors"])
def test_refuses_images_smaller_than_the_stride_of_a_file(refusal, tmp_path, form):
    model, path = ConvNeXtClassifier.from_preset("convnext_mini", num_classes=3), tmp_path / f"model.{form}"
    model.save(path) if form == "keras" else save_checkpoint(model, path)
    assert "smaller than this network's stride of 4" in refusal("summary", path, "--size", "2")
