"""Images from a folder with one sub-folder per class, named after the class."""

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from keras_convnext.data.image_files import (
    all_files,
    describe_left_out,
    find_images,
    find_unreadable,
    is_hidden,
    refuse_unreadable,
)
from keras_convnext.data.images import ImageData, Images

PARTS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validation"), "validation"),
    **dict.fromkeys(("test", "testing"), "test"),
}
"""From the name of a folder in lower case to the part of the data set that it holds."""


def load_folder(path: str | Path, skip_unreadable: bool = False, verbose: bool = True) -> ImageData:
    """Finds the images of a folder, and reads each one once to check it.

    The images are `path/CLASS/IMAGE`, or `path/train/CLASS/IMAGE` with optional `path/val` and `path/test` of the same
    structure. The folders of the parts may also be called `training`, `valid`, `validation` and `testing`, in upper or
    lower case. Sub-folders of a class are searched too. `find_images` says which files are images.

    Args:
        path: path of the folder.
        skip_unreadable: whether to leave out images that cannot be read, and list them in `skipped`. Defaults to False.
        verbose: whether to show a progress bar, and to print to standard error how many files are left out because
            they are hidden or not images. Defaults to True.

    Returns:
        `ImageData` of paths. The images are read again when they are used.

    Raises:
        ValueError: no such folder, another folder beside the folders of the parts, fewer than two classes, a class
            without images or with only folders, a class in `val` or `test` that `train` does not have, or an image
            that cannot be read.

    Example:

    >>> import tempfile
    >>> from pathlib import Path
    >>> from PIL import Image
    >>> from keras_convnext.data import load_folder
    >>> folder = Path(tempfile.mkdtemp())
    >>> for name in ("cat", "dog"):
    ...     (folder / name).mkdir()
    ...     Image.new("RGB", (8, 8)).save(folder / name / "1.png")
    >>> data = load_folder(folder, verbose=False)
    >>> data.class_names, len(data.train)
    (('cat', 'dog'), 2)
    """
    return check_found(find_folder(path, verbose), skip_unreadable, verbose)


class Found(NamedTuple):
    """The images of a folder that were found, and not read yet.

    Attributes:
        data: `ImageData` of paths.
        folders: the folder of each part: `"train"`, and perhaps `"validation"` and `"test"`.
    """

    data: ImageData
    folders: dict[str, Path]


def find_folder(path: str | Path, verbose: bool = True) -> Found:
    """Finds the images of a folder as `load_folder` does, and reads none of them.

    Args:
        path: path of the folder.
        verbose: whether to print how many files are left out. Defaults to True.

    Raises:
        ValueError: as for `load_folder`, but for images that cannot be read.
    """
    path = Path(path)
    check_is_folder(path)
    folders = part_folders(path) or {"train": path}
    if "train" not in folders:
        raise ValueError(f"{path}: found {', '.join(sorted(one.name for one in folders.values()))}, but no train.")
    class_names = class_names_of(folders["train"])
    found = {part: find_in_classes(folder, class_names) for part, folder in folders.items()}
    left_out = {file for _, _, others in found.values() for file in others}
    left_out = tuple(sorted(left_out.union(*(files_in_no_class(folder) for folder in {path, *folders.values()}))))
    parts = {part: Images(files, np.array(labels, "int64"), class_names) for part, (files, labels, _) in found.items()}
    return as_found(path, parts, folders, left_out, verbose)


def as_found(
    path: Path, parts: dict[str, Images], folders: dict[str, Path], left_out: tuple[Path, ...], verbose: bool
) -> Found:
    """Checks that the images of each part are enough, and says how many files are left out.

    Args:
        path: path of the data set.
        parts: the images of each part.
        folders: as in `Found`.
        left_out: paths of files that are left out.
        verbose: as for `find_folder`.

    Raises:
        ValueError: a part has no images, or the training part none of a class.
    """
    if left_out and verbose:
        print(describe_left_out(left_out, path), file=sys.stderr)
    for part, images in parts.items():
        check_classes_have_images(part, images, folders[part])
    of_parts: dict[str, Any] = dict(parts)
    return Found(ImageData(**of_parts, left_out=left_out), folders)


def check_found(found: Found, skip_unreadable: bool = False, verbose: bool = True) -> ImageData:
    """Reads each image that was found, and leaves out those that cannot be read.

    Args:
        found: what `find_folder` found.
        skip_unreadable: as for `load_folder`.
        verbose: whether to show a progress bar. Defaults to True.

    Raises:
        ValueError: as for `load_folder`.
    """
    data, folders = found
    parts = {part: getattr(data, part) for part in folders}
    skipped = find_unreadable([file for images in parts.values() for file in images.pixels], verbose=verbose)
    if not skip_unreadable:
        refuse_unreadable(skipped)
    for part, images in parts.items():
        parts[part] = images.take([i for i, file in enumerate(images.pixels) if file not in skipped])
        check_classes_have_images(part, parts[part], folders[part])
    return replace(data, **parts, skipped=tuple(sorted(skipped)))


def check_classes_have_images(part: str, images: Images, folder: Path) -> None:
    """Raises a ValueError if a part has no images, or the training part none of a class."""
    counts = np.bincount(images.labels, minlength=len(images.class_names))
    if part == "train" and not counts.all():
        raise ValueError(f"{folder}: no readable image of class {images.class_names[int(counts.argmin())]!r}.")
    if not len(images):
        raise ValueError(f"{folder}: no readable image.")


def check_is_folder(path: Path) -> None:
    """Raises a ValueError if a path is not that of a folder."""
    if not path.exists():
        raise ValueError(f"No such file or folder: {path}")
    if not path.is_dir():
        raise ValueError(f"{path}: expected a folder of images, got a file.")


def part_folders(path):
    """The folders of a data set's parts.

    A folder is that of a part if its name is in `PARTS` and it holds folders. If it holds images, it is a class: a
    class may be called `train`, beside `bus` and `car`.

    Args:
        path: `pathlib.Path` of the data set's folder.

    Returns:
        A dict of paths by `"train"`, `"validation"` and `"test"`; empty if the folder has classes instead of parts.

    Raises:
        ValueError: two folders for one part, or a folder beside the training images' that is not a part's.
    """
    children = _folders(path)
    named = [child for child in children if child.name.lower() in PARTS]
    others = [child.name for child in children if child not in named]
    training = [child for child in named if PARTS[child.name.lower()] == "train"]
    if not named or (others and not any(_folders(child) for child in training)):
        return {}
    if others:
        raise ValueError(
            f"{path}: beside {training[0].name} expected folders of the parts, such as val and test, "
            f"got {', '.join(others)}."
        )
    folders = {}
    for child in named:
        other = folders.setdefault(PARTS[child.name.lower()], child)
        if other is not child:
            raise ValueError(f"{path}: both {other.name} and {child.name} are there; keep one.")
    return folders


def _folders(path):
    """The sub-folders that belong to the data, sorted by name."""
    return sorted(child for child in path.iterdir() if child.is_dir() and not is_hidden(child))


def class_names_of(folder):
    """The names of the sub-folders, sorted: two or more."""
    classes = _folders(folder)
    if len(classes) < 2:
        within = f" Give {classes[0]} instead, which holds folders." if classes and _folders(classes[0]) else ""
        raise ValueError(
            f"{folder}: expected one sub-folder per class and two classes or more, got {len(classes)}"
            + (f" ({classes[0].name}).{within}" if classes else ".")
        )
    return tuple(child.name for child in classes)


def find_in_classes(folder, class_names):
    """The image files of a part, sorted; their labels; and the other files in its classes."""
    files, labels, left_out = [], [], []
    numbers = {name: label for label, name in enumerate(class_names)}
    for child in _folders(folder):
        if child.name not in numbers:
            raise ValueError(
                f"{child}: the training images have no class {child.name!r}, only {', '.join(class_names)}."
            )
        images, others = find_images(child)
        within = [one.name for one in _folders(child)]
        if within and not any(image.parent == child for image in images):
            raise ValueError(
                f"{child}: the folder of a class must hold images, and this one holds only folders "
                f"({', '.join(within[:3])}{' ...' if len(within) > 3 else ''}). Expected FOLDER/CLASS/IMAGE, or "
                "FOLDER/train/CLASS/IMAGE with val and test beside train."
            )
        files += images
        labels += [numbers[child.name]] * len(images)
        left_out += others
    return files, labels, left_out


def files_in_no_class(folder):
    """The files beside the classes or parts of a folder, and those in hidden folders there."""
    hidden = [child for child in folder.iterdir() if child.is_dir() and is_hidden(child)]
    return [*(child for child in folder.iterdir() if child.is_file()), *(f for one in hidden for f in all_files(one))]
