"""The files of a sharded data set: what each is called and holds.

A folder of shards has, for each part, `train-000000.tar`, `train-000001.tar` and so on: uncompressed archives in the
layout of WebDataset, in which `00000017.jpg` is an image file as it was, and `00000017.cls` after it has the index of
its class as text. Beside each archive lies its index, `train-000000.npy`, with a row per image. `shards.json` has the
names of the classes, and the number of images and bytes of each archive.
"""

import io
import json
import os
import tarfile
import tokenize
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

DESCRIPTION = "shards.json"
FORMAT = "keras_convnext shards"
VERSION = 1

INDEX = np.dtype([("offset", "<u8"), ("size", "<u4"), ("label", "<u4"), ("crc32", "<u4")])
"""A row of an index: where the image file begins in the archive, its bytes, its class, and the CRC-32 of its content.

An image that could not be read, and was left out, has the size 0.
"""

PARTS = ("train", "validation", "test")

PARTIAL = ".part"
"""The end of the name of a file that is being written."""


def shard_name(part: str, number: int) -> str:
    """The name of a shard's files, without an ending.

    Example:

    >>> from keras_convnext.data.shard_format import shard_name
    >>> shard_name("train", 3)
    'train-000003'
    """
    return f"{part}-{number:06d}"


def image_key(number: int) -> str:
    """The name of an image in the archives, by its number in its part; without an ending.

    Example:

    >>> from keras_convnext.data.shard_format import image_key
    >>> image_key(17)
    '00000017'
    """
    return f"{number:08d}"


def archive_bytes(sizes: np.ndarray) -> int:
    """The bytes of an archive that holds images of these sizes; those of size 0 are not in it.

    Example:

    >>> import numpy as np
    >>> from keras_convnext.data.shard_format import archive_bytes
    >>> archive_bytes(np.array([100_000, 0]))
    112640
    """
    content = int(bytes_in_archive(sizes[sizes > 0]).sum()) + 2 * tarfile.BLOCKSIZE
    return -(-content // tarfile.RECORDSIZE) * tarfile.RECORDSIZE


def bytes_in_archive(sizes: np.ndarray) -> np.ndarray:
    """The bytes that each image takes in an archive: two headers, its class and its content, in whole blocks."""
    blocks = -(-sizes.astype("int64") // tarfile.BLOCKSIZE)
    return (blocks + 3) * tarfile.BLOCKSIZE


def read_index(path: Path) -> tuple[np.ndarray, int]:
    """Reads the index of a shard.

    Args:
        path: path of the `.npy` file.

    Returns:
        `(index, crc32)`: the rows, and the CRC-32 of the file.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is not an index.
    """
    content = path.read_bytes()
    try:
        index = np.load(io.BytesIO(content), allow_pickle=False)
    except (EOFError, SyntaxError, tokenize.TokenError) as error:  # of a damaged header, which NumPy parses as Python
        raise ValueError("not an index") from error
    if index.dtype != INDEX or index.ndim != 1:
        raise ValueError("not an index")
    return index, zlib.crc32(content)


def index_content(index: np.ndarray) -> bytes:
    """The content of the `.npy` file of an index."""
    file = io.BytesIO()
    np.save(file, index)
    return file.getvalue()


def read_description(folder: str | Path) -> dict[str, Any] | None:
    """What `shards.json` in a folder says; None if the folder has no such file.

    Raises:
        ValueError: a file that this version does not know.
    """
    path = Path(folder) / DESCRIPTION
    if not path.is_file():
        return None
    try:
        description = json.loads(path.read_text())
        known = description["format"] == FORMAT
        version = description["version"]
    except (ValueError, KeyError, TypeError):
        known = False
    if not known:
        raise ValueError(f"{path}: not written by `keras-convnext shard`.")
    if version != VERSION:
        raise ValueError(f"{path}: version {version} of the format; this package reads version {VERSION}. Update it.")
    return description


def write_description(folder: Path, description: dict[str, Any]) -> None:
    """Writes `shards.json`, or replaces it whole."""
    whole = {"format": FORMAT, "version": VERSION, **description}
    with new_file(folder / DESCRIPTION) as file:
        file.write((json.dumps(whole, indent=1) + "\n").encode())


@contextmanager
def new_file(path: Path) -> Iterator[BinaryIO]:
    """A context in which a file is written under another name; at its end it is renamed, so that it is whole or absent.

    If the context ends with an error, what was written is removed.
    """
    partial = path.with_name(f"{path.name}.{os.getpid()}{PARTIAL}")  # two processes would write the same bytes
    try:
        with partial.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
