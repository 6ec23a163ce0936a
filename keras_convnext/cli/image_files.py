"""The image files that the command line names, and which of them can be read."""

import glob
import sys
from pathlib import Path

from keras_convnext.data.image_files import describe_left_out, find_images, find_unreadable, refuse_unreadable


def find_image_files(names):
    """Finds the image files that names on the command line stand for, in the order of the names.

    Args:
        names: sequence of str. The name of a file stands for an image, whatever its ending. The name of a folder stands
            for all images in it and its sub-folders, sorted by name. A pattern such as `"photos/*.jpg"` stands for the
            files and folders that match it; it is for shells that do not expand patterns.

    Returns:
        A list of str.

    Raises:
        ValueError: no such file or folder, a folder without images, or a pattern that nothing matches.
    """
    found = []
    for name in names:
        if not name:
            raise ValueError("expected image files, got an empty name.")
        for one in [name] if Path(name).exists() else _matches(name):
            found += _images_in(one) if Path(one).is_dir() else [one]
    return found


def split_readable(paths, channels, skip_unreadable=False):
    """Reads each image once, to check that it is complete before any work is done.

    Args:
        paths: list of str.
        channels: int, as for `data.read_image`.
        skip_unreadable: bool, whether to leave out images that cannot be read. Defaults to False.

    Returns:
        `(readable, skipped)`: lists of paths.

    Raises:
        ValueError: an image cannot be read and is not to be left out, or no image can be read.
    """
    unreadable = find_unreadable(paths, channels)
    if not skip_unreadable:
        refuse_unreadable(unreadable)
    readable = [path for path in paths if path not in unreadable]
    if not readable:
        raise ValueError(f"none of {len(paths)} images is readable.")
    return readable, [path for path in paths if path in unreadable]


def _matches(name):
    """The files and folders that a pattern matches, sorted."""
    if not glob.has_magic(name):
        raise ValueError(f"No such file or folder: {name}")
    matches = sorted(glob.glob(name, recursive=True))
    if not matches:
        raise ValueError(f"{name}: no file matches.")
    return matches


def _images_in(folder):
    """The images in a folder and its sub-folders. Prints a line about the files that are left out, if any."""
    images, left_out = find_images(folder)
    if not images:
        raise ValueError(f"{folder}: no images in this folder.")
    if left_out:
        print(describe_left_out(left_out, folder), file=sys.stderr)
    return [str(file) for file in images]
