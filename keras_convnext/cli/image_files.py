"""Which image files are meant by what stands on the command line, and which of them can be read."""

import glob
import sys
from pathlib import Path

from keras_convnext.data.image_files import describe_left_out, find_images, find_unreadable, refuse_unreadable


def find_image_files(names):
    """The files that names stand for, in their order.

    Args:
        names: sequence of str: of files, each taken for an image whatever it is called; of folders, of which the images
            are taken, with those of all folders within, by their names; or shell-style patterns of both, such as
            `"photos/*.jpg"`, for shells that leave them as they are.

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
    """Reads each image once, to see that it is whole, before any work is done with the others.

    Args:
        paths: list of str.
        channels: int, as for `data.read_image`.
        skip_unreadable: bool, whether those that cannot be read are left out. Defaults to False.

    Returns:
        `(readable, skipped)`: lists of paths.

    Raises:
        ValueError: an image that cannot be read and is not to be left out; or none that can.
    """
    unreadable = find_unreadable(paths, channels)
    if not skip_unreadable:
        refuse_unreadable(unreadable)
    readable = [path for path in paths if path not in unreadable]
    if not readable:
        raise ValueError(f"none of {len(paths)} images is readable.")
    return readable, [path for path in paths if path in unreadable]


def _matches(name):
    """What a pattern matches."""
    if not glob.has_magic(name):
        raise ValueError(f"No such file or folder: {name}")
    matches = sorted(glob.glob(name, recursive=True))
    if not matches:
        raise ValueError(f"{name}: no file matches.")
    return matches


def _images_in(folder):
    """The images of a folder and of all folders in it; a line says how many other files there are, and why."""
    images, left_out = find_images(folder)
    if not images:
        raise ValueError(f"{folder}: no images in this folder.")
    if left_out:
        print(describe_left_out(left_out, folder), file=sys.stderr)
    return [str(file) for file in images]
