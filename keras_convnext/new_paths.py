"""Paths of files and folders that are to be made: nothing that is there is replaced."""

import os
from pathlib import Path


def check_new_path(path: str | Path) -> None:
    """Refuses a path at which there is something.

    Raises:
        ValueError: it exists.

    Example:

    >>> from keras_convnext.new_paths import check_new_path
    >>> check_new_path("no/such/path")
    """
    if Path(path).exists():
        raise ValueError(f"{path} already exists. Choose another name.")


def check_new_folder(path: str | Path) -> None:
    """Refuses a path at which no new folder can be made.

    Raises:
        ValueError: an empty path, something that exists, or a folder around it that is a file or cannot be written.

    Example:

    >>> import tempfile
    >>> from keras_convnext.new_paths import check_new_folder
    >>> check_new_folder(tempfile.mkdtemp() + "/pictures/first")
    """
    if not str(path):
        raise ValueError("Expected the path of a new folder, got an empty one.")
    check_new_path(path)
    around = next(folder for folder in Path(path).absolute().parents if folder.exists())
    if not around.is_dir():
        raise ValueError(f"{path}: no folder can be made there, since {around} is a file.")
    if not os.access(around, os.W_OK):
        raise ValueError(f"{path}: no folder can be made there, since {around} cannot be written.")
