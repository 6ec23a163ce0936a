"""The parts of a batch in which it is recomputed."""

import pytest

from keras_convnext.kernels.shared.microbatches import PART_BYTES, batch_parts


@pytest.mark.parametrize(
    ("images", "parts_of_bytes", "expected"),
    [
        (8, 4, 4),
        (8, 0.1, 1),
        (8, 100, 8),  # no less than an image
        (6, 4, 6),  # 4 does not divide it
        (10, 3, 5),
        (7, 3, 1),  # 7 parts would be more than twice as many
        (1, 9, 1),
    ],
)
def test_equal_parts_of_about_the_wanted_size(images, parts_of_bytes, expected):
    assert batch_parts(images, parts_of_bytes * PART_BYTES) == expected
