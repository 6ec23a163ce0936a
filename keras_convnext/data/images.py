"""A data set: labelled images, as arrays or as files, in up to three parts; and reading one image file."""

from collections.abc import Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Protocol

import numpy as np

from keras_convnext.data.order import shuffled_order
from keras_convnext.extras import require
from keras_convnext.preprocessing.axes import check_channels_last

if TYPE_CHECKING:
    from PIL.Image import Image

IMAGE_SUFFIXES = (
    *(".avif", ".bmp", ".gif", ".heic", ".heif", ".jfif", ".jp2", ".jpe", ".jpeg", ".jpg", ".jxl", ".pbm", ".pgm"),
    *(".png", ".pnm", ".ppm", ".tif", ".tiff", ".webp"),
)
"""Endings of image files, in lower case. A file with such an ending that Pillow cannot read is an error."""


class UnreadableImageError(OSError, ValueError):
    """An image file that cannot be read: a ValueError when input is checked, and an OSError later on."""


class StoredImage(Protocol):
    """An image file within another file, such as a shard. Its `str` names it in errors."""

    def open(self) -> BinaryIO:
        """Returns the content of the image file, to be read.

        Raises:
            OSError: it cannot be read.
            ValueError: it is not what was stored.
        """


@dataclass(frozen=True, eq=False)
class Images:
    """Labelled images.

    Attributes:
        pixels: an array of shape `(count, height, width, channels)` in 0..255; or a list of paths of image files; or
            another sequence of RGB images of any size, with a method `take(indices)`, such as `TfdsPixels`. Its items
            are arrays, or image files within other files, which have a method `open()`, such as `ShardPixels`.
        labels: integers of shape `(count,)`, each an index into `class_names`.
        class_names: the name of each class.

    Raises:
        ValueError: an array of another shape, or one whose channels are first.

    Example:

    >>> import numpy as np
    >>> from keras_convnext.data import Images
    >>> images = Images(np.zeros((3, 8, 8, 1), "uint8"), np.array([0, 1, 1]), ("cat", "dog"))
    >>> images.take([0, 2]).labels
    array([0, 1])
    """

    pixels: np.ndarray | Any  # `are_files` tells arrays from files
    labels: np.ndarray
    class_names: tuple[str, ...]

    def __post_init__(self):
        if isinstance(self.pixels, np.ndarray):
            check_images(self.pixels, "pixels")

    def __len__(self):
        return len(self.labels)

    @property
    def are_files(self) -> bool:
        """Whether the images may have any size, and are read one by one when they are used."""
        return not isinstance(self.pixels, np.ndarray)

    def take(self, indices: Sequence[int] | np.ndarray) -> "Images":
        """Returns the images at `indices`, as `Images`.

        Args:
            indices: indices of images, counted from 0, in any order.
        """
        if isinstance(self.pixels, list):
            pixels = [self.pixels[i] for i in indices]
        elif self.are_files:
            pixels = self.pixels.take(indices)
        else:
            pixels = self.pixels.take(indices, axis=0)
        return replace(self, pixels=pixels, labels=self.labels[indices])

    def shuffled_order(self, seed: int, epoch: int) -> np.ndarray:
        """The indices of the images in a random order that is deterministic given (seed, epoch).

        Args:
            seed: seed of the order.
            epoch: the epoch, from 0.
        """
        return shuffled_order(seed, epoch, len(self))


@dataclass(frozen=True, eq=False)
class ImageData:
    """The parts of a data set. `validation` and `test` are None if the source has no such part.

    All parts are `Images`, or all are `AnnotatedImages`.

    Attributes:
        train: the training images.
        validation: images of the same classes to choose the best epoch on.
        test: images of the same classes to score the model on, once.
        skipped: paths of image files that could not be read and were left out.
        left_out: paths of files among the images that are hidden or are not images.
        bad_records: what is wrong with each record of annotations that was left out, one sentence per record.
        clipped_boxes: number of boxes that reached out of their images by more than a pixel, and were clipped.

    Example:

    >>> from keras_convnext.data import load_digits
    >>> data = load_digits()
    >>> data.channels, data.class_names[:3], data.validation is None
    (1, ('0', '1', '2'), True)
    """

    train: Images | Any  # `Any` is `AnnotatedImages`, which only detection and segmentation take
    validation: Images | Any | None = None
    test: Images | Any | None = None
    skipped: tuple[Path, ...] = ()
    left_out: tuple[Path, ...] = ()
    bad_records: tuple[str, ...] = ()
    clipped_boxes: int = 0

    @property
    def class_names(self) -> tuple[str, ...]:
        """The names of the classes, in the order of the labels."""
        return self.train.class_names

    @property
    def channels(self) -> int:
        """The number of channels of the images."""
        return 3 if self.train.are_files else self.train.pixels.shape[-1]


def check_images(pixels: np.ndarray, where: str) -> None:
    """Raises ValueError if an array is not of shape `(count, height, width, channels)`."""
    if pixels.ndim != 4:
        raise ValueError(f"{where}: expected images of shape (count, height, width, channels), got {pixels.shape}.")
    check_channels_last(pixels.shape, where)


def read_image(path: str | Path | StoredImage | np.ndarray, channels: int = 3) -> np.ndarray:
    """Reads an image file with Pillow.

    Args:
        path: path of a file in any format that Pillow reads; or an item of `Images.pixels`. An array is returned as it
            is.
        channels: number of channels to which the image is converted, 1 (grey) or 3 (RGB). Defaults to 3.

    Returns:
        A uint8 array of shape `(height, width, channels)`.

    Raises:
        UnreadableImageError: no such file, or not a complete image; the message names it.
        ValueError: another number of channels.

    Example:

    >>> import tempfile
    >>> from pathlib import Path
    >>> from PIL import Image
    >>> from keras_convnext.data import read_image
    >>> path = Path(tempfile.mkdtemp()) / "cat.png"
    >>> Image.new("RGB", (48, 32)).save(path)
    >>> read_image(path, channels=1).shape
    (32, 48, 1)
    """
    if isinstance(path, np.ndarray):
        return path
    image = read_pil(path, channels)
    return np.asarray(image).reshape(image.height, image.width, channels)


def read_pil(path: str | Path | StoredImage, channels: int = 3) -> "Image":
    """Reads an image file as a PIL image; see `read_image`."""
    image_module = require("PIL.Image", extra="cli")
    modes = {1: "L", 3: "RGB"}
    if channels not in modes:
        raise ValueError(f"Image files can be read with 1 or 3 channels. This model takes {channels}.")
    with errors_naming(path), image_module.open(_file(path)) as image:
        if image.mode.startswith(("I", "F")):
            raise ValueError(f"more than 8 bits per channel, Pillow's mode {image.mode}; convert it to 8 bits")
        if "transparency" in image.info:
            image = image.convert("RGBA")
        return image.convert(modes[channels])


def image_size(path: str | Path, decode: bool = True) -> tuple[int, int]:
    """The height and width of an image file in pixels.

    Args:
        path: path of the file.
        decode: whether to read the whole image, to check that it is complete, and not only its size. Defaults to True.

    Raises:
        UnreadableImageError: no such file, or not an image.
    """
    if decode:
        image = read_pil(path)
        return image.height, image.width
    image_module = require("PIL.Image", extra="cli")
    with errors_naming(path), image_module.open(path) as image:
        return image.height, image.width


def _file(path):
    """What Pillow can open: a path, or the content of a stored image."""
    return path if isinstance(path, str | Path) else path.open()


@contextmanager
def errors_naming(path):
    """Turns errors of Pillow into an `UnreadableImageError` that names the file."""
    image_module = require("PIL.Image", extra="cli")
    try:
        yield
    except FileNotFoundError as error:
        raise UnreadableImageError(f"No such file or folder: {path}") from error
    except (OSError, SyntaxError, ValueError, image_module.DecompressionBombError) as error:
        raise UnreadableImageError(f"{path}: not a readable image ({error})") from error
