"""Reading one image file, and the two records that carry images."""

import numpy as np
import pytest
from PIL import Image

from keras_convnext.data import ImageData, Images, load_digits, read_image

FORMATS = {"png": {}, "bmp": {}, "gif": {}, "tif": {}, "jpg": {"quality": 95}, "webp": {"lossless": True}}


@pytest.mark.parametrize("suffix, options", FORMATS.items(), ids=FORMATS)
def test_reads_what_pillow_reads(tmp_path, write_image, suffix, options):
    path = write_image(tmp_path / f"picture.{suffix}", **options)
    pixels = read_image(path)
    assert pixels.dtype == np.uint8
    np.testing.assert_array_equal(pixels, np.asarray(Image.open(path).convert("RGB")))


def test_a_lossless_picture_keeps_its_pixels(tmp_path, rng):
    pixels = rng.integers(0, 256, (5, 6, 3), dtype="uint8")
    Image.fromarray(pixels).save(tmp_path / "picture.png")
    np.testing.assert_array_equal(read_image(tmp_path / "picture.png"), pixels)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA"])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.filterwarnings("ignore:Palette images")
def test_converts_every_mode(tmp_path, write_image, mode, channels):
    path = write_image(tmp_path / "picture.png", mode)
    pixels = read_image(path, channels)
    assert pixels.shape == (5, 6, channels)
    expected = np.asarray(Image.open(path).convert({1: "L", 3: "RGB"}[channels]))
    np.testing.assert_array_equal(pixels, expected.reshape(pixels.shape))


@pytest.mark.filterwarnings("error")
def test_reads_a_palette_with_transparency_without_a_warning(tmp_path, write_image):
    path = write_image(tmp_path / "picture.png", "P", transparency=bytes(range(256)))
    assert read_image(path).shape == (5, 6, 3)


def test_reads_a_jpeg_of_print_colours(tmp_path, write_image):
    assert read_image(write_image(tmp_path / "picture.jpg", "CMYK")).shape == (5, 6, 3)


@pytest.mark.parametrize("dtype, suffix", [("uint16", "png"), ("uint16", "tif"), ("int32", "tif"), ("float32", "tif")])
def test_refuses_grey_of_more_than_8_bits(tmp_path, dtype, suffix):
    """Pillow's own conversion cuts all above 255 off, and so makes such a picture white."""
    path = tmp_path / f"picture.{suffix}"
    Image.fromarray((np.arange(64).reshape(8, 8) * 1000).astype(dtype)).save(path)
    with pytest.raises(ValueError, match=rf"picture\.{suffix}: .*8 bits"):
        read_image(path)


@pytest.mark.parametrize("suffix, kept", [("jpg", 0.7), ("png", 0.5), ("gif", 0.5), ("bmp", 0.5), ("jpg", 0.0)])
def test_refuses_a_picture_cut_off(tmp_path, write_image, suffix, kept):
    path = write_image(tmp_path / f"picture.{suffix}", size=(40, 40))
    whole = path.read_bytes()
    path.write_bytes(whole[: int(kept * len(whole))])
    with pytest.raises(ValueError, match=rf"picture\.{suffix}: not a readable image"):
        read_image(path)


def test_refuses_text_by_the_name_of_a_picture(tmp_path):
    path = tmp_path / "picture.png"
    path.write_text("no picture")
    with pytest.raises(ValueError, match=r"picture\.png: not a readable image"):
        read_image(path)


def test_refuses_a_missing_file(tmp_path):
    with pytest.raises(ValueError, match=r"^No such file or folder: .*nowhere\.png$"):
        read_image(tmp_path / "nowhere.png")


@pytest.mark.parametrize("channels", [2, 4])
def test_refuses_other_numbers_of_channels(tmp_path, write_image, channels):
    with pytest.raises(ValueError, match=f"This model takes {channels}"):
        read_image(write_image(tmp_path / "picture.png"), channels)


def test_take_keeps_images_and_labels_together(rng):
    images = Images(np.arange(5).reshape(5, 1, 1, 1), np.arange(5) % 3, ("a", "b", "c"))
    taken = images.take(np.array([3, 0, 4]))
    np.testing.assert_array_equal(taken.pixels[:, 0, 0, 0], [3, 0, 4])
    np.testing.assert_array_equal(taken.labels, [0, 0, 1])
    assert taken.class_names == ("a", "b", "c")
    assert (len(images), len(taken)) == (5, 3)


def test_take_of_files_takes_their_paths():
    images = Images(["p", "q", "r"], np.array([0, 1, 0]), ("a", "b"))
    taken = images.take(np.array([2, 1]))
    assert taken.are_files
    assert taken.pixels == ["r", "q"]
    np.testing.assert_array_equal(taken.labels, [0, 1])


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((5, 3, 32, 32), r"pixels: expected shape .* Received: \(5, 3, 32, 32\)"),
        ((5, 32, 32), r"pixels: expected images of shape \(count, height, width, channels\), got \(5, 32, 32\)"),
    ],
)
def test_refuses_arrays_of_other_axes(shape, message):
    with pytest.raises(ValueError, match=message):
        Images(np.zeros(shape, "uint8"), np.arange(5) % 2, ("a", "b"))


def test_arrays_are_no_files():
    assert not load_digits().train.are_files


def test_image_data_has_the_classes_of_its_training_images():
    data = ImageData(Images(["p", "q"], np.array([0, 1]), ("a", "b")))
    assert data.class_names == ("a", "b")
    assert data.validation is data.test is None
