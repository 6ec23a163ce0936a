"""Data sets of TensorFlow Datasets: two small ones, prepared here as any other is."""

import sys

import numpy as np
import pytest
import tensorflow_datasets as tfds

from keras_convnext.data import AugmentedBatches, Batches, load_data, load_tfds
from keras_convnext.preprocessing import Augmentation, ResizeAndCrop


def builder_of(name, shape, pictures, dtype=None):
    """A builder class, which TensorFlow Datasets knows by its name from then on."""

    def info(self):
        image = tfds.features.Image(shape=shape, dtype=dtype)
        features = {"image": image, "label": tfds.features.ClassLabel(names=["a", "b"])}
        return tfds.core.DatasetInfo(builder=self, features=tfds.features.FeaturesDict(features))

    def split(self, manager):
        return {"train": self._generate_examples(range(8)), "test": self._generate_examples(range(8, 12))}

    def generate(self, numbers):
        for number in numbers:
            yield number, {"image": pictures[number], "label": number % 2}

    body = {
        "VERSION": tfds.core.Version("1.0.0"),
        "_info": info,
        "_split_generators": split,
        "_generate_examples": generate,
        "__module__": __name__,
    }
    return type(name, (tfds.core.GeneratorBasedBuilder,), body)


RANDOM = np.random.default_rng(0)
SQUARES = [RANDOM.integers(0, 256, (8, 8, 1), dtype="uint8") for _ in range(12)]
ANY_SIZE = [RANDOM.integers(0, 256, (8 + number, 10, 3), dtype="uint8") for number in range(12)]
builder_of("TinySquares", (8, 8, 1), SQUARES)
builder_of("TinyPictures", (None, None, 3), ANY_SIZE)
builder_of("TinyDeep", (8, 8, 1), [image.astype("uint16") for image in SQUARES], np.uint16)
builder_of("TinyFloats", (8, 8, 1), [np.float32(image / 255) for image in SQUARES], np.float32)


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """The folder of prepared data sets."""
    monkeypatch.setattr(tfds.core.constants, "DATA_DIR", str(tmp_path))
    return tmp_path


def test_images_of_one_size_are_arrays(folder):
    data = load_tfds("tiny_squares", data_dir=folder)
    assert data.class_names == ("a", "b")
    assert data.validation is None
    assert data.train.pixels.shape == (8, 8, 8, 1)
    known = {image.tobytes(): number % 2 for number, image in enumerate(SQUARES)}
    for part in (data.train, data.test):
        assert [known[image.tobytes()] for image in part.pixels] == part.labels.tolist()


def test_images_of_several_sizes_are_decoded_when_they_are_used(folder):
    data = load_tfds("tiny_pictures", data_dir=folder)
    assert data.train.are_files
    known = {image.tobytes(): number % 2 for number, image in enumerate(ANY_SIZE)}
    chosen = data.train.take(np.array([5, 2])).take([1])
    assert known[chosen.pixels[0].tobytes()] == chosen.labels[0]
    pixels, _ = Batches(data.test, 4, ResizeAndCrop(6, 6))[0]
    np.testing.assert_array_equal(pixels[1], ResizeAndCrop(6, 6)(data.test.pixels[1]))
    pixels, labels = AugmentedBatches(data.train, (6, 6), Augmentation(), 4, workers=1)[0]
    assert (pixels.shape, labels.shape) == ((4, 6, 6, 3), (4, 2))


def test_by_name_as_the_command_line_does(folder, monkeypatch):
    monkeypatch.setenv("TFDS_DATA_DIR", str(folder))
    assert len(load_data("tfds:tiny_squares").train) == 8


@pytest.mark.parametrize("package", ["tensorflow", "array_record"])
def test_names_the_extra_where_a_package_of_it_is_missing(folder, monkeypatch, package):
    """tensorflow-datasets comes without TensorFlow, which only preparing needs."""
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ModuleNotFoundError, match=rf'needs {package}, .* pip install "keras-convnext\[tfds\]"'):
        load_tfds("tiny_squares", data_dir=folder)


def test_a_prepared_data_set_needs_no_tensorflow(folder, monkeypatch):
    load_tfds("tiny_squares", data_dir=folder)
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    assert len(load_tfds("tiny_squares", data_dir=folder).train) == 8


def test_refuses_unknown_names():
    with pytest.raises(ValueError, match="tfds:no_such_thing: no such data set"):
        load_data("tfds:no_such_thing")


@pytest.mark.parametrize("name, dtype", [("tiny_deep", "uint16"), ("tiny_floats", "float32")])
def test_refuses_pixels_that_are_not_bytes(folder, name, dtype):
    with pytest.raises(ValueError, match=f"tfds:{name}: expected images of uint8 in 0..255, got {dtype}"):
        load_tfds(name, data_dir=folder)


def test_an_error_without_a_message(monkeypatch):
    def fail(*arguments, **options):
        raise ValueError

    monkeypatch.setattr(tfds, "builder", fail)
    with pytest.raises(ValueError, match=r"tfds:other: no such data set \(ValueError\)"):
        load_tfds("other")
