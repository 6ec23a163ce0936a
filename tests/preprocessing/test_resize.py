"""Resize and crop, against Pillow's own."""

import numpy as np
import pytest
from PIL import Image

from keras_convnext.preprocessing import ResizeAndCrop


def picture(height, width, channels=3):
    """A smooth picture with some noise."""
    rng = np.random.default_rng(height * width)
    rows, columns = np.mgrid[0:height, 0:width] / max(height, width)
    waves = np.stack([np.sin(9 * rows + k) * np.cos(7 * columns - k) for k in range(channels)], axis=-1)
    return np.clip(127 + 100 * waves + rng.normal(scale=20, size=waves.shape), 0, 255).astype("uint8")


CASES = [
    # height and width of the picture, of the target, and of the picture when it is resized
    ((48, 48), (24, 24), (24, 24)),
    ((48, 64), (24, 24), (24, 32)),
    ((64, 48), (24, 24), (32, 24)),
    ((51, 37), (16, 16), (22, 16)),
    ((7, 5), (16, 16), (22, 16)),
    ((10, 10), (16, 24), (24, 24)),
    ((30, 40), (16, 8), (16, 21)),
    ((24, 40), (24, 24), (24, 40)),
    ((1, 100), (8, 8), (8, 800)),
]


@pytest.mark.parametrize("size, target, resized", CASES)
def test_equals_pillow_on_colour_pictures(size, target, resized):
    image = picture(*size)
    reference = Image.fromarray(image).resize(resized[::-1], Image.Resampling.BICUBIC)
    left, top = (resized[1] - target[1]) // 2, (resized[0] - target[0]) // 2
    reference = reference.crop((left, top, left + target[1], top + target[0]))
    result = ResizeAndCrop(*target)(image)
    assert result.dtype == np.uint8
    np.testing.assert_array_equal(result, np.asarray(reference))


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_resizes_each_channel_by_itself(channels):
    image = picture(30, 20, channels)
    result = ResizeAndCrop(12, 12)(image)
    assert result.shape == (12, 12, channels)
    for channel in range(channels):
        np.testing.assert_array_equal(result[..., channel : channel + 1], ResizeAndCrop(12, 12)(image[..., [channel]]))


@pytest.mark.parametrize("height", [1, 7, 8, 9, 16, 33, 100])
@pytest.mark.parametrize("width", [1, 7, 8, 9, 16, 33, 100])
def test_every_size_becomes_the_target(height, width):
    assert ResizeAndCrop(8, 12)(picture(height, width)).shape == (8, 12, 3)


def test_a_picture_of_the_size_stays_as_it_is():
    image = picture(12, 20)
    np.testing.assert_array_equal(ResizeAndCrop(12, 20)(image), image)


def test_the_crop_is_the_centre():
    """A white bar in the middle of a black picture stays in the middle."""
    image = np.zeros((10, 30, 3), "uint8")
    image[:, 13:17] = 255
    result = ResizeAndCrop(10, 10)(image)
    np.testing.assert_array_equal(result[0, :, 0], [0, 0, 0, 255, 255, 255, 255, 0, 0, 0])


def test_refuses_channels_first():
    with pytest.raises(ValueError, match=r"\(3, 30, 20\), which looks like \(channels, height, width\)"):
        ResizeAndCrop(12, 12)(picture(30, 20).transpose(2, 0, 1))


def test_float_pixels_stay_in_their_range():
    """The bicubic filter overshoots at edges: what is past 0 and 255 is cut off, as Pillow does with bytes."""
    image = np.zeros((16, 16, 1), "float32")
    image[:, 8:] = 255
    floats, integers = ResizeAndCrop(40, 40)(image), ResizeAndCrop(40, 40)(image.astype("uint8"))
    np.testing.assert_allclose(floats, integers, atol=0.51)
