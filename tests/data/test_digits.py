"""The bundled digits, against what UCI and scikit-learn publish of them."""

import numpy as np
import pytest

from keras_convnext.data import load_digits

UCI_CLASS_COUNTS = [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]
"""optdigits.names: images of each class in the test part of the source, 1,797 in all."""

SUM_OF_LEVELS = 561_718
"""The sum of all pixels in 0..16, as in `sklearn.datasets.load_digits().data.sum()`."""


@pytest.fixture
def digits():
    return load_digits()


def both(data, attribute):
    """An array of both parts, one after the other."""
    return np.concatenate([getattr(data.train, attribute), getattr(data.test, attribute)])


def test_shapes_and_types(digits):
    assert digits.train.pixels.shape == (1438, 8, 8, 1)
    assert digits.test.pixels.shape == (359, 8, 8, 1)
    assert digits.train.pixels.dtype == digits.test.pixels.dtype == np.uint8
    assert digits.train.labels.shape == (1438,)
    assert digits.test.labels.shape == (359,)


def test_there_is_no_validation_part_and_nothing_skipped(digits):
    assert digits.validation is None
    assert digits.skipped == ()


def test_classes_are_the_ten_digits(digits):
    assert digits.class_names == digits.test.class_names == tuple("0123456789")


def test_class_counts_are_those_published(digits):
    np.testing.assert_array_equal(np.bincount(both(digits, "labels")), UCI_CLASS_COUNTS)


def test_the_test_part_is_a_stratified_fifth(digits):
    np.testing.assert_allclose(np.bincount(digits.test.labels), np.array(UCI_CLASS_COUNTS) / 5, atol=0.5)


def test_pixels_are_the_sources_seventeen_levels_over_0_to_255(digits):
    pixels = both(digits, "pixels").astype("float64")
    levels = np.round(pixels * 16 / 255)
    np.testing.assert_array_equal(pixels, np.round(levels * 255 / 16))
    assert levels.sum() == SUM_OF_LEVELS


def test_no_image_is_in_both_parts(digits):
    """All 1,797 images differ, so that none is there twice."""
    assert len(np.unique(both(digits, "pixels").reshape(1797, -1), axis=0)) == 1797
