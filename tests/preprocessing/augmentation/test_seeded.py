"""One seed gives one sequence, however many workers map it; layers and images draw independently."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_convnext.preprocessing.augmentation import (
    MixUpOrCutMix,
    RandAugment,
    RandomErasing,
    RandomFlip,
    RandomResizedCrop,
)

LAYERS = [RandomResizedCrop(32, 32), RandomFlip(), RandAugment(), RandomErasing()]
ALL = [*LAYERS, MixUpOrCutMix()]


def pipeline(picture, workers, seed=0, epoch=0, count=32):
    def element(index):
        place = tf.stack([tf.constant(seed, tf.int64), tf.constant(epoch, tf.int64), index])
        inputs = {"images": tf.constant(picture), "labels": tf.one_hot(index % 4, 4), "seed": place}
        for layer in LAYERS:
            inputs = layer(inputs)
        return inputs

    batches = tf.data.Dataset.range(count).map(element, num_parallel_calls=workers).batch(8).map(MixUpOrCutMix())
    return [np.concatenate(parts) for parts in zip(*((b["images"], b["labels"]) for b in batches), strict=True)]


def test_the_sequence_is_the_same_however_many_map_it(photographs):
    picture = np.asarray(photographs[6])
    images, labels = pipeline(picture, workers=1)
    for workers in (2, 5):
        again = pipeline(picture, workers)
        np.testing.assert_array_equal(again[0], images)
        np.testing.assert_array_equal(again[1], labels)
    assert len({image.tobytes() for image in images}) == len(images)


@pytest.mark.parametrize("changes", [{"seed": 1}, {"epoch": 1}])
def test_another_seed_and_another_epoch_give_another_sequence(photographs, changes):
    picture = np.asarray(photographs[6])
    images, _ = pipeline(picture, 2)
    others, _ = pipeline(picture, 2, **changes)
    assert (images != others).any(axis=(1, 2, 3)).all()


def test_layers_draw_independently():
    assert len({layer.SALT for layer in ALL}) == len(ALL)
    seeds = tf.constant([[0, 0, n] for n in range(500)], tf.int64)
    pairs = {
        "pictures": [lambda seed, layer=layer: layer.generator(seed.numpy()).random() for layer in LAYERS[1:3]],
        "tensors": [lambda seed, layer=layer: float(layer.draw(seed)) for layer in ALL[3:]],
    }
    for draw_first, draw_second in pairs.values():
        draws = np.array([[draw_first(seed), draw_second(seed)] for seed in seeds])
        assert abs(np.corrcoef(draws.T)[0, 1]) < 0.15
        assert abs(np.corrcoef(draws[1:, 0], draws[:-1, 0])[0, 1]) < 0.15


@pytest.mark.parametrize("place", range(3))
def test_every_layer_heeds_the_seed_the_epoch_and_the_image(place):
    for layer in ALL:
        draws = set()
        for number in (0, 1, 2**31, 2**32, 2**33):
            seed = np.zeros(3, "int64")
            seed[place] = number
            draws.add(layer.generator(seed).random() if layer in LAYERS[:3] else float(layer.draw(tf.constant(seed))))
        assert len(draws) == 5, type(layer).__name__


def test_half_of_the_images_are_mirrored(rng):
    image = rng.integers(0, 256, (4, 5, 3), dtype="uint8")
    seeds = tf.constant([[0, 0, n] for n in range(400)], tf.int64)
    found = RandomFlip()({"images": tf.tile(image[None], (400, 1, 1, 1)), "seed": seeds})["images"]
    found = keras.ops.convert_to_numpy(found)
    mirrored = (found == image[:, ::-1]).all(axis=(1, 2, 3))
    assert ((found == image).all(axis=(1, 2, 3)) == ~mirrored).all()
    assert 160 < mirrored.sum() < 240


@pytest.mark.parametrize("layer", ALL, ids=lambda layer: type(layer).__name__)
def test_configuration_round_trips(layer):
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    assert type(again) is type(layer)
    assert again.get_config() == layer.get_config()


@pytest.mark.parametrize("inputs", [{"images": np.zeros((8, 8, 3), "uint8")}, np.zeros((8, 8, 3), "uint8")])
def test_refuses_images_without_a_seed(inputs):
    with pytest.raises(ValueError, match="a dict with `images` and `seed`"):
        RandomFlip()(inputs)
