"""Loading a model by a name, from a file or a run folder: bad files are refused, and the error names them."""

import json
import random
import zipfile

import keras
import numpy as np
import pytest

from keras_convnext import ConvNeXtBackbone, ConvNeXtClassifier, save_checkpoint
from keras_convnext.checkpoints import CHECKPOINTS, cached_path, patchify_stem_of, read_arrays
from keras_convnext.checkpoints.write import write_arrays
from keras_convnext.models import ModelSource, find_model, load_model, load_model_and_facts, variant_of


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A model and the bytes of its file."""
    path = tmp_path_factory.mktemp("saved") / "model.keras"
    backbone = ConvNeXtBackbone(depths=(1, 1), dims=(8, 16), stem_patch_size=1, input_shape=(8, 8, 1))
    model = ConvNeXtClassifier(backbone, num_classes=10)
    model.save(path)
    return model, path.read_bytes()


@pytest.fixture
def load(tmp_path):
    """A function: loads a classifier from bytes in a file `other.keras`."""

    def load_bytes(content):
        path = tmp_path / "other.keras"
        path.write_bytes(content)
        return load_model(path)

    return load_bytes


def central_directory(content, tmp_path):
    """Where the directory of a zip archive begins."""
    (tmp_path / "archive.zip").write_bytes(content)
    with zipfile.ZipFile(tmp_path / "archive.zip") as archive:
        return archive.start_dir


def test_loads_what_was_saved(saved, load):
    model, content = saved
    loaded = load(content)
    assert loaded.get_config() == model.get_config()
    for weight, expected in zip(loaded.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(weight, expected)


def test_refuses_a_missing_file(tmp_path):
    with pytest.raises(ValueError, match=r"No such file or folder: .*nowhere\.keras"):
        load_model(tmp_path / "nowhere.keras")


def test_refuses_a_folder_that_is_no_run(tmp_path):
    with pytest.raises(ValueError, match="not a run folder"):
        load_model(tmp_path)


@pytest.mark.parametrize("kept", [0.0, 0.1, 0.5, 0.9, 0.99])
def test_refuses_a_file_cut_off(saved, load, kept):
    _, content = saved
    with pytest.raises(ValueError, match=r"other\.keras: .*cut off"):
        load(content[: int(kept * len(content))])


def test_refuses_a_file_cut_off_in_its_directory(saved, load, tmp_path):
    _, content = saved
    for length in range(central_directory(content, tmp_path), len(content), 5):
        with pytest.raises(ValueError, match=r"other\.keras"):
            load(content[:length])


def test_refuses_an_altered_byte_in_the_weights(saved, load):
    _, content = saved
    start = content.index(b"\x89HDF")
    for position in random.Random(0).sample(range(start, start + 60_000), 10):
        altered = bytearray(content)
        altered[position] ^= 0xFF
        with pytest.raises(ValueError, match=r"other\.keras: the archive member model\.weights\.h5 is corrupt"):
            load(altered)


DIRECTORY_FIELDS = {
    # the entry of the first member (its first byte, and how far the field is from it), then the end record
    "signature": (b"PK\1\2", 0),
    "flags": (b"PK\1\2", 8),
    "method": (b"PK\1\2", 10),
    "checksum": (b"PK\1\2", 16),
    "name length": (b"PK\1\2", 28),
    "extra length": (b"PK\1\2", 30),
    "comment length": (b"PK\1\2", 32),
    "member offset": (b"PK\1\2", 42),
    "name": (b"PK\1\2", 46),
    "end signature": (b"PK\5\6", 0),
    "directory size": (b"PK\5\6", 12),
    "directory offset": (b"PK\5\6", 16),
    "directory offset, high": (b"PK\5\6", 19),
}


@pytest.mark.parametrize("signature, distance", DIRECTORY_FIELDS.values(), ids=DIRECTORY_FIELDS)
def test_refuses_an_altered_byte_in_the_directory(saved, load, tmp_path, signature, distance):
    _, content = saved
    position = content.index(signature, central_directory(content, tmp_path)) + distance
    altered = bytearray(content)
    altered[position] ^= 0x21
    with pytest.raises(ValueError, match=r"other\.keras"):
        load(altered)


@pytest.mark.parametrize("distance", [0, 6, 8, 14, 26, 28, 30], ids="byte {}".format)
def test_an_altered_byte_before_a_member_is_refused_or_changes_nothing(saved, load, distance):
    model, content = saved
    altered = bytearray(content)
    altered[content.index(b"PK\3\4", 4) + distance] ^= 0x21
    try:
        loaded = load(altered)
    except ValueError as error:
        assert "other.keras" in str(error)
    else:
        for weight, expected in zip(loaded.get_weights(), model.get_weights(), strict=True):
            np.testing.assert_array_equal(weight, expected)


@pytest.mark.parametrize("content", [b"", b"no archive", bytes(1000)])
def test_refuses_what_is_no_archive(load, content):
    with pytest.raises(ValueError, match=r"other\.keras: not a \.keras file"):
        load(content)


def write_archive(path, members):
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)


@pytest.mark.parametrize("member", ["metadata.json", "config.json", "model.weights.h5"])
def test_refuses_an_archive_without_a_member(tmp_path, member):
    members = {"metadata.json": "{}", "config.json": "{}", "model.weights.h5": ""}
    del members[member]
    write_archive(tmp_path / "other.keras", members)
    with pytest.raises(ValueError, match=r"other\.keras"):
        load_model(tmp_path / "other.keras")


@pytest.mark.parametrize("config", ["", "{}", "[]", '{"module": "keras", "class_name": "Nothing", "config": {}}'])
def test_refuses_an_archive_whose_config_is_no_models(tmp_path, config):
    write_archive(tmp_path / "other.keras", {"metadata.json": "{}", "config.json": config, "model.weights.h5": ""})
    with pytest.raises(ValueError, match=r"other\.keras"):
        load_model(tmp_path / "other.keras")


def test_refuses_weights_of_another_model(saved, tmp_path):
    _, content = saved
    (tmp_path / "model.keras").write_bytes(content)
    keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)]).save_weights(tmp_path / "dense.weights.h5")
    with zipfile.ZipFile(tmp_path / "model.keras") as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    members["model.weights.h5"] = (tmp_path / "dense.weights.h5").read_bytes()
    write_archive(tmp_path / "other.keras", members)
    with pytest.raises(ValueError, match=r"other\.keras"):
        load_model(tmp_path / "other.keras")


def test_refuses_another_kind_of_model(tmp_path):
    keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)]).save(tmp_path / "other.keras")
    with pytest.raises(
        ValueError, match=r"other\.keras: expected a ConvNeXtClassifier, ConvNeXtBackbone or UPerNet, got Seq"
    ):
        load_model(tmp_path / "other.keras")


class Unknown(keras.layers.Layer):
    """A layer that Keras does not know when it loads."""


def test_refuses_a_model_with_layers_of_others(tmp_path):
    keras.Sequential([keras.Input((4,)), Unknown()]).save(tmp_path / "other.keras")
    with pytest.raises(ValueError, match=r"other\.keras"):
        load_model(tmp_path / "other.keras")


# === What a name stands for


NAME = "convnextv2_atto_1k_224_ema"


@pytest.fixture
def run(saved, tmp_path):
    """A run folder with the model: as little as it is recognized by."""
    config = {"class_names": ["a", "b"], "image_shape": [8, 8, 1], "recipe": {}}
    path = tmp_path / "run"
    (path / "state" / "epoch-3").mkdir(parents=True)
    (path / "config.json").write_text(json.dumps(config))
    for place in (path, path / "state" / "epoch-3"):
        (place / "model.keras").write_bytes(saved[1])
    return path


def test_a_run_folder_is_known_by_its_files(run):
    assert (find_model(run).path, find_model(run).run) == (run / "model.keras", run)
    for file in (run / "model.keras", run / "state" / "epoch-3" / "model.keras"):
        assert (find_model(file).path, find_model(file).run) == (file, run)
    assert load_model(run).num_classes == 10


def test_a_run_may_have_another_functional_model_and_a_file_elsewhere_may_not(run, tmp_path):
    inputs = keras.Input((4,))
    model = keras.Model(inputs, keras.layers.Dense(2)(inputs))
    for path in (run / "model.keras", tmp_path / "other.keras"):
        model.save(path)
    assert load_model(run).output_shape == (None, 2)
    with pytest.raises(ValueError, match="expected a ConvNeXtClassifier, ConvNeXtBackbone or UPerNet, got Functional"):
        load_model(tmp_path / "other.keras")


def test_a_preset_is_found_and_not_loaded():
    found = find_model(NAME)
    assert found == ModelSource(variant="convnextv2_atto", checkpoint=CHECKPOINTS[NAME])
    assert find_model("convnext_mini").checkpoint is None


@pytest.mark.parametrize("name", ["", "convnext_tinny"])
def test_refuses_what_is_nothing_of_the_kind(name):
    with pytest.raises(ValueError, match="No such file or folder, and no such preset: "):
        find_model(name)


def test_refuses_an_architecture_without_weights():
    with pytest.raises(ValueError, match="convnext_mini is an architecture without weights"):
        load_model("convnext_mini")


def test_loads_published_weights_and_warns_of_their_licence(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    model = ConvNeXtClassifier.from_preset("convnextv2_atto")
    cached_path(CHECKPOINTS[NAME]).parent.mkdir(parents=True)
    save_checkpoint(model, cached_path(CHECKPOINTS[NAME]))
    with pytest.warns(UserWarning, match="CC-BY-NC-4.0"):
        loaded = load_model(NAME)
    np.testing.assert_array_equal(loaded.get_weights()[0], model.get_weights()[0])
    assert loaded.backbone.license == "CC-BY-NC-4.0"
    with pytest.raises(ValueError, match="`variant` cannot be given for a published checkpoint"):
        load_model(NAME, variant="convnext_atto")
    with pytest.raises(ValueError, match="`ema` applies to training checkpoints"):
        load_model(NAME, ema=True)


@pytest.mark.parametrize("suffix", ["pth", "keras"])
def test_loads_a_backbone_from_a_file_without_a_head(tmp_path, suffix):
    backbone = ConvNeXtBackbone.from_preset("convnext_mini", data_format="channels_last")
    path = tmp_path / f"backbone.{suffix}"
    backbone.save(path) if suffix == "keras" else save_checkpoint(backbone, path, layout="timm")
    loaded = load_model_and_facts(path)
    assert isinstance(loaded.model, ConvNeXtBackbone)
    assert (loaded.layout, loaded.variant) == ("timm" if suffix == "pth" else "keras_convnext", "convnext_mini")
    np.testing.assert_array_equal(loaded.model.get_weights()[0], backbone.get_weights()[0])


@pytest.mark.once
@pytest.mark.parametrize(
    ("layout", "suffix"),
    [
        ("official", "pth"),
        ("timm", "pth"),
        ("torchvision", "pth"),
        ("transformers", "pth"),
        ("keras.applications", "h5"),
    ],
)
@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
def test_the_stem_and_the_channels_are_those_of_the_file(tmp_path, layout, suffix, data_format):
    model = ConvNeXtClassifier.from_preset(
        "convnext_atto", num_classes=3, stem_patch_size=2, input_shape=(None, None, 2), data_format="channels_last"
    )
    save_checkpoint(model, tmp_path / f"model.{suffix}", layout=layout)
    loaded = load_model(tmp_path / f"model.{suffix}", data_format=data_format)
    images = np.random.default_rng(0).uniform(0, 255, (2, 32, 48, 2)).astype("float32")
    given = images if data_format == "channels_last" else images.transpose(0, 3, 1, 2)
    np.testing.assert_allclose(loaded.predict(given, verbose=0), model.predict(images, verbose=0), atol=1e-5)
    assert loaded.backbone.stem_patch_size == 2


def test_a_stem_that_no_variant_can_have_is_named(tmp_path):
    model = ConvNeXtClassifier.from_preset("convnext_mini", num_classes=3)
    save_checkpoint(model, tmp_path / "model.pth")
    arrays = read_arrays(tmp_path / "model.pth")
    assert patchify_stem_of(arrays) == (1, 3)
    arrays["downsample_layers.0.0.weight"] = np.zeros((32, 3, 3, 3), "float32")
    write_arrays(tmp_path / "other.pth", arrays)
    with pytest.raises(ValueError, match=r"got \(32, 3, 3, 3\) in downsample_layers.0.0.weight"):
        load_model(tmp_path / "other.pth")


def test_a_keras_file_takes_neither_variant_nor_ema(saved, tmp_path):
    (tmp_path / "model.keras").write_bytes(saved[1])
    with pytest.raises(ValueError, match=r"`variant` cannot be given for a \.keras file"):
        load_model(tmp_path / "model.keras", variant="convnext_mini")
    with pytest.raises(ValueError, match="`ema` applies to training checkpoints"):
        load_model(tmp_path / "model.keras", ema=True)


# === Which variant it is


def test_the_variant_of_a_model_with_another_stem():
    model = ConvNeXtClassifier.from_preset("convnextv2_atto", stem_patch_size=2)
    assert (variant_of(model), variant_of(model, any_stem=True)) == (None, "convnextv2_atto")
    assert variant_of(ConvNeXtBackbone.from_preset("convnext_atto_ols")) == "convnext_atto_ols"
    other = ConvNeXtBackbone(depths=(1, 1), dims=(8, 16))
    assert variant_of(other) is variant_of(other, any_stem=True) is None
