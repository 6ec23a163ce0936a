"""Boxes and masks from the JSON files of COCO's format.

Source: T.-Y. Lin et al., "Microsoft COCO: Common Objects in Context", arXiv:1405.0312, and the format of its files,
https://cocodataset.org/#format-data.
"""

import re
from pathlib import Path
from typing import Any

from keras_convnext.data.bad_records import BadRecords
from keras_convnext.data.coco_file import CocoFile
from keras_convnext.data.folder import PARTS
from keras_convnext.data.images import ImageData
from keras_convnext.data.masks import check_target
from keras_convnext.scalars import flag, optional

PREFIX = "instances_"
"""How COCO's own names of files with boxes and masks begin, before the name of the folder of images."""


def load_coco(
    source: str | Path,
    images_folder: str | Path | None = None,
    skip_bad: bool = False,
    check_images: bool = True,
    verbose: bool = True,
    target: str | None = None,
) -> ImageData:
    """Loads images with boxes and masks from a file of COCO's JSON format, or from a folder of such files.

    A folder is searched for files of both forms; `NAME` begins with `train`, `val`, `valid`, `validation` or `test`:

    | annotations | images |
    |---|---|
    | `FOLDER/annotations/instances_NAME.json`, as COCO comes | `FOLDER/NAME/` |
    | `FOLDER/NAME.json` | `FOLDER/NAME/` |

    Classes are the categories in the order of their ids. An image without annotations is kept as an image without
    objects. Boxes that reach out of the image are clipped. Groups of objects (`iscrowd`) are kept and marked, see
    `Annotation`. Masks are decoded by pycocotools when they are asked for; an image has masks if each of its objects
    has a `segmentation`.

    Args:
        source: path of a `.json` file, or of a folder.
        images_folder: the folder of a file's images. Defaults to None: as in the table.
        skip_bad: whether to leave out records that cannot be used, and list them in `bad_records`: an image without
            a file, a size other than that of its file, a box that is not four finite numbers, has no area or is
            outside of its image, an unknown category or image, an id for the second time, an invalid segmentation.
            The annotations of an image that is left out are left out too, and not listed. Defaults to False.
        check_images: whether to read each image once, to check that it is complete, instead of its size alone.
            Defaults to True.
        verbose: whether to show a progress bar. Defaults to True.
        target: what the annotations are for. With `"boxes"`, an annotation with an invalid segmentation is used without
            it. With `"label_map"`, each annotation must have a segmentation, and an image with an annotation that
            cannot be used is left out with it: its object would become background. Defaults to None: an annotation may
            lack a segmentation, and one that is there must be valid.

    Returns:
        `ImageData` of `AnnotatedImages`, whose pixels are paths. A single file is the training part.

    Raises:
        ValueError: no such file or folder, not a file of COCO's format, parts that differ in their categories, or a
            record that cannot be used.

    Example:

    >>> import json, tempfile
    >>> from pathlib import Path
    >>> from PIL import Image
    >>> from keras_convnext.data import load_coco
    >>> folder = Path(tempfile.mkdtemp())
    >>> (folder / "train").mkdir()
    >>> Image.new("RGB", (64, 48)).save(folder / "train" / "1.png")
    >>> content = {
    ...     "images": [{"id": 1, "file_name": "1.png", "height": 48, "width": 64}],
    ...     "annotations": [{"id": 1, "image_id": 1, "category_id": 18, "bbox": [10, 5, 20, 30], "iscrowd": 0}],
    ...     "categories": [{"id": 18, "name": "dog"}],
    ... }
    >>> _ = (folder / "train.json").write_text(json.dumps(content))
    >>> data = load_coco(folder, verbose=False)
    >>> data.class_names, data.train.annotations[0].boxes.tolist()
    (('dog',), [[10.0, 5.0, 30.0, 35.0]])
    """
    source = Path(source)
    skip_bad, check_images = flag("skip_bad", skip_bad), flag("check_images", check_images)
    optional(lambda _, value: check_target(value), "target", target)
    if not source.exists():
        raise ValueError(f"No such file or folder: {source}")
    if source.is_dir() and images_folder is not None:
        raise ValueError(f"`images_folder` is for a single file. Received: the folder {source}")
    files = coco_files(source) if source.is_dir() else {"train": source}
    if "train" not in files:
        found = ", ".join(file.name for file in files.values()) or "none"
        raise ValueError(
            f"{source}: expected annotations/{PREFIX}train*.json or train*.json with COCO's annotations. Found: {found}"
        )
    bad = BadRecords(skip_bad)
    parts: dict[str, Any] = {}
    categories: dict[str, tuple] = {}
    clipped = 0
    for part, path in files.items():
        file = CocoFile(path, Path(images_folder or _images_folder(path)))
        categories[part] = file.categories
        if file.categories != categories["train"]:
            raise ValueError(f"{path}: expected the categories of {files['train']}, with the same ids and names.")
        parts[part], boxes = file.annotated_images(bad, check_images, verbose, target)
        clipped += boxes
    return ImageData(**parts, bad_records=bad.finish(), clipped_boxes=clipped)


def coco_files(folder: Path) -> dict[str, Path]:
    """The files of COCO's format in a folder, by `"train"`, `"validation"` and `"test"`, the training part first.

    Raises:
        ValueError: two files for one part.
    """
    found: dict[str, Path] = {}
    for file in sorted([*folder.glob(f"annotations/{PREFIX}*.json"), *folder.glob("*.json")]):
        word = re.match("[a-z]*", file.stem.removeprefix(PREFIX).lower())
        part = PARTS.get(word[0]) if word else None
        if part and (other := found.setdefault(part, file)) is not file:
            raise ValueError(f"{folder}: both {other.name} and {file.name} are there; keep one, or give the file.")
    return {part: found[part] for part in ("train", "validation", "test") if part in found}


def _images_folder(file):
    """The folder of a file's images: `instances_NAME.json` in `annotations` has `NAME` beside that folder."""
    above = file.parent.parent if file.parent.name == "annotations" else file.parent
    return above / file.stem.removeprefix(PREFIX)
