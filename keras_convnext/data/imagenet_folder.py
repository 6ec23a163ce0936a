"""ImageNet-1k as Kaggle's archive of it unpacks ("ImageNet Object Localization Challenge").

Its training images lie in folders of their classes, its validation images in one folder, and a table has their classes.
"""

import csv
from pathlib import Path

import numpy as np

from keras_convnext.data.folder import (
    Found,
    as_found,
    check_found,
    class_names_of,
    files_in_no_class,
    find_in_classes,
)
from keras_convnext.data.image_files import find_images
from keras_convnext.data.images import ImageData, Images

IMAGES = Path("ILSVRC", "Data", "CLS-LOC")
SOLUTION = "LOC_val_solution.csv"


def is_imagenet(path: str | Path) -> bool:
    """Whether a folder is that in which Kaggle's archive of ImageNet was unpacked.

    Example:

    >>> from keras_convnext.data.imagenet_folder import is_imagenet
    >>> is_imagenet("no/such/folder")
    False
    """
    return (Path(path) / IMAGES / "train").is_dir()


def load_imagenet(path: str | Path, skip_unreadable: bool = False, verbose: bool = True) -> ImageData:
    """Finds ImageNet's images where Kaggle's archive was unpacked, and reads each one once to check it.

    The folder has `ILSVRC/Data/CLS-LOC/train/CLASS/IMAGE.JPEG`, `ILSVRC/Data/CLS-LOC/val/IMAGE.JPEG`, and
    `LOC_val_solution.csv` with the classes of the validation images. The test images have no labels, and are left out.
    The classes are WordNet's ids in their order, which is the order of ImageNet's class indices.

    Args:
        path: path of the folder.
        skip_unreadable: as for `load_folder`. Defaults to False.
        verbose: as for `load_folder`. Defaults to True.

    Returns:
        `ImageData` of paths, with training and validation images.

    Raises:
        ValueError: the table of classes is missing, or does not fit the images; or an image that cannot be read.

    Example:

    >>> from keras_convnext.data import load_imagenet
    >>> load_imagenet("imagenet-object-localization-challenge").class_names[0]  # doctest: +SKIP
    'n01440764'
    """
    return check_found(find_imagenet(path, verbose), skip_unreadable, verbose)


def find_imagenet(path: str | Path, verbose: bool = True) -> Found:
    """Finds ImageNet's images as `load_imagenet` does, and reads none of them.

    Args:
        path: path of the folder.
        verbose: whether to print how many files are left out. Defaults to True.

    Raises:
        ValueError: as for `load_imagenet`, but for images that cannot be read.
    """
    path = Path(path)
    folders = {"train": path / IMAGES / "train", "validation": path / IMAGES / "val"}
    if not folders["validation"].is_dir():
        raise ValueError(f"{folders['validation']}: no such folder. Unpack the validation images, too.")
    class_names = class_names_of(folders["train"])
    files, labels, left_out = find_in_classes(folders["train"], class_names)
    train = Images(files, np.array(labels, "int64"), class_names)
    files, others = find_images(folders["validation"])
    labels = _labels(path / SOLUTION, files, class_names)
    validation = Images(files, np.array(labels, "int64"), class_names)
    left_out = tuple(sorted({*left_out, *others, *files_in_no_class(folders["train"])}))
    return as_found(path, {"train": train, "validation": validation}, folders, left_out, verbose)


def _labels(table, files, class_names):
    """The labels of validation images by the table, whose rows are `IMAGE,CLASS X Y X Y ...`."""
    if not table.is_file():
        raise ValueError(f"{table}: no such file. It is in Kaggle's archive, and has the classes of the images in val.")
    numbers = {name: label for label, name in enumerate(class_names)}
    with table.open(newline="") as file:
        rows = csv.DictReader(file)
        if not {"ImageId", "PredictionString"} <= set(rows.fieldnames or ()):
            raise ValueError(f"{table}: expected columns ImageId and PredictionString, got {rows.fieldnames}.")
        named = {row["ImageId"]: (row["PredictionString"] or "").partition(" ")[0] for row in rows}
    labels = []
    for file in files:
        name = named.get(file.stem)
        if name not in numbers:
            got = "no row" if name is None else f"the class {name!r}, of which there are no training images"
            raise ValueError(f"{table}: {got} for {file.name}.")
        labels.append(numbers[name])
    return labels
