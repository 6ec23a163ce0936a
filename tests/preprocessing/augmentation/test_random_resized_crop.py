"""The random crop: its boxes against timm's, and what is in them against Pillow."""

import random

import numpy as np
import pytest
from PIL import Image

from keras_convnext.preprocessing.augmentation import RandomResizedCrop, augment_image, to_pil
from keras_convnext.preprocessing.augmentation.random_resized_crop import random_box

SIZES = [(300, 400), (64, 64), (224, 150), (40, 400)]
QUANTITIES = {
    "area": lambda top, left, height, width: height * width,
    "proportions": lambda top, left, height, width: width / height,
    "top": lambda top, left, height, width: top,
    "left": lambda top, left, height, width: left,
}


@pytest.fixture(scope="module")
def boxes():
    """A function: 4000 boxes of ours in an image of some size."""
    cache = {}

    def draw(size):
        if size not in cache:
            generator = np.random.default_rng(0)
            cache[size] = [random_box(*size, (0.08, 1), (3 / 4, 4 / 3), generator) for _ in range(4000)]
        return cache[size]

    return draw


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("quantity", QUANTITIES)
def test_boxes_are_distributed_as_timms(timm_data, boxes, assert_alike, size, quantity):
    transform = timm_data.transforms.RandomResizedCropAndInterpolation
    random.seed(0)
    picture = Image.new("RGB", size[::-1])
    theirs = [transform.get_params(picture, (0.08, 1), (3 / 4, 4 / 3)) for _ in range(4000)]
    measure = QUANTITIES[quantity]
    assert_alike([measure(*box) for box in boxes(size)], [measure(*box) for box in theirs])


@pytest.mark.parametrize("size", SIZES)
def test_boxes_are_within_the_image(boxes, size):
    for top, left, height, width in boxes(size):
        assert 0 <= top < top + height <= size[0]
        assert 0 <= left < left + width <= size[1]


@pytest.mark.parametrize(("size", "box"), [((10, 200), (0, 93, 10, 13)), ((200, 10), (93, 0, 13, 10))])
def test_a_narrow_image_gives_its_centre(size, box):
    assert random_box(*size, (0.9, 1), (3 / 4, 4 / 3), np.random.default_rng(0)) == box


@pytest.mark.parametrize("channels", [1, 3])
def test_the_part_is_resized_by_pillow(photographs, channels):
    image = np.asarray(photographs[-3])[..., :channels]
    step = RandomResizedCrop(24, 32)
    for number in range(20):
        found = augment_image(to_pil(image), (3, 1, number), [step])
        generator = step.generator((3, 1, number))
        top, left, height, width = random_box(*image.shape[:2], (0.08, 1.0), (3 / 4, 4 / 3), generator)
        part = Image.fromarray(image[top : top + height, left : left + width].squeeze())
        expected = np.asarray(part.resize((32, 24), Image.Resampling.BICUBIC)).reshape(24, 32, channels)
        assert found.dtype == np.uint8
        np.testing.assert_array_equal(found, expected)
