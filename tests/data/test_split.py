"""Validation images out of the training images."""

import numpy as np
import pytest

from keras_convnext.data import ImageData, Images, load_digits, split_validation, with_validation


def numbered(labels, classes):
    """Images that carry their own number as their pixel."""
    return Images(np.arange(len(labels)).reshape(-1, 1, 1, 1), np.array(labels), tuple(map(str, range(classes))))


def numbers(images):
    return images.pixels[:, 0, 0, 0].tolist()


@pytest.mark.parametrize("fraction", [0.1, 0.25, 0.5])
def test_is_stratified(fraction):
    images = load_digits().train
    train, validation = split_validation(images, fraction)
    expected = fraction * np.bincount(images.labels)
    np.testing.assert_allclose(np.bincount(validation.labels), expected, atol=0.5)
    np.testing.assert_array_equal(
        np.bincount(train.labels) + np.bincount(validation.labels), np.bincount(images.labels)
    )


def test_is_disjoint_and_covers_all():
    images = numbered([0, 1, 2] * 20, classes=3)
    train, validation = split_validation(images)
    assert sorted(numbers(train) + numbers(validation)) == list(range(60))


def test_keeps_each_image_with_its_label():
    images = numbered([0, 1, 2] * 20, classes=3)
    for part in split_validation(images, 0.3):
        np.testing.assert_array_equal(part.labels, np.array(numbers(part)) % 3)
        assert part.class_names == images.class_names


def test_follows_the_seed():
    images = numbered([0, 1] * 50, classes=2)
    drawn = [numbers(split_validation(images, seed=seed)[1]) for seed in (0, 0, 1)]
    assert drawn[0] == drawn[1] != drawn[2]


def test_a_class_of_two_gives_one_and_a_class_of_one_gives_none():
    train, validation = split_validation(numbered([0, 1, 1], classes=2))
    assert sorted(train.labels) == [0, 1]
    assert validation.labels.tolist() == [1]


def test_splits_files_too():
    images = Images([f"{number}.png" for number in range(20)], np.arange(20) % 2, ("a", "b"))
    train, validation = split_validation(images)
    assert len(validation) == 2
    assert sorted(train.pixels + validation.pixels) == sorted(images.pixels)


@pytest.mark.parametrize("fraction", [0, 1, 1.5, -0.1])
def test_refuses_shares_that_leave_a_part_empty(fraction):
    with pytest.raises(ValueError, match=r"`fraction` must be above 0 and below 1\. Received: fraction="):
        split_validation(numbered([0, 1] * 5, classes=2), fraction)


def test_each_class_keeps_an_image_to_train_on():
    train, validation = split_validation(numbered([0, 0, 1, 1, 1], classes=2), 0.99)
    assert sorted(train.labels) == [0, 1]
    assert len(validation) == 3


def test_refuses_single_images():
    with pytest.raises(ValueError, match="No class has two images"):
        split_validation(numbered([0, 1, 2], classes=3))


def test_with_validation_splits_a_tenth_off_the_training_images():
    data = load_digits()
    result = with_validation(data, seed=4)
    train, validation = split_validation(data.train, 0.1, seed=4)
    np.testing.assert_array_equal(result.train.pixels, train.pixels)
    np.testing.assert_array_equal(result.validation.pixels, validation.pixels)
    assert result.test is data.test


def test_with_validation_leaves_given_images_alone():
    data = ImageData(numbered([0, 1], 2), validation=numbered([1], 2), skipped=("a.png",))
    assert with_validation(data) is data


def test_with_validation_keeps_what_was_skipped():
    data = ImageData(numbered([0, 1] * 5, 2), skipped=("a.png",))
    assert with_validation(data).skipped == ("a.png",)
