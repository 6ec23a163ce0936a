"""Which files of a folder are images, and which of them can be read."""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import keras

from keras_convnext.data.images import IMAGE_SUFFIXES, UnreadableImageError, image_size, read_image
from keras_convnext.extras import require

SYSTEM_NAMES = ("__macosx", "@eadir", "$recycle.bin", "system volume information", "lost+found")
"""Folders that operating systems and archives create. Hidden ones, such as `.ipynb_checkpoints`, begin with a dot."""

SYSTEM_FILES = ("thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r")


def is_hidden(path: Path) -> bool:
    """Whether, by its name, a file or folder belongs to the operating system or a program rather than to the data.

    Example:

    >>> from pathlib import Path
    >>> from keras_convnext.data.image_files import is_hidden
    >>> [is_hidden(Path(name)) for name in (".DS_Store", "._cat.jpg", "__MACOSX", "Thumbs.db", "cat.jpg")]
    [True, True, True, True, False]
    """
    name = path.name.lower()
    return name.startswith(".") or name in SYSTEM_NAMES or name in SYSTEM_FILES


def find_images(folder: str | Path) -> tuple[list[Path], list[Path]]:
    """The image files in a folder and its sub-folders.

    A file is an image if its ending is in `IMAGE_SUFFIXES`, or if Pillow recognizes an image in it. Hidden files and
    everything in hidden folders are left out.

    Args:
        folder: the folder to search.

    Returns:
        `(images, left_out)`: sorted lists of paths.

    Raises:
        OSError: a folder that cannot be read.
        ModuleNotFoundError: a file has another ending, and Pillow, which would look into it, is not installed.

    Example:

    >>> import tempfile
    >>> from pathlib import Path
    >>> from PIL import Image
    >>> from keras_convnext.data import find_images
    >>> folder = Path(tempfile.mkdtemp())
    >>> Image.new("RGB", (8, 8)).save(folder / "cat.png")
    >>> (folder / "notes.txt").touch()
    >>> [[path.name for path in paths] for paths in find_images(folder)]
    [['cat.png'], ['notes.txt']]
    """
    images: list[Path] = []
    left_out: list[Path] = []
    for place, folders, names in os.walk(folder, onerror=_raise):
        hidden = [name for name in folders if is_hidden(Path(name))]
        left_out += [file for name in hidden for file in all_files(Path(place, name))]
        folders[:] = [name for name in folders if name not in hidden]
        for name in names:
            file = Path(place, name)
            (images if not is_hidden(file) and is_image(file) else left_out).append(file)
    return sorted(images), sorted(left_out)


def describe_left_out(files: Sequence[Path], folder: str | Path) -> str:
    """One line that counts the files that were left out of a folder, by reason.

    Example:

    >>> from pathlib import Path
    >>> from keras_convnext.data.image_files import describe_left_out
    >>> describe_left_out([Path("pets/cat/.DS_Store"), Path("pets/a.jpg")], "pets")
    'pets: 2 files are left out: 1 hidden, 1 in no class (a.jpg)'
    """
    reasons: dict[str, list[Path]] = {"hidden": [], "in no class": [], "not an image": []}
    for file in files:
        if any(is_hidden(Path(part)) for part in file.relative_to(folder).parts):
            reasons["hidden"].append(file)
        else:
            reasons["in no class" if is_image(file) else "not an image"].append(file)
    counts = []
    for reason, of_it in reasons.items():
        names = ", ".join(file.name for file in of_it[:3]) + (", ..." if len(of_it) > 3 else "")
        if of_it:
            counts.append(f"{len(of_it)} {reason}" + ("" if reason == "hidden" else f" ({names})"))
    return f"{folder}: {len(files)} file{'s are' if len(files) > 1 else ' is'} left out: {', '.join(counts)}"


def find_unreadable(
    paths: Sequence[Path], channels: int = 3, verbose: bool = False
) -> dict[Path, UnreadableImageError]:
    """Reads each image once, to check that it is complete before any work is done.

    Args:
        paths: paths of the image files.
        channels: as for `data.read_image`. Defaults to 3.
        verbose: whether to show a progress bar. Defaults to False.

    Returns:
        A dict from the path of each image that cannot be read to its `UnreadableImageError`, in their order.
    """

    def check(path):
        read_image(path, channels)  # nothing is returned: the images would fill the memory

    results = _for_each(check, paths, verbose)
    return {path: result for path, result in results.items() if isinstance(result, UnreadableImageError)}


def find_sizes(
    paths: Sequence[Path], decode: bool = True, verbose: bool = False
) -> dict[Path, tuple[int, int] | UnreadableImageError]:
    """Reads the size of each image.

    Args:
        paths: paths of the image files.
        decode: whether to read each image whole, to check that it is complete. Defaults to True.
        verbose: whether to show a progress bar. Defaults to False.

    Returns:
        A dict from the path of each image to its `(height, width)`, or to its `UnreadableImageError`.
    """
    return _for_each(lambda path: image_size(path, decode), paths, verbose)


def _for_each(function, paths, verbose):
    """What a function returns for each path, in several threads; or the `UnreadableImageError` that it raises."""

    def result(path):
        try:
            return function(path)
        except UnreadableImageError as error:
            return error

    results = {}
    progress = keras.utils.Progbar(len(paths), unit_name="image", verbose=int(verbose))
    with ThreadPoolExecutor() as pool:
        for count, (path, found) in enumerate(zip(paths, pool.map(result, paths), strict=True), start=1):
            results[path] = found
            if count % 100 == 0 or count == len(paths):
                progress.update(count)
    return results


def refuse_unreadable(unreadable: dict[Path, UnreadableImageError]) -> None:
    """Raises a ValueError if there are unreadable images. It names the first and counts the others.

    Args:
        unreadable: errors by path, as `find_unreadable` returns them.
    """
    if unreadable:
        first = next(iter(unreadable.values()))
        more = f", and {len(unreadable) - 1} more" if len(unreadable) > 1 else ""
        raise ValueError(f"{first}{more}. Fix or remove them, or leave them out with `skip_unreadable=True`.")


def all_files(folder: str | Path) -> list[Path]:
    """The files in a folder and its sub-folders."""
    return [Path(place, name) for place, _, names in os.walk(folder) for name in names]


def is_image(file: Path) -> bool:
    """Whether a file is an image, see `find_images`."""
    if file.suffix.lower() in IMAGE_SUFFIXES:
        return True
    if not file.is_file():  # a pipe, a device: reading it might never end
        return False
    image_module = require("PIL.Image", extra="cli")
    try:
        with image_module.open(file):
            return True
    except (OSError, SyntaxError, ValueError, image_module.DecompressionBombError):
        return False


def _raise(error):
    raise error
