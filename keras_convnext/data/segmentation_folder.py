"""Images with label maps from a folder of ADE20K's structure.

Source: B. Zhou et al., "Scene Parsing through ADE20K Dataset", CVPR 2017: its benchmark of 150 classes,
http://sceneparsing.csail.mit.edu.
"""

import csv
import re
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from keras_convnext.data.annotated_images import MOST_CLASSES, AnnotatedImages, Annotation
from keras_convnext.data.bad_records import BadRecords
from keras_convnext.data.folder import PARTS
from keras_convnext.data.image_files import find_images, find_sizes, is_hidden
from keras_convnext.data.images import ImageData, UnreadableImageError, errors_naming
from keras_convnext.extras import require
from keras_convnext.preprocessing.augmentation.annotations import NOT_ANNOTATED
from keras_convnext.scalars import flag

NAMES = ("objectInfo150.txt", "objectInfo150.csv", "objectInfo.txt", "objectInfo.csv")
"""Files of ADE20K's benchmark with the names of the classes, in a table with a row per class."""


def load_segmentation_folder(
    path: str | Path,
    class_names: Sequence[str] | None = None,
    reduce_zero_label: bool | None = None,
    skip_bad: bool = False,
    check_images: bool = True,
    verbose: bool = True,
) -> ImageData:
    """Finds images and their label maps in a folder of ADE20K's structure, and reads each map once to check it.

    The images are `path/images/training/NAME.jpg`, with their label maps in `path/annotations/training/NAME.png`, and
    likewise for the optional parts `validation` and `test`. A part may have the other names of `load_folder`, such as
    `train` and `val`, and images any format.

    Args:
        path: path of the folder.
        class_names: the name of each class. Defaults to None: the first name of each class in `objectInfo150.txt`
            (or `.csv`) of the folder if it is there, and numbers from 0 to the greatest class that occurs if not.
        reduce_zero_label: whether a 0 in the files says that the pixel is not annotated, and 1 is the first class, as
            in ADE20K. If False, 0 is the first class, such as a background. 255 says that a pixel is not annotated in
            both. Defaults to None: True if ADE20K's file of names is in the folder, else False.
        skip_bad: whether to leave out images that have no label map or cannot be read, label maps without an image,
            of another size than the image, with another class or of another format than one number per pixel, and
            list them in `bad_records`. Defaults to False.
        check_images: as for `load_coco`. Defaults to True.
        verbose: whether to show a progress bar. Defaults to True.

    Returns:
        `ImageData` of `AnnotatedImages` of paths, whose label maps are read when they are used. They have no boxes.

    Raises:
        ValueError: no such folder, no training part, no images, more than 255 classes, or an image or a label map that
            cannot be used.

    Example:

    >>> import tempfile
    >>> from pathlib import Path
    >>> from PIL import Image
    >>> from keras_convnext.data import load_segmentation_folder
    >>> folder = Path(tempfile.mkdtemp())
    >>> for kind, mode, value in (("images", "RGB", (9, 9, 9)), ("annotations", "L", 2)):
    ...     (folder / kind / "training").mkdir(parents=True)
    ...     Image.new(mode, (8, 8), value).save(folder / kind / "training" / "1.png")
    >>> data = load_segmentation_folder(folder, ["background", "cat", "dog"], verbose=False)
    >>> data.train.annotations[0].label_map.max(), data.class_names
    (np.uint8(2), ('background', 'cat', 'dog'))
    """
    path = Path(path)
    bad = BadRecords(flag("skip_bad", skip_bad))
    folders = _part_folders(path)
    names_file = next((path / name for name in NAMES if (path / name).is_file()), None)
    if reduce_zero_label is None:
        reduce_zero_label = names_file is not None
    flag("reduce_zero_label", reduce_zero_label)
    if class_names is None and names_file is not None:
        class_names = _names_in(names_file)
    pairs = {part: _pairs(images, maps, bad) for part, (images, maps) in folders.items()}
    checked = {part: _checked(found, bad, check_images, reduce_zero_label, verbose) for part, found in pairs.items()}
    present = set().union(*(classes for found in checked.values() for _, classes in found.values()))
    names = tuple(map(str, range(max(present, default=0) + 1))) if class_names is None else tuple(class_names)
    if class_names is None and verbose:
        _warn_of_gaps(path, present)
    if len(names) > MOST_CLASSES:
        raise ValueError(f"A label map has at most {MOST_CLASSES} classes. Received: {len(names)} class_names")
    parts: dict[str, Any] = {}
    for part, found in checked.items():
        for image, (label_map, classes) in list(found.items()):
            if (most := max(classes, default=0)) >= len(names):
                first = int(reduce_zero_label)
                bad.add(
                    f"{label_map}: expected values of {len(names)} classes, {first} to {len(names) - 1 + first}, "
                    f"got {most + first}"
                )
                del found[image]
        annotations = [
            Annotation(label_map=partial(read_label_map, one, reduce_zero_label)) for one, _ in found.values()
        ]
        parts[part] = AnnotatedImages(list(found), tuple(annotations), names)
    records = bad.finish()
    for part, images in parts.items():
        if not len(images):
            raise ValueError(f"{folders[part][0]}: expected one image or more with a label map, found none.")
    return ImageData(**parts, bad_records=records)


def read_label_map(path: str | Path, reduce_zero_label: bool = True) -> np.ndarray:
    """Reads a label map from an image file.

    Args:
        path: path of an image file with one number of 8 bits per pixel: grey, or with a palette.
        reduce_zero_label: as for `load_segmentation_folder`. Defaults to True.

    Returns:
        A uint8 array of shape `(height, width)`: classes from 0, and 255 where a pixel is not annotated.

    Raises:
        UnreadableImageError: no such file, or not such an image.

    Example:

    >>> import tempfile
    >>> from PIL import Image
    >>> from keras_convnext.data import read_label_map
    >>> path = tempfile.mkdtemp() + "/map.png"
    >>> Image.new("L", (2, 1), 3).save(path)
    >>> read_label_map(path)
    array([[2, 2]], dtype=uint8)
    """
    pillow = require("PIL.Image", extra="cli")
    with errors_naming(path), pillow.open(path) as image:
        if image.mode not in ("L", "P", "1"):
            raise ValueError(
                f"expected one number per pixel, its class, as in Pillow's modes L and P; got mode {image.mode}. If "
                "colours stand for classes, replace them by the numbers of the classes"
            )
        label_map = np.array(image).astype("uint8")
    if flag("reduce_zero_label", reduce_zero_label):
        return np.where((label_map == 0) | (label_map == NOT_ANNOTATED), NOT_ANNOTATED, label_map - 1).astype("uint8")
    return label_map


def _part_folders(path):
    """The folders of images and of label maps, by part."""
    if not path.exists():
        raise ValueError(f"No such file or folder: {path}")
    images, maps = path / "images", path / "annotations"
    if not images.is_dir() or not maps.is_dir():
        raise ValueError(f"{path}: expected the folders images and annotations, each with a folder training.")
    folders = {}
    for child in sorted(images.iterdir()):
        if not child.is_dir() or is_hidden(child):
            continue
        part = PARTS.get(child.name.lower())
        if part is None or part in folders:
            raise ValueError(
                f"{child}: expected one folder per part, such as training and validation, got {child.name}."
            )
        if not (maps / child.name).is_dir():
            raise ValueError(f"{child}: expected its label maps in {maps / child.name}, which does not exist.")
        folders[part] = child, maps / child.name
    if "train" not in folders:
        raise ValueError(f"{images}: expected a folder training.")
    return folders


def _names_in(file):
    """The names of the classes in a file of ADE20K."""
    lines = file.read_text(encoding="utf-8").splitlines()
    rows = list(csv.DictReader(lines, delimiter="\t" if lines and "\t" in lines[0] else ","))
    if not rows or not all(row.get("Name") for row in rows):
        raise ValueError(f"{file}: expected a table with a column Name. Fix it, or set `class_names`.")
    return tuple(re.split("[,;]", row["Name"])[0].strip() for row in rows)


def _pairs(images, maps, bad):
    """The paths of the images with those of their label maps, by the name without its ending."""
    found = [
        {file.relative_to(folder).with_suffix(""): file for file in find_images(folder)[0]} for folder in (images, maps)
    ]
    for place, (mine, others, kind) in enumerate(((*found, "a label map"), (*found[::-1], "an image"))):
        for name in sorted(mine.keys() - others.keys()):
            bad.add(f"{mine[name]}: expected {kind} of the same name in {(maps, images)[place]}, found none")
    return {file: found[1][name] for name, file in found[0].items() if name in found[1]}


def _checked(pairs, bad, check_images, reduce_zero_label, verbose):
    """For each image that can be used: the path of its label map, and the set of the classes in it."""
    sizes = find_sizes(list(pairs), check_images, verbose)
    checked = {}
    for image, path in pairs.items():
        size = sizes[image]
        try:
            label_map = read_label_map(path, reduce_zero_label)
        except UnreadableImageError as error:
            bad.add(error)
            continue
        if isinstance(size, UnreadableImageError):
            bad.add(size)
        elif label_map.shape != size:
            wanted, got = (f"height {one[0]} and width {one[1]}" for one in (size, label_map.shape))
            bad.add(f"{path}: expected the size of its image, {wanted}, got {got}")
        else:
            counts = np.bincount(label_map.ravel(), minlength=NOT_ANNOTATED + 1)
            checked[image] = path, set(np.flatnonzero(counts[:NOT_ANNOTATED]).tolist())
    return checked


def _warn_of_gaps(path, present):
    """Prints which classes below the greatest one have no pixel: a few wrong pixels make a model of 200 classes."""
    missing = sorted(set(range(max(present, default=0))) - present)
    if missing:
        some = ", ".join(map(str, missing[:5])) + (" ..." if len(missing) > 5 else "")
        print(
            f"{path}: no label map has the classes {some}, and the greatest class is {max(present)}. If that is not "
            "as it should be, look for wrong values in the label maps.",
            file=sys.stderr,
        )
