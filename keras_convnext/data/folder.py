"""Images from folders: one sub-folder a class, its name the class's."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import keras
import numpy as np

from keras_convnext.data.images import IMAGE_SUFFIXES, ImageData, Images, read_image

PARTS = {"train": "train", "val": "validation", "validation": "validation", "test": "test"}


def load_folder(path, skip_unreadable=False, verbose=True):
    """Finds the images of a folder, and reads each once to see that all are whole.

    Either `path/CLASS/IMAGE`, or `path/train/CLASS/IMAGE` with optional `path/val` and `path/test` alike. Images are
    looked for in each class's sub-folders too.

    Args:
        path: of the folder.
        skip_unreadable: bool, leave out images that cannot be read, and list them in `skipped`. Defaults to False.
        verbose: bool, show a progress bar while the images are read. Defaults to True.

    Returns:
        `ImageData` of paths; the images are read again when they are used.

    Raises:
        ValueError: no such folder, a folder beside `train` that is none of these, fewer than two classes, a class
            without images, a class in `val` or `test` that `train` does not have, or an image that cannot be read.
    """
    path = Path(path)
    if not path.is_dir():
        raise ValueError(f"{path}: no such folder.")
    children = {child.name: child for child in path.iterdir() if child.is_dir()}
    folders = {PARTS[name]: child for name, child in children.items() if name in PARTS}
    if "train" not in folders:
        if children and children.keys() <= PARTS.keys():
            raise ValueError(f"{path}: {', '.join(sorted(children))} there, but no train.")
        folders = {"train": path}
    elif {"val", "validation"} <= children.keys():
        raise ValueError(f"{path}: both val and validation there; keep one.")
    elif unknown := sorted(name for name in children if name not in PARTS and not name.startswith(".")):
        raise ValueError(f"{path}: beside train expected {', '.join(list(PARTS)[1:])}, got {', '.join(unknown)}.")
    class_names = _class_names(folders["train"])
    found = {part: _find(folder, class_names) for part, folder in folders.items()}
    skipped = _unreadable([file for files, _ in found.values() for file in files], skip_unreadable, verbose)
    parts = {}
    for part, (files, labels) in found.items():
        keep = [i for i, file in enumerate(files) if file not in skipped]
        parts[part] = Images([files[i] for i in keep], np.array(labels, "int64")[keep], class_names)
        empty = sorted(set(range(len(class_names))) - set(parts[part].labels.tolist()))
        if part == "train" and empty:
            raise ValueError(f"{folders[part]}: no readable image of class {class_names[empty[0]]!r}.")
        if not keep:
            raise ValueError(f"{folders[part]}: no readable image.")
    return ImageData(**parts, skipped=tuple(sorted(skipped)))


def _class_names(folder):
    names = tuple(sorted(child.name for child in folder.iterdir() if child.is_dir() and not child.name.startswith(".")))
    if len(names) < 2:
        raise ValueError(
            f"{folder}: expected one sub-folder a class and two classes or more, got {len(names)}"
            + (f" ({names[0]})." if names else ".")
        )
    return names


def _find(folder, class_names):
    """The image files of a part, in a fixed order, with their labels."""
    files, labels = [], []
    for child in sorted(folder.iterdir()):
        if not child.is_dir() or child.name.startswith("."):
            continue
        if child.name not in class_names:
            raise ValueError(
                f"{child}: the training images have no class {child.name!r}, only {', '.join(class_names)}."
            )
        images = sorted(file for file in child.rglob("*") if file.suffix.lower() in IMAGE_SUFFIXES)
        files += images
        labels += [class_names.index(child.name)] * len(images)
    return files, labels


def _unreadable(files, skip_unreadable, verbose):
    """The set of files that cannot be read; an error that names the first, where they are not to be skipped."""

    def problem(file):
        try:
            read_image(file)
        except ValueError as error:
            return error
        return None

    unreadable = {}
    progress = keras.utils.Progbar(len(files), unit_name="image", verbose=int(verbose))
    with ThreadPoolExecutor() as pool:
        for count, (file, error) in enumerate(zip(files, pool.map(problem, files), strict=True), start=1):
            if error is not None:
                unreadable[file] = error
            if count % 100 == 0 or count == len(files):
                progress.update(count)
    if unreadable and not skip_unreadable:
        first = next(iter(unreadable.values()))
        more = f", and {len(unreadable) - 1} more" if len(unreadable) > 1 else ""
        raise ValueError(f"{first}{more}. Mend or remove them, or leave them out with --skip-unreadable.")
    return set(unreadable)
