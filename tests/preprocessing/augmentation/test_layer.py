"""Steps as keras-cv layers: deterministic given the seed, with any number of workers, and equal to the batches."""

import hashlib
import importlib
import json
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_convnext.data import AugmentedBatches, Images
from keras_convnext.preprocessing import Augmentation
from keras_convnext.preprocessing.augmentation import (
    MixUpOrCutMix,
    RandAugment,
    RandomErasing,
    RandomFlip,
    RandomResizedCrop,
)
from keras_convnext.preprocessing.augmentation.layer import AugmentationLayer

STEPS = [RandomResizedCrop(32, 32), RandomFlip(), RandAugment(), RandomErasing()]
ALL = [*STEPS, MixUpOrCutMix()]
OF_0_2_0 = json.loads((Path(__file__).parent / "golden" / "layers_0_2_0.json").read_text())


@pytest.mark.parametrize("package", ["tensorflow", "keras_cv"])
def test_names_the_extra_where_a_package_of_it_is_missing(monkeypatch, package):
    monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.delitem(sys.modules, AugmentationLayer.__module__)
    with pytest.raises(ModuleNotFoundError, match=rf'needs {package}, .* pip install "keras-convnext\[cv\]"'):
        importlib.import_module(AugmentationLayer.__module__)


def pipeline(picture, workers, seed=0, epoch=0, count=32):
    layers = [AugmentationLayer(step) for step in STEPS]

    def element(index):
        place = tf.stack([tf.constant(seed, tf.int64), tf.constant(epoch, tf.int64), index])
        inputs = {"images": tf.constant(picture), "labels": tf.one_hot(index % 4, 4), "seed": place}
        for layer in layers:
            inputs = layer(inputs)
        return inputs

    examples = tf.data.Dataset.range(count).map(element, num_parallel_calls=workers)
    batches = examples.batch(8).map(AugmentationLayer(MixUpOrCutMix()))
    return [np.concatenate(parts) for parts in zip(*((b["images"], b["labels"]) for b in batches), strict=True)]


def test_the_sequence_is_the_same_however_many_map_it(photographs):
    picture = np.asarray(photographs[6])
    images, labels = pipeline(picture, workers=1)
    for workers in (2, 5):
        again = pipeline(picture, workers)
        np.testing.assert_array_equal(again[0], images)
        np.testing.assert_array_equal(again[1], labels)
    assert len({image.tobytes() for image in images}) == len(images)


def test_the_sequence_is_that_of_augmented_batches(photographs):
    picture = np.asarray(photographs[6])
    batches = AugmentedBatches(
        Images(np.stack([picture] * 32), np.arange(32) % 4, tuple("abcd")), (32, 32), Augmentation(), 8, workers=1
    )
    batches.epoch = 0
    order = batches._order
    ours = {int(place): batches[start // 8][0][start % 8] for start, place in enumerate(order)}
    # Of batches that are mixed, those with the same images would have to be compared: so before they are.
    unmixed = AugmentedBatches(
        batches.images, (32, 32), Augmentation(mixup=0.0, cutmix=0.0), 8, workers=1, label_smoothing=0.0
    )
    found = {int(place): unmixed[start // 8][0][start % 8] for start, place in enumerate(order)}
    layers = [AugmentationLayer(step) for step in STEPS]
    for place in range(6):
        inputs = {"images": picture, "seed": np.array([0, 0, place])}
        for layer in layers:
            inputs = next(iter(tf.data.Dataset.from_tensors(inputs).map(layer)))
        np.testing.assert_array_equal(inputs["images"], found[place])
    assert any((ours[place] != found[place]).any() for place in ours)


@pytest.mark.parametrize("changes", [{"seed": 1}, {"epoch": 1}])
def test_another_seed_and_another_epoch_give_another_sequence(photographs, changes):
    picture = np.asarray(photographs[6])
    images, _ = pipeline(picture, 2)
    others, _ = pipeline(picture, 2, **changes)
    assert (images != others).any(axis=(1, 2, 3)).all()


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_erasing_gives_float32(dtype):
    images = np.full((8, 8, 3), 100, dtype)
    layer = AugmentationLayer(RandomErasing(probability=1.0))
    found = layer({"images": images, "seed": np.zeros(3, "int64")})["images"]
    assert keras.backend.standardize_dtype(found.dtype) == "float32"


def test_half_of_the_images_are_mirrored(rng):
    image = rng.integers(0, 256, (4, 5, 3), dtype="uint8")
    seeds = tf.constant([[0, 0, n] for n in range(400)], tf.int64)
    found = AugmentationLayer(RandomFlip())({"images": tf.tile(image[None], (400, 1, 1, 1)), "seed": seeds})["images"]
    found = keras.ops.convert_to_numpy(found)
    mirrored = (found == image[:, ::-1]).all(axis=(1, 2, 3))
    assert ((found == image).all(axis=(1, 2, 3)) == ~mirrored).all()
    assert 160 < mirrored.sum() < 240


@pytest.mark.parametrize("step", ALL, ids=lambda step: type(step).__name__)
def test_configuration_round_trips(step):
    layer = AugmentationLayer(step)
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    assert again.step == step


@pytest.mark.parametrize("saved", OF_0_2_0, ids=lambda saved: saved["config"]["config"]["name"])
def test_layers_of_version_0_2_0_load(saved):
    """`golden/layers_0_2_0.json` holds configurations that version wrote, with hashes of what the layers returned."""
    layer = keras.saving.deserialize_keras_object(saved["config"])
    rows, columns, numbers = np.ogrid[:20, :16, :6]
    planes = [(rows * (5 + channel) + columns * (3 + 2 * channel) + numbers * 37) % 256 for channel in range(3)]
    pixels = np.stack([plane.transpose(2, 0, 1) for plane in planes], -1).astype("uint8")
    if saved["config"]["config"]["step"]["config"].get("mean") == [0.5]:
        pixels = pixels[..., :1]
    seeds = np.array([[3, 1, index] for index in range(6)])
    found = layer({"images": pixels, "labels": np.eye(6, dtype="float32"), "seed": seeds})
    for name in ("images", "labels"):
        array = np.ascontiguousarray(keras.ops.convert_to_numpy(found[name]))
        assert hashlib.sha256(array.tobytes()).hexdigest()[:16] == saved[name], name


def test_refuses_a_single_image_to_mix():
    with pytest.raises(ValueError, match="MixUpOrCutMix needs a batch of images"):
        AugmentationLayer(MixUpOrCutMix())(
            {"images": tf.zeros((8, 8, 3)), "labels": tf.zeros(2), "seed": tf.zeros(3, tf.int64)}
        )


@pytest.mark.parametrize("inputs", [{"images": np.zeros((8, 8, 3), "uint8")}, np.zeros((8, 8, 3), "uint8")])
def test_refuses_images_without_a_seed(inputs):
    with pytest.raises(ValueError, match="a dict with `images` and `seed`"):
        AugmentationLayer(RandomFlip())(inputs)


@pytest.mark.parametrize(
    ("step", "message"),
    [
        (RandomFlip, r"write `RandomFlip\(\)`"),
        ("flip", "Expected a step that derives from"),
        (RandomResizedCrop(), "needs a size here: give its `height` and `width`"),
    ],
)
def test_refuses_at_once(step, message):
    with pytest.raises(ValueError, match=message):
        AugmentationLayer(step)
