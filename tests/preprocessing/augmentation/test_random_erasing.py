"""Random erasing: its rectangles against timm's, and its noise."""

import random

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy import stats

from keras_convnext.checkpoints import IMAGENET_MEAN, IMAGENET_STD
from keras_convnext.preprocessing.augmentation import RandomErasing

QUANTITIES = {
    "area": lambda top, left, height, width: height * width,
    "proportions": lambda top, left, height, width: height / width,
    "top": lambda top, left, height, width: top,
    "left": lambda top, left, height, width: left,
}


def seeds(count):
    return tf.constant([[5, 2, number] for number in range(count)], tf.int64)


@pytest.fixture(scope="module")
def boxes():
    """4000 rectangles of ours in images of 64 x 96 pixels."""
    layer = RandomErasing()
    found = tf.map_fn(
        lambda seed: tf.stack(layer.box(tf.constant(64), tf.constant(96), seed)),
        seeds(4000),
        fn_output_signature=tf.int32,
    )
    return found.numpy()


@pytest.mark.parametrize("quantity", QUANTITIES)
def test_rectangles_are_distributed_as_timms(timm_data, boxes, assert_alike, quantity):
    import torch

    random.seed(0)
    erase = timm_data.random_erasing.RandomErasing(1.0, mode="const", max_count=1, device="cpu")
    theirs = []
    for _ in range(4000):
        rows, columns = np.nonzero(erase(torch.ones(1, 64, 96))[0].numpy() == 0)
        top, left = rows.min(), columns.min()
        theirs.append((top, left, rows.max() + 1 - top, columns.max() + 1 - left))
    measure = QUANTITIES[quantity]
    assert_alike([measure(*box) for box in boxes], [measure(*box) for box in theirs])


@pytest.mark.parametrize("dtype", [tf.float32, tf.uint8])
def test_a_quarter_of_the_images_has_noise_and_the_rest_is_as_it_was(dtype):
    images = tf.fill((2000, 16, 16, 3), tf.constant(100, dtype))
    found = RandomErasing()({"images": images, "seed": seeds(2000)})["images"]
    found = keras.ops.convert_to_numpy(found)
    changed = (found != 100).any(axis=(1, 2, 3))
    assert stats.binomtest(int(changed.sum()), 2000, 0.25).pvalue > 1e-3
    areas = (found[changed] != 100).all(axis=-1).mean(axis=(1, 2))
    assert 0.01 < areas.min() < areas.max() < 0.36


def test_the_noise_is_standard_normal_for_the_model():
    layer = RandomErasing(rate=1.0, area=(0.9, 0.95), ratio=(0.99, 1.01))
    images = tf.zeros((20, 64, 64, 3))
    found = layer({"images": images, "seed": seeds(20)})["images"]
    found = keras.ops.convert_to_numpy(found)
    inside = found[(found != 0).all(axis=-1)]
    normalized = (inside / 255 - IMAGENET_MEAN) / IMAGENET_STD
    for channel in range(3):
        assert stats.kstest(normalized[:, channel], "norm").pvalue > 1e-3
    assert np.abs(np.corrcoef(normalized.T) - np.eye(3)).max() < 0.02


def test_an_image_in_which_no_rectangle_fits_stays():
    layer = RandomErasing(rate=1.0, area=(1.0, 1.0), ratio=(1.0, 1.0))
    image = tf.fill((8, 8, 3), tf.constant(7, tf.uint8))
    found = keras.ops.convert_to_numpy(layer({"images": image, "seed": seeds(1)[0]})["images"])
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, image)


def test_refuses_statistics_of_other_channels():
    with pytest.raises(ValueError, match=r"a mean and a deviation for each channel.*1 channels"):
        RandomErasing()({"images": tf.zeros((8, 8, 1)), "seed": seeds(1)[0]})
