"""The batches that recipes ask for."""

from dataclasses import replace

import numpy as np
import pytest

from keras_convnext.data import AugmentedBatches, Batches
from keras_convnext.preprocessing import Augmentation, ResizeAndCrop


def test_training_dataset_is_shuffled_by_the_seed_and_whole(recipe, few_digits):
    batches = replace(recipe, seed=7, batch_size=10).dataset(few_digits.train)
    reference = Batches(few_digits.train, 10, shuffle=True, seed=7)
    assert len(batches) == 7
    for index in range(7):
        np.testing.assert_array_equal(batches[index][0], reference[index][0])
        np.testing.assert_array_equal(batches[index][1], reference[index][1])


def test_other_datasets_have_all_images_in_order(recipe, few_digits):
    batches = recipe.dataset(few_digits.test, training=False)
    x, y = (np.concatenate(parts) for parts in zip(*batches, strict=True))
    np.testing.assert_array_equal(x, few_digits.test.pixels)
    np.testing.assert_array_equal(y.argmax(-1), few_digits.test.labels)


@pytest.mark.parametrize("training", [True, False])
def test_dataset_resizes(recipe, few_digits, training):
    x, _ = replace(recipe, image_size=(12, 10)).dataset(few_digits.test, training)[0]
    assert x.shape == (16, 12, 10, 1)


def test_dataset_resizes_as_resize_and_crop_does(recipe, few_digits):
    x, _ = replace(recipe, image_size=(12, 12)).dataset(few_digits.test, training=False)[0]
    np.testing.assert_array_equal(x[3], ResizeAndCrop(12, 12)(few_digits.test.pixels[3]))


def test_augmented_dataset_is_that_of_the_settings(recipe, few_digits):
    augmentation = Augmentation(scale=(0.5, 1.0), cutmix=0.0)
    found = replace(recipe, augmentation=augmentation, label_smoothing=0.2, seed=4, workers=1)
    batches = found.dataset(few_digits.train)
    reference = AugmentedBatches(few_digits.train, (8, 8), augmentation, 16, label_smoothing=0.2, seed=4, workers=1)
    assert len(batches) == len(reference) == 4
    for mine, others in zip(batches[1], reference[1], strict=True):
        np.testing.assert_array_equal(mine, others)
    assert type(found.dataset(few_digits.test, training=False)) is Batches


def test_image_files_need_a_size(recipe, few_digits, tmp_path):
    files = replace(few_digits.train, pixels=[tmp_path / "none.png"] * 72)
    with pytest.raises(ValueError, match="`image_size` is needed"):
        replace(recipe, augmentation=Augmentation()).dataset(files)


def test_a_batch_larger_than_the_training_images_is_refused(recipe, few_digits):
    with pytest.raises(
        ValueError,
        match=r"batch of 73 images is larger than the 72 training images.*`batch_size`.*`for_data_size\(recipe, 72\)`",
    ):
        replace(recipe, batch_size=73).dataset(few_digits.train)
    assert len(replace(recipe, batch_size=73).dataset(few_digits.train, training=False)) == 1
