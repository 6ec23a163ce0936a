"""What a data set is here: pictures with labels, as arrays or as files, in up to three parts."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from keras_convnext.extras import require
from keras_convnext.preprocessing.axes import check_channels_last

IMAGE_SUFFIXES = (
    *(".avif", ".bmp", ".gif", ".heic", ".heif", ".jfif", ".jp2", ".jpe", ".jpeg", ".jpg", ".jxl", ".pbm", ".pgm"),
    *(".png", ".pnm", ".ppm", ".tif", ".tiff", ".webp"),
)
"""Endings in lower case by which a file is an image. One that Pillow does not read is an error, and not passed over."""


@dataclass(frozen=True, eq=False)
class Images:
    """Labelled images.

    Attributes:
        pixels: an array of shape `(count, height, width, channels)` in 0..255; or a list of paths of image files; or
            another sequence of RGB images of any size, with a method `take(indices)`, such as `TfdsPixels`.
        labels: int array of shape `(count,)`, each an index into `class_names`.
        class_names: tuple of str.

    Raises:
        ValueError: an array of another shape, or one whose channels come first.
    """

    pixels: np.ndarray | list[Path] | Sequence
    labels: np.ndarray
    class_names: tuple[str, ...]

    def __post_init__(self):
        if isinstance(self.pixels, np.ndarray):
            check_images(self.pixels, "pixels")

    def __len__(self):
        return len(self.labels)

    @property
    def are_files(self):
        """Whether `pixels` are of any size, and read one by one when they are used."""
        return not isinstance(self.pixels, np.ndarray)

    def take(self, indices):
        """The images at `indices`, as `Images`."""
        if isinstance(self.pixels, list):
            pixels = [self.pixels[i] for i in indices]
        else:
            pixels = self.pixels.take(indices, **({} if self.are_files else {"axis": 0}))
        return Images(pixels, self.labels[indices], self.class_names)


@dataclass(frozen=True, eq=False)
class ImageData:
    """The parts of a data set. `validation` and `test` are None where the source has none.

    Attributes:
        train, validation, test: `Images` of the same classes.
        skipped: paths of image files that could not be read and were left out.
        left_out: paths of files that lie among the images and are none, or are hidden.
    """

    train: Images
    validation: Images | None = None
    test: Images | None = None
    skipped: tuple[Path, ...] = ()
    left_out: tuple[Path, ...] = ()

    @property
    def class_names(self):
        """The names of the classes, in the order of the labels."""
        return self.train.class_names

    @property
    def channels(self):
        """How many channels the images have."""
        return 3 if self.train.are_files else self.train.pixels.shape[-1]


def check_images(pixels, where):
    """Raises ValueError for an array that is not of shape `(count, height, width, channels)`."""
    if pixels.ndim != 4:
        raise ValueError(f"{where}: expected images of shape (count, height, width, channels), got {pixels.shape}.")
    check_channels_last(pixels.shape, where)


def read_image(path, channels=3):
    """Reads an image file with Pillow.

    Args:
        path: of a file in any format that Pillow reads. An array is taken for an image that has been read.
        channels: int, 1 (grey) or 3 (RGB), what it is converted to.

    Returns:
        A uint8 array of shape `(height, width, channels)`.

    Raises:
        ValueError: no such file, or not a whole image; the message names it.
    """
    if isinstance(path, np.ndarray):
        return path
    picture = read_picture(path, channels)
    return np.asarray(picture).reshape(picture.height, picture.width, channels)


def read_picture(path, channels=3):
    """The same as a Pillow image."""
    image_module = require("PIL.Image", extra="cli")
    modes = {1: "L", 3: "RGB"}
    if channels not in modes:
        raise ValueError(f"Image files give 1 or 3 channels. This model takes {channels}.")
    try:
        with image_module.open(path) as image:
            if image.mode.startswith(("I", "F")):
                raise ValueError(f"more than 8 bits a channel, Pillow's mode {image.mode}; convert it to 8 bits")
            if "transparency" in image.info:
                image = image.convert("RGBA")
            return image.convert(modes[channels])
    except (OSError, SyntaxError, ValueError, image_module.DecompressionBombError) as error:
        raise ValueError(f"{path}: not a readable image ({error})") from error
