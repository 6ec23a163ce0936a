"""Images from shards: archives of many image files each, which `keras-convnext shard` or `write_shards` makes.

Loading reads the indexes alone. The images are read where they are decoded, in the processes that augment them.
`shard_format` describes the files.
"""

import io
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from keras_convnext.data.images import ImageData, Images
from keras_convnext.data.order import windowed_order
from keras_convnext.data.shard_format import DESCRIPTION, image_key, read_description, read_index
from keras_convnext.scalars import integer

WINDOW_BYTES = 8 * 2**30
"""The bytes of images that are shuffled together by default: 8 GiB, which the system's cache of files can hold."""

NAMED = 5
"""How many damaged shards an error names."""


class ShardImage(NamedTuple):
    """An image file in a shard. It is small when pickled, and is read where it is opened.

    Attributes:
        shard: path of the archive.
        number: the number of the image in its part.
        offset: where the image file begins in the archive.
        size: its bytes.
        crc32: the CRC-32 of its content.
    """

    shard: str
    number: int
    offset: int
    size: int
    crc32: int

    def __str__(self):
        return f"{self.shard}: image {image_key(self.number)}"

    def open(self) -> io.BytesIO:
        """Reads the content of the image file, and checks it.

        Raises:
            OSError: the shard cannot be read.
            ValueError: the content is not the one that was written.
        """
        with open(self.shard, "rb", buffering=0) as file:  # a buffer would make one read of a disk into several
            file.seek(self.offset)
            content = file.read(self.size)
            while len(content) < self.size and (more := file.read(self.size - len(content))):
                content += more
        if len(content) != self.size or zlib.crc32(content) != self.crc32:
            raise ValueError(
                "the shard is corrupt: these are not the bytes that were written. Remove it, and call `keras-convnext "
                "shard` again as before"
            )
        return io.BytesIO(content)


class ShardPixels:
    """The images of a part, as a sequence of `ShardImage`.

    Args:
        shards: paths of the archives.
        first: number of the first image of each archive, int array of shape `(archives,)`.
        index: the rows of all archives, of dtype `shard_format.INDEX`.
        rows: int array, which rows. Defaults to None: all.
    """

    def __init__(self, shards: list[str], first: np.ndarray, index: np.ndarray, rows: np.ndarray | None = None):
        self.shards = shards
        self.first = first
        self.index = index
        self.rows = rows

    def __len__(self):
        return len(self.index if self.rows is None else self.rows)

    def __getitem__(self, place):
        number = int(place if self.rows is None else self.rows[place])
        offset, size, _, crc32 = self.index[number].item()
        shard = self.shards[int(np.searchsorted(self.first, number, side="right")) - 1]
        return ShardImage(shard, number, offset, size, crc32)

    def __iter__(self):
        return (self[place] for place in range(len(self)))

    def take(self, indices):
        """The images at `indices`, as `ShardPixels`."""
        indices = np.asarray(indices, "int64")
        return ShardPixels(self.shards, self.first, self.index, indices if self.rows is None else self.rows[indices])

    @property
    def sizes(self) -> np.ndarray:
        """The bytes of each image."""
        return self.index["size"] if self.rows is None else self.index["size"][self.rows]

    @property
    def shard_numbers(self) -> np.ndarray:
        """For each image, the number of its shard."""
        numbers = np.arange(len(self.shards), dtype=np.min_scalar_type(len(self.shards)))
        numbers = np.repeat(numbers, np.diff([*self.first, len(self.index)]))
        return numbers if self.rows is None else numbers[self.rows]


@dataclass(frozen=True, eq=False)
class ShardedImages(Images):
    """Labelled images in shards, which are shuffled window by window.

    Attributes:
        pixels: `ShardPixels`.
        labels: as in `Images`.
        class_names: as in `Images`.
        window_bytes: as for `load_shards`.
    """

    pixels: ShardPixels
    window_bytes: int = WINDOW_BYTES

    def shuffled_order(self, seed: int, epoch: int) -> np.ndarray:
        """The indices of the images in the order of an epoch; see `order.windowed_order`.

        Args:
            seed: seed of the order.
            epoch: the epoch, from 0.
        """
        return windowed_order(seed, epoch, self.pixels.shard_numbers, self.pixels.sizes, self.window_bytes)


def load_shards(path: str | Path, window_bytes: int = WINDOW_BYTES) -> ImageData:
    """Loads a data set from the shards that `keras-convnext shard` made.

    It reads the indexes, 20 bytes per image, and looks at the size of each archive. The images are read when they are
    used, in the processes that augment them. Each is compared with its CRC-32 then.

    The order of an epoch is deterministic given (seed, epoch), and equal in all processes. The shards are shuffled and
    cut into windows of at most `window_bytes`; the images of a window are shuffled together. Thus all reading at a time
    is within one window, which the system's cache of files can hold. If the images fit into one window, their order is
    that of any other `Images`.

    Args:
        path: path of the folder of shards.
        window_bytes: bytes of images that are shuffled together, 1 or more. Defaults to 8 GiB.

    Returns:
        `ImageData`; its `skipped` are the files that `shard` left out.

    Raises:
        ValueError: not a folder of shards, one that is not complete, or damaged shards; the message names them.

    Example:

    >>> import tempfile
    >>> from pathlib import Path
    >>> from PIL import Image
    >>> from keras_convnext.data import load_shards, read_image, write_shards
    >>> folder = Path(tempfile.mkdtemp())
    >>> for name in ("cat", "dog"):
    ...     (folder / "pictures" / name).mkdir(parents=True)
    ...     Image.new("RGB", (8, 8)).save(folder / "pictures" / name / "1.png")
    >>> data = write_shards(folder / "pictures", folder / "shards", verbose=False)
    >>> images = load_shards(folder / "shards").train
    >>> images.class_names, read_image(images.pixels[0]).shape
    (('cat', 'dog'), (8, 8, 3))
    """
    path, window_bytes = Path(path), integer("window_bytes", window_bytes, 1)
    description = complete_description(path)
    parts, damaged = {}, []
    for part, shards in description["parts"].items():
        indexes = []
        for shard in shards:
            index, problem = open_shard(path, shard)
            if problem:
                damaged.append(problem)
            indexes.append(index)
        if not damaged:
            parts[part] = _images(path, shards, indexes, tuple(description["class_names"]), window_bytes)
    if damaged:
        more = f", and {len(damaged) - NAMED} more" if len(damaged) > NAMED else ""
        raise ValueError(
            f"{path}: {'; '.join(damaged[:NAMED])}{more}. Restore these files, or call `keras-convnext shard` again as "
            "before: it makes the shards that are missing or have another size."
        )
    return ImageData(**parts, skipped=tuple(Path(one) for one in description["skipped"]))


def is_shard_folder(path: str | Path) -> bool:
    """Whether a folder holds shards, complete or not.

    Example:

    >>> from keras_convnext.data.shards import is_shard_folder
    >>> is_shard_folder("no/such/folder")
    False
    """
    return (Path(path) / DESCRIPTION).is_file()


def complete_description(path: Path) -> dict[str, Any]:
    """What `shards.json` of a complete folder of shards says.

    Raises:
        ValueError: not a folder of shards, or one that is not complete.
    """
    description = read_description(path)
    if description is None:
        raise ValueError(f"{path}: expected a folder of shards, with a file {DESCRIPTION}, and found none.")
    if not description["complete"]:
        raise ValueError(
            f"{path}: these shards are not complete. Call `keras-convnext shard` again as before: it continues."
        )
    return description


def open_shard(folder: Path, shard: dict[str, Any]) -> tuple[np.ndarray | None, str | None]:
    """Reads the index of a shard and looks at the size of its archive.

    Args:
        folder: the folder of shards.
        shard: what `shards.json` says of this one.

    Returns:
        `(index, problem)`, of which one is None. The problem names the file.
    """
    archive = folder / shard["file"]
    place = archive.with_suffix(".npy")
    try:
        size = archive.stat().st_size
    except FileNotFoundError:
        return None, f"{archive.name} is missing"
    if size != shard["bytes"]:
        return None, f"{archive.name} has {size:,} bytes in place of {shard['bytes']:,}"
    try:
        index, crc32 = read_index(place)
    except FileNotFoundError:
        return None, f"{place.name} is missing"
    except (OSError, ValueError):
        return None, f"{place.name} cannot be read"
    if crc32 != shard["index_crc32"]:
        return None, f"{place.name} is corrupt"
    return index, None


def _images(folder, shards, indexes, class_names, window_bytes):
    """The images of a part."""
    first = np.cumsum([0, *(len(index) for index in indexes)])[:-1]
    index = np.concatenate(indexes)
    rows = None if index["size"].all() else np.flatnonzero(index["size"])
    labels = (index if rows is None else index[rows])["label"].astype("int64")
    archives = [str(folder / shard["file"]) for shard in shards]
    return ShardedImages(ShardPixels(archives, first, index, rows), labels, class_names, window_bytes)
