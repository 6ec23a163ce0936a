"""Loading a classifier (`models/load.py`): each bad file is refused, and the error names it."""

import random
import zipfile

import keras
import numpy as np
import pytest

from keras_convnext.models import load_classifier


@pytest.fixture(scope="module")
def saved(tmp_path_factory, make_model):
    """A model and the bytes of its file."""
    path = tmp_path_factory.mktemp("saved") / "model.keras"
    model = make_model()
    model.save(path)
    return model, path.read_bytes()


@pytest.fixture
def load(tmp_path):
    """A function: loads a classifier from bytes in a file `other.keras`."""

    def load_bytes(content):
        path = tmp_path / "other.keras"
        path.write_bytes(content)
        return load_classifier(path)

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
    with pytest.raises(ValueError, match=r"nowhere\.keras: no such file"):
        load_classifier(tmp_path / "nowhere.keras")


def test_refuses_a_folder(tmp_path):
    with pytest.raises(ValueError, match="no such file"):
        load_classifier(tmp_path)


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
        with pytest.raises(ValueError, match=r"other\.keras: model\.weights\.h5 in it is damaged"):
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
        load_classifier(tmp_path / "other.keras")


@pytest.mark.parametrize("config", ["", "{}", "[]", '{"module": "keras", "class_name": "Nothing", "config": {}}'])
def test_refuses_an_archive_whose_config_is_no_models(tmp_path, config):
    write_archive(tmp_path / "other.keras", {"metadata.json": "{}", "config.json": config, "model.weights.h5": ""})
    with pytest.raises(ValueError, match=r"other\.keras"):
        load_classifier(tmp_path / "other.keras")


def test_refuses_weights_of_another_model(saved, tmp_path):
    _, content = saved
    (tmp_path / "model.keras").write_bytes(content)
    keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)]).save_weights(tmp_path / "dense.weights.h5")
    with zipfile.ZipFile(tmp_path / "model.keras") as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    members["model.weights.h5"] = (tmp_path / "dense.weights.h5").read_bytes()
    write_archive(tmp_path / "other.keras", members)
    with pytest.raises(ValueError, match=r"other\.keras"):
        load_classifier(tmp_path / "other.keras")


def test_refuses_another_kind_of_model(tmp_path):
    keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)]).save(tmp_path / "other.keras")
    with pytest.raises(ValueError, match=r"other\.keras: expected a ConvNeXtClassifier, got Sequential"):
        load_classifier(tmp_path / "other.keras")


def test_refuses_a_backbone(saved, tmp_path):
    model, _ = saved
    model.backbone.save(tmp_path / "other.keras")
    with pytest.raises(ValueError, match=r"other\.keras: expected a ConvNeXtClassifier, got .*ConvNeXtBackbone"):
        load_classifier(tmp_path / "other.keras")


class Unknown(keras.layers.Layer):
    """A layer that Keras does not know when it loads."""


def test_refuses_a_model_with_layers_of_others(tmp_path):
    keras.Sequential([keras.Input((4,)), Unknown()]).save(tmp_path / "other.keras")
    with pytest.raises(ValueError, match=r"other\.keras"):
        load_classifier(tmp_path / "other.keras")
