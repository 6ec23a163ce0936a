"""Loading any data set with boxes or label maps by its name or path."""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from keras_convnext.data.bad_records import describe_bad_records
from keras_convnext.data.coco import coco_files, load_coco
from keras_convnext.data.digit_scenes import digit_scenes
from keras_convnext.data.images import ImageData
from keras_convnext.data.masks import check_target, for_target
from keras_convnext.data.segmentation_folder import load_segmentation_folder
from keras_convnext.data.stamp_scenes import stamp_scenes

DIGIT_SCENES = "digit_scenes"
STAMPS = "stamps:"

EXPECTED = (
    "`digit_scenes`, stamps:FOLDER, a .json file of COCO's format, a folder of such files with their images, or a "
    "folder with images/training and annotations/training"
)


def load_annotated(
    source: str | Path = DIGIT_SCENES,
    target: str = "boxes",
    skip_bad: bool = False,
    count: int | None = None,
    size: int | Sequence[int] | None = None,
    seed: int | None = None,
    verbose: bool = True,
) -> ImageData:
    """Loads a data set with boxes or label maps, and checks it.

    Args:
        source: `"digit_scenes"` (bundled, see `digit_scenes`), `"stamps:FOLDER"` (see `stamp_scenes`), the path of a
            `.json` file of COCO's format or of a folder of such files with their images (see `load_coco`), or that of
            a folder of ADE20K's structure (see `load_segmentation_folder`).
        target: `"boxes"` for detection, or `"label_map"` for segmentation. For segmentation, boxes with masks become
            label maps with the background as class 0, see `as_segmentation`. Defaults to `"boxes"`.
        skip_bad: whether to leave out records that cannot be used, and list them in `bad_records`. Defaults to False.
        count: number of training images, for generated scenes alone. Defaults to None: the generator's default.
        size: size of the images, for generated scenes alone. Defaults to None: the generator's default.
        seed: seed of the images, for generated scenes alone. Defaults to None: the generator's default.
        verbose: whether to show a progress bar while files are checked, and to print to standard error which records
            are left out. Defaults to True.

    Returns:
        `ImageData` of `AnnotatedImages`.

    Raises:
        ValueError: there is no such data set, it is not in one of these forms, or it does not have the target.

    Example:

    >>> from keras_convnext.data import load_annotated
    >>> data = load_annotated("digit_scenes", target="label_map", count=10, size=64)
    >>> data.class_names[:2], len(data.train)
    (('background', '0'), 10)
    """
    check_target(target)
    given = {"count": count, "size": size, "seed": seed}
    settings: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    if str(source) == DIGIT_SCENES:
        return digit_scenes(target=target, **settings)
    if str(source).startswith(STAMPS):
        folder = str(source).removeprefix(STAMPS)
        return stamp_scenes(folder, target=target, skip_bad=skip_bad, verbose=verbose, **settings)
    load = _loader(source)
    if settings:
        raise ValueError(
            f"{source}: {', '.join(settings)} are settings of generated scenes, {DIGIT_SCENES} and {STAMPS}."
        )
    if load is load_coco:
        data = for_target(load_coco(source, skip_bad=skip_bad, verbose=verbose, target=target), target)
    elif target == "boxes":
        raise ValueError(f"{source}: expected images with boxes, found a folder of label maps, for segmentation.")
    else:
        data = load_segmentation_folder(source, skip_bad=skip_bad, verbose=verbose)
    if data.bad_records and verbose:
        print(describe_bad_records(data.bad_records, source), file=sys.stderr)
    return data


def _loader(source: str | Path) -> Callable[..., ImageData]:
    """The function that loads a file or folder."""
    path = Path(source)
    if str(source) and not path.exists():
        raise ValueError(f"No such file or folder: {source}. Expected {EXPECTED}.")
    if str(source) and path.is_dir():  # an empty name, such as of an unset shell variable, is not this folder
        if coco_files(path):
            return load_coco
        if (path / "images").is_dir() and (path / "annotations").is_dir():
            return load_segmentation_folder
    elif path.suffix.lower() == ".json":
        return load_coco
    raise ValueError(f"{source or repr(source)}: expected {EXPECTED}, and found none.")
