"""Random erasing: its rectangles against timm's, and its noise."""

import random

import numpy as np
import pytest
from scipy import stats

from keras_convnext.normalization import IMAGENET_MEAN, IMAGENET_STD
from keras_convnext.preprocessing.augmentation import RandomErasing

QUANTITIES = {
    "area": lambda top, left, height, width: height * width,
    "proportions": lambda top, left, height, width: height / width,
    "top": lambda top, left, height, width: top,
    "left": lambda top, left, height, width: left,
}


def erased(step, images):
    images = images.astype("float32")
    return np.stack([step.augment_array(image, step.generator((5, 2, number))) for number, image in enumerate(images)])


@pytest.fixture(scope="module")
def boxes():
    """4000 rectangles of ours in images of 64 x 96 pixels."""
    step, generator = RandomErasing(), np.random.default_rng(0)
    return np.array([step.box(64, 96, generator) for _ in range(4000)])


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


def test_a_quarter_of_the_images_has_noise_and_the_rest_is_as_it_was():
    found = erased(RandomErasing(), np.full((2000, 16, 16, 3), 100))
    changed = (found != 100).any(axis=(1, 2, 3))
    assert stats.binomtest(int(changed.sum()), 2000, 0.25).pvalue > 1e-3
    areas = (found[changed] != 100).all(axis=-1).mean(axis=(1, 2))
    assert 0.01 < areas.min() < areas.max() < 0.36


def test_the_noise_is_standard_normal_for_the_model():
    found = erased(RandomErasing(probability=1.0, area=(0.9, 0.95), ratio=(0.99, 1.01)), np.zeros((20, 64, 64, 3)))
    inside = found[(found != 0).all(axis=-1)]
    normalized = (inside / 255 - IMAGENET_MEAN) / IMAGENET_STD
    for channel in range(3):
        assert stats.kstest(normalized[:, channel], "norm").pvalue > 1e-3
    assert np.abs(np.corrcoef(normalized.T) - np.eye(3)).max() < 0.02


def test_an_image_in_which_no_rectangle_fits_stays():
    images = np.full((3, 8, 8, 3), 7)
    np.testing.assert_array_equal(
        erased(RandomErasing(probability=1.0, area=(1.0, 1.0), ratio=(1.0, 1.0)), images), images
    )


def test_refuses_statistics_of_other_channels():
    with pytest.raises(ValueError, match="`mean` must have one number for each of 1 channels"):
        erased(RandomErasing(mean=(0.5, 0.5, 0.5)), np.zeros((1, 8, 8, 1)))


def test_leaves_its_input_alone_and_says_where_nothing_changed():
    image = np.full((8, 8, 3), 7, "float32")
    step = RandomErasing(probability=1.0)
    assert (step.augment_array(image, step.generator((0, 0, 0))) != 7).any()
    assert (image == 7).all()
    step = RandomErasing(probability=0.0)
    assert step.augment_array(image, step.generator((0, 0, 0))) is image
