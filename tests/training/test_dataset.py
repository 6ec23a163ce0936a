"""The batches that recipes ask for."""

from dataclasses import replace

import keras
import numpy as np
import pytest

from keras_convnext.data import AugmentedBatches, Batches, augmented
from keras_convnext.data.augment_workers import AugmentThreads
from keras_convnext.preprocessing import Augmentation, ResizeAndCrop
from keras_convnext.preprocessing.augmentation import MixUpOrCutMix, RandAugment, RandomErasing, RandomFlip, to_pil
from keras_convnext.preprocessing.augmentation.pipeline import as_bytes


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


@pytest.fixture
def augmented_recipe(recipe):
    """Steps of every kind, two of one class, and a size that the steps do not give."""
    augmentation = [RandomFlip(), RandomFlip(), RandAugment(), RandomErasing(), MixUpOrCutMix()]
    return replace(
        recipe, augmentation=augmentation, image_size=(16, 12), batch_size=16, accumulate=2, seed=4, workers=2
    )


@pytest.fixture
def folder_of_digits(few_digits, tmp_path):
    """The digits as files in shades of grey, which are read as RGB."""
    paths = [tmp_path / f"{index}.png" for index in range(len(few_digits.train))]
    for path, pixels in zip(paths, few_digits.train.pixels, strict=True):
        to_pil(as_bytes(pixels)).resize((20, 14)).save(path)
    return replace(few_digits.train, pixels=paths)


@pytest.mark.parametrize("source", ["arrays", "files"])
def test_both_engines_give_the_same_batches(augmented_recipe, few_digits, folder_of_digits, source, monkeypatch):
    monkeypatch.setattr(augmented, "start_workers", lambda count, steps: AugmentThreads(count))  # as the processes do
    images = few_digits.train if source == "arrays" else folder_of_digits
    dataset = augmented_recipe.dataset(images, engine="keras_cv")
    reference = augmented_recipe.dataset(images)
    assert len(dataset) == len(reference) == 8
    for epoch in range(2):
        reference.epoch = epoch
        for mine, others in zip(dataset, map(reference.__getitem__, range(8)), strict=True):
            for one, other in zip(mine, others, strict=True):
                np.testing.assert_array_equal(one, other)
    reference.close()


def test_a_model_is_fitted_on_the_tf_data_graph(recipe, few_digits):
    recipe = replace(recipe, augmentation=Augmentation(rand_augment=0.0))
    train = recipe.dataset(few_digits.train, engine="keras_cv")
    model = keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Flatten(), keras.layers.Dense(10)])
    recipe.compile(model, steps_per_epoch=len(train))
    history = model.fit(train, epochs=2, shuffle=False, verbose=0).history
    assert len(history["loss"]) == 2 and np.isfinite(history["loss"]).all()


def test_an_engine_that_is_not_known_is_refused(recipe, few_digits):
    with pytest.raises(ValueError, match="`engine` must be one of processes, keras_cv"):
        recipe.dataset(few_digits.train, engine="tf")


def test_without_augmentation_both_engines_are_one(recipe, few_digits):
    assert type(recipe.dataset(few_digits.train, engine="keras_cv")) is Batches
