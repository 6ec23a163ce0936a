"""Checks of the paths of new files and folders, so that nothing that exists is replaced."""

import os
from pathlib import Path


def check_new_path(path: str | Path) -> None:
    """Raises an error if a path exists.

    Raises:
        ValueError: the path exists.

    Example:

    >>> from keras_convnext.new_paths import check_new_path
    >>> check_new_path("no/such/path")
    """
    if Path(path).exists():
        raise ValueError(f"{path} already exists. Choose another name.")


def check_new_folder(path: str | Path) -> None:
    """Raises an error if no new folder can be made at a path.

    Raises:
        ValueError: the path is empty or exists, or the folder around it is a file or not writable.

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
        raise ValueError(f"{path}: no folder can be made there, since {around} is not writable.")
